"""The backbone of the Model Garden: variables, gradients, statistics, checkpoints, precision."""

import logging

import numpy as np
import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

import tensorflow as tf
import tf_keras
from official.vision.ops import preprocess_ops

import keras_nasnet
from keras_nasnet.detection.garden import backbone, pretrained
from keras_nasnet.models.weights import copy_weights
from tests.support.small_detector import NETWORK, SIZE, features


def images(count: int = 2, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, size, size, 3)).astype(np.float32)


def statistics(model: tf_keras.Model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.nasnet.items() if "moving_" in name}


def step(model: tf_keras.Model) -> list:
    with tf.GradientTape() as tape:
        outputs = model(images(), training=True)
        loss = tf.add_n([tf.reduce_mean(tf.square(tf.cast(value, tf.float32))) for value in outputs.values()])
        loss += tf.add_n(model.losses) if model.losses else 0.0
    return tape.gradient(loss, model.trainable_variables)


def test_has_every_variable_of_the_network_once_under_its_path():
    model = features()
    network = keras_nasnet.NASNetBackbone(**backbone.network_arguments(backbone.NASNetBackboneConfig(**NETWORK)))
    assert {name: tuple(v.shape) for name, v in model.nasnet.items()} == {v.path: v.shape for v in network.weights}
    assert len(model.trainable_variables) == len(network.trainable_variables)
    assert len(model.variables) == len({id(v) for v in model.variables}) == len(network.weights)
    assert list(features().nasnet) == list(model.nasnet)


def test_levels_have_the_shapes_that_it_promises():
    model = features()
    outputs = model(images())
    assert sorted(outputs) == sorted(model.output_specs) == ["2", "3", "4", "5"]
    for level, value in outputs.items():
        assert model.output_specs[level][1:] == value.shape[1:]
        assert value.shape[1] == SIZE // 2 ** int(level)


def test_computes_what_the_network_computes_on_the_same_pixels():
    model = features(mean=[120.0, 110.0, 100.0], std=[60.0, 61.0, 62.0])
    network = keras_nasnet.NASNetBackbone(**backbone.network_arguments(backbone.NASNetBackboneConfig(**NETWORK)))
    copy_weights(model.pyramid, network)
    pixels = np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3)).astype(np.float32)
    theirs = preprocess_ops.normalize_image(tf.constant(pixels / 255))
    expected = network((pixels - [120.0, 110.0, 100.0]) / [60.0, 61.0, 62.0])
    # Of features that are sums of hundreds, so that what is near zero has their rounding too.
    scale = float(np.abs(expected).max())
    np.testing.assert_allclose(model(theirs)["5"] / scale, expected / scale, rtol=0, atol=1e-5)


def test_gradients_reach_all_that_is_trained():
    gradients = step(features(l2=1e-4))
    assert gradients and all(gradient is not None for gradient in gradients)


def test_statistics_move_in_training_and_stay_where_they_are_frozen():
    for frozen, moves in ((False, True), (True, False)):
        model = features(freeze_batch_norm=frozen)
        before = statistics(model)
        step(model)
        after = statistics(model)
        assert all(np.array_equal(before[name], after[name]) != moves for name in before)
        scales = [name for name in model.nasnet if name.endswith(("gamma", "beta"))]
        trained = {id(v) for v in model.trainable_variables}
        assert all((id(model.nasnet[name]) in trained) == moves for name in scales)


def test_a_frozen_backbone_has_no_gradients_no_penalty_and_keeps_its_statistics():
    model = features(l2=1e-4)
    assert float(tf.add_n(model.losses)) > 0
    count = len(model.variables)
    model.trainable = False
    before = statistics(model)
    assert not model.trainable_variables and len(model.non_trainable_variables) == count
    model(images(), training=True)
    assert float(tf.add_n(model.losses)) == 0
    assert all(np.array_equal(before[name], value) for name, value in statistics(model).items())


def test_the_penalty_is_on_kernels_alone():
    model = features(l2=1e-4)
    kernels = [v for name, v in model.nasnet.items() if name.endswith("kernel")]
    assert float(tf.add_n(model.losses)) == pytest.approx(1e-4 * sum(float(tf.reduce_sum(k**2)) for k in kernels), 1e-5)


def test_a_checkpoint_restores_every_variable(tmp_path):
    model, other = features(), features()
    step(model)
    path = tf.train.Checkpoint(backbone=model).write(str(tmp_path / "backbone"))
    tf.train.Checkpoint(backbone=other).read(path).expect_partial().assert_existing_objects_matched()
    for name, value in model.nasnet.items():
        np.testing.assert_array_equal(value, other.nasnet[name])
    keys = [key for key, _ in tf.train.list_variables(path)]
    assert "backbone/nasnet/stem_convolution.Skernel/.ATTRIBUTES/VARIABLE_VALUE" in keys


def test_a_zoo_entry_becomes_a_checkpoint_of_the_same_network(tmp_path):
    path, config = pretrained.write_checkpoint("nasnet_a_cifar10", tmp_path)
    network = keras_nasnet.load("nasnet_a_cifar10")
    assert (config.stem, config.batch_norm_epsilon) == ("cifar", network.get_config()["batch_norm_epsilon"])
    assert tuple(config.mean) == network.preprocessing.mean
    model = backbone.NASNetFeatures(tf_keras.layers.InputSpec(shape=[None, 32, 32, 3]), config)
    tf.train.Checkpoint(backbone=model).read(path).expect_partial().assert_existing_objects_matched()
    known = {v.path: v.numpy() for v in network.weights}
    assert all(np.array_equal(value, known[name]) for name, value in model.nasnet.items())
    assert sorted(model.output_specs) == ["0", "1", "2"]


def test_no_half_of_a_checkpoint_is_left_where_none_can_be_written(tmp_path):
    place = tmp_path / "file"
    place.write_text("")
    with pytest.raises(ValueError, match="cannot be written"):
        pretrained.write_checkpoint("nasnet_a_cifar10", place)
    with pytest.raises(ValueError, match="no such file or folder"):
        pretrained.write_checkpoint(tmp_path / "nothing", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_both_halves_follow_one_policy():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = features()
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert all(value.dtype == tf.bfloat16 for value in model(tf.cast(images(), tf.bfloat16)).values())
    assert {v.dtype for v in model.variables} == {tf.float32}
    assert all(gradient is not None for gradient in step(model))


def test_a_size_that_its_levels_cannot_halve_is_refused():
    with pytest.raises(ValueError, match="input_size is 80 x 80: both must be multiples of 32"):
        features(80)


def test_an_unknown_network_is_refused():
    with pytest.raises(ValueError, match="model_id is 'resnet': choose from nasnet_a_4_1056_imagenet"):
        features(model_id="resnet")


def test_a_momentum_for_runs_of_days_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        features(batch_norm_momentum=0.9997)
    assert "10,000 steps" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        features()
        features(batch_norm_momentum=0.9997, freeze_batch_norm=True)
    assert not caplog.text


def test_a_genotype_of_ones_own_travels_as_json():
    config = backbone.config_of(keras_nasnet.NASNet("nasnet_c", num_blocks=1, penultimate_filters=160, classes=2))
    assert backbone.network_arguments(config)["genotype"] == keras_nasnet.NASNET_C
    assert backbone.NASNetBackboneConfig(**config.as_dict()).as_dict() == config.as_dict()
