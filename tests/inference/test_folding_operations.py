"""Every operation, way of combining and border folds to the same, on any backend; in the smallest of networks."""

import itertools

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.genotype import COMBINES, MORE_OPERATIONS, OPERATIONS, Block, CellSpec, Genotype
from keras_nasnet.inference.folding import fold
from tests.support.random_weights import randomized

SMALL = {"num_blocks": 1, "penultimate_filters": 96, "stem": "cifar", "classes": 3, "classifier_activation": None}
ALL = [*OPERATIONS, *MORE_OPERATIONS]


def genotype(seed):
    """Cells whose blocks have every operation between them, in an order of chance, and read what chance says."""
    random = np.random.default_rng(seed)

    def cell(fit_inputs):
        operations, combines = random.permutation(ALL).tolist(), itertools.cycle(random.permutation(COMBINES).tolist())
        blocks = [
            Block(
                tuple(random.integers(0, 2 + number // 2, 2).tolist()), tuple(operations[number : number + 2]), combine
            )
            for number, combine in zip(range(0, len(ALL), 2), combines, strict=False)
        ]
        read = {index for block in blocks for index in block.inputs}
        unread = tuple(index for index in range(2, 2 + len(blocks)) if index not in read)
        return CellSpec(tuple(blocks), (unread,), 2, fit_inputs)

    return Genotype(cell(True), cell(seed % 2 == 0), name="all", penultimate_ratio=8)


TENSORFLOW = keras.backend.backend() == "tensorflow"


def computed(network, images):
    """Once, so without a graph on TensorFlow; JAX would compile each operation for itself."""
    if TENSORFLOW:
        return keras.ops.convert_to_numpy(network(images, training=False))
    return network.predict_on_batch(images)


def assert_folds_to_the_same(model, shape):
    images = np.random.default_rng(1).uniform(-1, 1, shape).astype("float32")
    # Where operations are compiled one by one, the whole is quicker.
    ours, theirs = (np.asarray(n(images) if TENSORFLOW else n.predict_on_batch(images)) for n in (fold(model), model))
    assert np.ptp(theirs) > 0
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.skipif(not TENSORFLOW, reason="JAX compiles each for a minute")
@pytest.mark.parametrize(
    ("seed", "pool_padding", "size"),
    [
        (0, "keras", (35, 30)),
        (1, "keras", (32, 32)),
        (2, "same", (32, 32)),
        (3, "timm", (35, 30)),
    ],
)
def test_all_operations(seed, pool_padding, size):
    model = NASNet(genotype(seed), pool_padding=pool_padding, input_shape=(*size, 3), **SMALL)
    assert_folds_to_the_same(randomized(model), (2, *size, 3))


def test_nasnet_a_in_the_layout_of_the_backend():
    """Channels first where a backend knows that on CPUs: the other one is in all other tests."""
    data_format, shape = ("channels_last", (35, 30, 3)) if TENSORFLOW else ("channels_first", (3, 35, 30))
    model = NASNet("nasnet_a", pool_padding="keras", input_shape=shape, data_format=data_format, **SMALL)
    assert_folds_to_the_same(randomized(model), (2, *shape))
