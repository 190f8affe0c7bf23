"""The feature pyramid, and the network cut in two."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.models.classifier import NASNet
from tests.support.toy import NETWORK

SMALLEST = NETWORK | {"penultimate_filters": 64}
PYRAMIDS = {
    # stem, then F = 8: levels, strides, channels
    "imagenet": ({"P1": 2, "P2": 4, "P3": 8, "P4": 16, "P5": 32}, {"P1": 32, "P2": 8, "P3": 48, "P4": 96, "P5": 192}),
    "cifar": ({"P0": 1, "P1": 2, "P2": 4}, {"P0": 48, "P1": 96, "P2": 192}),
}


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def small(**options):
    return NASNetBackbone(**({"num_blocks": 1, "penultimate_filters": 192} | options))


@pytest.mark.parametrize("stem", PYRAMIDS)
def test_pyramid(stem):
    strides, channels = PYRAMIDS[stem]
    backbone = small(stem=stem)
    assert backbone.strides == strides and backbone.channels == channels
    assert list(backbone.pyramid_outputs) == list(strides)
    pyramid = keras.Model(backbone.inputs, backbone.pyramid_outputs)
    inputs = images(1, 64, 96, 3)
    outputs = {level: ops.convert_to_numpy(tensor) for level, tensor in pyramid(inputs).items()}
    for level, stride in strides.items():
        height, width = 64 // stride, 96 // stride
        if (stem, level) == ("imagenet", "P1"):  # VALID: one pixel less
            height, width = height - 1, width - 1
        assert outputs[level].shape == (1, height, width, channels[level])
    np.testing.assert_array_equal(list(outputs.values())[-1], ops.convert_to_numpy(backbone(inputs)))
    # The deepest has been through a ReLU, the others not.
    assert [array.min() < 0 for array in outputs.values()] == [True] * (len(strides) - 1) + [False]


def test_pyramid_of_nasnet_b_joins_its_outputs():
    backbone = small(genotype="nasnet_b", stem="cifar")
    assert backbone.channels == {"P0": 32, "P1": 64, "P2": 128}


@pytest.mark.parametrize("genotype", ["nasnet_a", "nasnet_b"])
def test_equals_the_classifier_without_top(genotype):
    options = {"genotype": genotype, "num_blocks": 1, "penultimate_filters": 48, "stem": "cifar"}
    backbone, features = NASNetBackbone(**options), NASNet(include_top=False, **options)
    backbone.set_weights(features.get_weights())
    inputs = images(1, 32, 32, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(backbone(inputs)), ops.convert_to_numpy(features(inputs)))


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        (SMALLEST, ["stem_0", "stem_1", 0, "reduction_0", 1, "reduction_1"]),
        (SMALLEST | {"skip_reduction": True}, [0, "reduction_0", 1, "reduction_1"]),
        ({"genotype": "nasnet_b"}, ["stem_0", "stem_1", "reduction_0", 1, "reduction_1"]),
        ({"genotype": "nasnet_b", "skip_reduction": True}, ["reduction_0", 1, "reduction_1"]),
    ],
    ids=["toy", "toy skip", "b", "b skip"],
)
def test_halves_are_the_whole(options, cells):
    backbone = small(**options)
    inputs = images(1, 45, 32, 3)
    expected = ops.convert_to_numpy(backbone(inputs))
    assert np.ptp(expected) > 0
    own = {id(variable) for variable in backbone.variables}
    for cell in cells:
        first, second = backbone.split_at(cell)
        outputs = ops.convert_to_numpy(second(first(inputs)))
        np.testing.assert_array_equal(outputs, expected)
        halves = [{id(variable) for variable in half.variables} for half in (first, second)]
        assert halves[0] | halves[1] == own and not halves[0] & halves[1], cell


@pytest.fixture(scope="module")
def toy():
    return NASNetBackbone(**NETWORK, stem="cifar")


@pytest.mark.parametrize("cell", [3, -1, 2, "cell_2", "reduction_2", "stem", 1.5])
def test_no_such_cut(toy, cell):
    with pytest.raises(ValueError, match=r"choose from .*cell_0"):
        toy.split_at(cell)


def test_a_frozen_backbone_is_loaded_frozen(tmp_path):
    backbone = NASNetBackbone(**NETWORK, stem="cifar")
    backbone.trainable = False
    backbone.save(tmp_path / "frozen.keras")
    assert not keras.saving.load_model(tmp_path / "frozen.keras").trainable_variables


def test_saved_backbone_is_the_same(tmp_path):
    backbone = small(genotype="nasnet_c", penultimate_filters=40, stem="cifar", input_shape=(32, 40, 3))
    backbone.save(tmp_path / "backbone.keras")
    loaded = keras.saving.load_model(tmp_path / "backbone.keras")
    assert len(loaded.trainable_variables) == len(backbone.trainable_variables)
    assert type(loaded) is NASNetBackbone and loaded.get_config() == backbone.get_config()
    assert loaded.strides == backbone.strides
    inputs = images(1, 32, 40, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(inputs)), ops.convert_to_numpy(backbone(inputs)))
