"""The two stages are the halves of one network, and crops are those of `tf.image.crop_and_resize`."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.detection.two_stage import crop_proposals, two_stages
from keras_nasnet.genotype import NASNET_A, Block, CellSpec, Genotype
from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.training.network import train_all
from tests.support.toy import GENOTYPE

_POOLING = CellSpec((Block((0, 1), ("max_pool_3x3", "avg_pool_3x3")),), ((0, 2),), 2)
POOLS = Genotype(_POOLING, _POOLING, name="pools", penultimate_ratio=8)
# Cells of one block, F = 8.
SMALL = {"genotype": GENOTYPE, "num_blocks": 1, "penultimate_filters": 64}
MOBILE = SMALL | {"num_blocks": 4}
LARGE = SMALL | {"num_blocks": 6, "stem_filters": 24, "skip_reduction": True}


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def array(tensor):
    return ops.convert_to_numpy(tensor)


def ids(model):
    return {id(variable) for variable in model.variables}


@pytest.mark.parametrize(("options", "cells"), [(LARGE, (10, 11)), (MOBILE, (6, 7))], ids=["large", "mobile"])
def test_the_map_is_two_cells_and_the_second_stage_on_all_of_it_the_whole_network(options, cells):
    backbone = NASNetBackbone(**options)
    proposals, boxes = two_stages(backbone)
    inputs = images(1, 64, 96, 3)
    tapped = keras.Model(backbone.inputs, [backbone.get_layer(f"cell_{cell}").output for cell in cells])
    found = array(proposals(inputs))
    np.testing.assert_allclose(found, np.concatenate([array(tensor) for tensor in tapped(inputs)], -1), atol=1e-5)
    assert found.shape == (1, 4, 6, 2 * 2 * 16) and found.min() < 0
    expected = array(backbone(inputs))
    assert np.ptp(expected) > 0 and expected.min() == 0
    np.testing.assert_allclose(array(boxes(found)), expected, rtol=1e-5, atol=1e-5)
    assert ids(proposals) | ids(boxes) == ids(backbone) and not ids(proposals) & ids(boxes)


@pytest.mark.parametrize(
    "options",
    [
        {"genotype": POOLS, "pool_padding": "keras"},
        {"genotype": POOLS, "pool_padding": "timm"},
        {"genotype": "nasnet_c", "penultimate_filters": 160},
        {"stem": "cifar", "skip_reduction": True},
        {"num_blocks": (1, 2, 1)},
    ],
    ids=["keras pools", "timm pools", "nasnet c", "cifar stem", "stages of unlike length"],
)
def test_other_networks_and_sizes(options):
    backbone = NASNetBackbone(**(SMALL | options))
    proposals, boxes = two_stages(backbone)
    inputs = images(2, 40, 53, 3)
    crops = proposals(inputs)
    stride = backbone.strides["P1" if options.get("stem") == "cifar" else "P4"]
    assert crops.shape[:3] == (2, -(-40 // stride), -(-53 // stride))
    expected = array(backbone(inputs))
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(array(boxes(crops)), expected, rtol=1e-5, atol=1e-5)
    for size, output in ((17, 9), (16, 8), (1, 1)):
        assert boxes(images(3, size, size, crops.shape[-1])).shape == (3, output, output, backbone.output_shape[-1])


@pytest.mark.parametrize(
    ("options", "channels", "features"),
    [
        ({"num_blocks": 6, "penultimate_filters": 4032, "stem_filters": 96, "skip_reduction": True}, 4032, 4032),
        ({"num_blocks": 4, "penultimate_filters": 1056}, 1056, 1056),
    ],
    ids=["large", "mobile"],
)
def test_channels_at_full_size(options, channels, features):
    with without_random_values():
        proposals, boxes = two_stages(NASNetBackbone(**options, input_shape=(1200, 608, 3)))
    assert proposals.output_shape == (None, 75, 38, channels)
    assert boxes.input_shape == (None, None, None, channels)
    assert boxes.compute_output_shape((300, 17, 17, channels)) == (300, 9, 9, features)


def test_gradients_reach_both_halves_through_the_crops():
    tensorflow = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the tape is TensorFlow's")
    backbone = NASNetBackbone(**SMALL)
    proposals, boxes = two_stages(backbone)
    regions = np.array([[[0.0, 0.1, 0.6, 0.9], [0.3, 0.2, 1.0, 1.0]]], "float32")
    with tensorflow.GradientTape() as tape:
        crops = crop_proposals(proposals(images(1, 64, 64, 3), training=True), regions)
        loss = tensorflow.reduce_sum(boxes(crops, training=True) * images(2, 9, 9, 64))
    gradients = tape.gradient(loss, [variable.value for variable in backbone.trainable_variables])
    dead = [v.path for v, g in zip(backbone.trainable_variables, gradients, strict=True) if g is None or not np.any(g)]
    assert dead == []


def test_frozen_batch_norm_keeps_its_statistics_in_both_halves():
    backbone = NASNetBackbone(**SMALL)
    stages = two_stages(backbone)
    statistics = [variable for variable in backbone.variables if "moving_" in variable.path]
    before = [array(variable).copy() for variable in statistics]
    for freeze, moved in ((True, 0), (False, len(statistics))):
        train_all(backbone, freeze_batch_norm=freeze)
        features = images(1, 64, 64, 3)
        for stage in stages:
            features = stage(features, training=True)
        changed = [not np.array_equal(array(v), old) for v, old in zip(statistics, before, strict=True)]
        assert sum(changed) == moved


def test_mixed_precision_keeps_the_dtype_of_the_features():
    proposals, boxes = two_stages(NASNetBackbone(**SMALL, dtype="mixed_bfloat16"))
    features = proposals(images(1, 64, 64, 3))
    crops = crop_proposals(features, [[[0, 0, 1, 1]]])
    assert [keras.backend.standardize_dtype(x.dtype) for x in (features, crops, boxes(crops))] == ["bfloat16"] * 3


def test_networks_that_cannot_be_cut():
    with pytest.raises(ValueError, match=r"read 4 hidden states: .* such as NASNet-A or C"):
        two_stages(NASNetBackbone("nasnet_b", num_blocks=1, penultimate_filters=256))
    cell = NASNET_A.normal.to_dict() | {"num_inputs": 1, "blocks": [{"inputs": [0, 0], "operations": ["identity"] * 2}]}
    cell = CellSpec.from_dict(cell | {"outputs": [[1]]})
    genotype = Genotype(cell, cell, name="one", penultimate_ratio=4)
    with pytest.raises(ValueError, match="read 1 hidden states"):
        two_stages(NASNetBackbone(genotype, num_blocks=1, penultimate_filters=64))
    if keras.backend.backend() != "tensorflow":  # which has no channels_first on CPUs
        with pytest.raises(ValueError, match="is channels_first: the two stages need channels_last"):
            two_stages(NASNetBackbone(**SMALL, data_format="channels_first"))


def test_crops_of_other_channels_are_refused():
    proposals, boxes = two_stages(NASNetBackbone(**SMALL))
    with pytest.raises(ValueError, match="incompatible"):
        boxes(images(1, 17, 17, proposals.output_shape[-1] - 1))


# === Crops ===


def reference(features, regions, size):
    tensorflow = pytest.importorskip("tensorflow")
    owners = np.repeat(np.arange(len(features)), regions.shape[1])
    return tensorflow.image.crop_and_resize(features, regions.reshape(-1, 4), owners, [size, size]).numpy()


@pytest.mark.parametrize("size", [17, 7, 1])
@pytest.mark.parametrize("shape", [(2, 75, 38, 3), (3, 5, 1, 2)])
def test_crops_are_those_of_tensorflow(shape, size):
    random = np.random.default_rng(0)
    features = random.normal(5, 1, shape).astype("float32")
    # Some upside down, some partly or wholly outside, where TensorFlow fills in zeros.
    regions = random.uniform(-0.3, 1.3, (shape[0], 200, 4)).astype("float32")
    regions[0, :4] = [[0, 0, 1, 1], [0.25, 0.5, 0.25, 0.5], [1.5, 1.5, 2, 2], [1, 1, 0, 0]]
    expected = reference(features, regions, size)
    found = array(crop_proposals(features, regions, size))
    assert found.dtype == np.float32 and (expected == 0).any() and (expected != 0).any()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_rows_at_the_edge_are_never_lost_to_rounding():
    random = np.random.default_rng(0)
    regions = random.uniform(0, 1, (1, 3000, 4)).astype("float32")
    regions[..., 2:] = 1
    features = np.ones((1, 75, 75, 1), "float32")
    found = array(crop_proposals(features, regions))
    np.testing.assert_allclose(found, np.ones_like(found), atol=1e-6)
    assert (reference(features, regions, 17) == 0).any()  # TensorFlow's own; else there were no need for our rule


def test_a_whole_map_is_its_own_crop():
    features = images(2, 17, 17, 5)
    np.testing.assert_array_equal(array(crop_proposals(features, np.tile([[[0, 0, 1, 1]]], (2, 1, 1)))), features)


@pytest.mark.parametrize(
    ("features", "regions", "size", "message"),
    [
        ((2, 4, 4, 3), (2, 5, 4), 0, "size is 0: it must be a number of pixels from 1 up"),
        ((2, 4, 4, 3), (2, 5, 4), 17.0, "size is 17.0"),
        ((4, 4, 3), (2, 5, 4), 17, r"features have the shape \(4, 4, 3\)"),
        ((2, 4, 4, 3), (5, 4), 17, r"boxes have the shape \(5, 4\): it must be \(batch, proposals, 4\)"),
        ((2, 4, 4, 3), (2, 5, 5), 17, r"boxes have the shape \(2, 5, 5\)"),
        ((2, 4, 4, 3), (1, 5, 4), 17, "boxes for 1 images, but features of 2"),
    ],
)
def test_what_cannot_be_cropped(features, regions, size, message):
    with pytest.raises(ValueError, match=message):
        crop_proposals(np.zeros(features, "float32"), np.zeros(regions, "float32"), size)


JAX = """
import sys
for name in ("tensorflow", "tf_keras", "official"):
    sys.modules[name] = None  # importing it is an error
import jax, numpy as np
from tests.support.toy import GENOTYPE
from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.detection.two_stage import crop_proposals, two_stages
backbone = NASNetBackbone(GENOTYPE, num_blocks=1, penultimate_filters=32, stem="cifar")
proposals, boxes = two_stages(backbone)
regions = np.array([[[0, 0, 1, 1], [0.1, 0.2, 0.7, 1.2]]], "float32")

@jax.jit
def everything(inputs):
    features = proposals(inputs)
    loss = lambda features: boxes(crop_proposals(features, regions)).sum()
    return features, boxes(features), backbone(inputs), crop_proposals(features, regions), jax.grad(loss)(features)

features, outputs, expected, (whole, part), gradient = everything(np.random.default_rng(0).random((1, 32, 32, 3)))
assert np.ptp(expected) > 0 and np.allclose(outputs, expected, atol=1e-5)
assert np.allclose(whole[::16, ::16], features[0, ::15, ::15], atol=1e-5) and np.any(part) and not np.any(part[:, -1])
assert np.isfinite(gradient).all() and np.any(gradient)
"""


@pytest.mark.slow  # JAX compiles for 20 s
def test_jax_needs_neither_tensorflow_nor_the_model_garden():
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    program = [sys.executable, "-c", JAX]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
