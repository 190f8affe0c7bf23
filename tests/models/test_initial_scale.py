"""Networks without training keep the scale of their activations, and training knows nothing of how."""

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.layers import Cell
from keras_nasnet.layers.convolution import taps_inside

POOLS = CellSpec(
    (
        Block((0, 0), ("max_pool_3x3", "avg_pool_3x3")),
        Block((2, 1), ("identity", "zero")),
        Block((3, 0), ("conv_1x7_7x1", "dil_sep_conv_5x5")),
    ),
    ((4,),),
)
POOLING = Genotype(normal=POOLS, reduction=POOLS, name="pooling")


def images(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


@pytest.mark.parametrize(
    ("stem", "genotype"),
    [
        *(("cifar", genotype) for genotype in ("nasnet_a", "nasnet_b", "nasnet_c", POOLING)),
        ("imagenet", "nasnet_a"),
        # The same cells behind the same stem.
        *(pytest.param("imagenet", genotype, marks=pytest.mark.slow) for genotype in ("nasnet_b", "nasnet_c", POOLING)),
    ],
)
def test_activations_keep_their_scale_in_depth(genotype, stem):
    """With moving variances of 1 they are some hundred at this depth, and 1e6 in the paper's networks."""
    keras.utils.set_random_seed(1)
    ratio = 20 if genotype == "nasnet_c" else 24
    model = NASNet(
        genotype, num_blocks=2, penultimate_filters=8 * ratio, stem=stem, include_top=False, input_shape=(64, 64, 3)
    )
    features = keras.ops.convert_to_numpy(model(images(2, 64, 64, 3), training=False))
    assert 0.1 < np.sqrt(np.mean(features**2)) < 10
    assert np.abs(features).max() < 60


def test_a_moving_variance_starts_where_the_variance_is():
    keras.utils.set_random_seed(1)
    cell = Cell(CellSpec((Block((0, 0), ("sep_conv_3x3", "conv_1x1")),), ((1,),), 1), filters=64)
    inputs = np.random.default_rng(0).normal(size=(8, 16, 16, 32)).astype("float32")
    cell(inputs)
    norms = [cell.fits[0], *cell.branches[0]]
    found = [norm for layer in norms for norm in getattr(layer, "batch_norms", [getattr(layer, "batch_norm", None)])]
    seen = {}

    def watch(norm, call):
        def called(inputs, **options):
            seen[id(norm)] = float(keras.ops.mean(keras.ops.square(inputs)))
            return call(inputs, **options)

        return called

    for norm in found:
        norm.call = watch(norm, norm.call)
    cell(inputs, training=False)
    assert len(seen) == 4
    for norm in found:
        started = keras.ops.convert_to_numpy(norm.moving_variance)
        assert len(set(started.tolist())) == 1
        assert seen[id(norm)] == pytest.approx(started[0], rel=0.4)


@pytest.mark.parametrize("lengths", [(2, 2), (5, 8), (1, 9)])
@pytest.mark.parametrize("size, options", [(3, {}), ((1, 7), {}), (5, {"strides": 2}), (5, {"dilation_rate": 2})])
def test_taps_inside_are_those_that_a_convolution_sums_up(lengths, size, options):
    convolution = keras.layers.Conv2D(
        1, size, padding="same", kernel_initializer="ones", data_format="channels_last", **options
    )
    summed = keras.ops.convert_to_numpy(convolution(np.ones((1, *lengths, 1), "float32")))
    expected = summed.mean() / np.prod(convolution.kernel_size)
    assert taps_inside(convolution, (None, *lengths, 1)) == pytest.approx(expected, rel=1e-5)
    assert taps_inside(convolution, (None, None, None, 1)) == 1


def test_training_does_not_read_where_moving_variances_start():
    model = NASNet("nasnet_a", num_blocks=1, penultimate_filters=48, stem="cifar", classes=3)
    inputs = images(4, 32, 32, 3)
    weights = model.get_weights()
    before = keras.ops.convert_to_numpy(model(inputs, training=True))
    model.set_weights(weights)
    for layer in model.batch_norms():
        layer.moving_variance.assign(np.ones(layer.moving_variance.shape))
    np.testing.assert_array_equal(model(inputs, training=True), before)
