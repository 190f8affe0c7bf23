"""The registered experiments: built, trained a step, distributed."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

import tensorflow as tf
import tf_keras
import yaml
from official.core import exp_factory

from keras_nasnet.detection.garden import experiments
from tests.support import SUPPORT
from tests.support.small_detector import batch, experiment, features, task_and_model


def test_experiments_are_those_of_the_garden_with_another_backbone():
    mobile, large, retinanet = (
        exp_factory.get_exp_config(name)
        for name in (experiments.FASTER_RCNN, experiments.FASTER_RCNN_LARGE, experiments.RETINANET)
    )
    theirs = exp_factory.get_exp_config("fasterrcnn_resnetfpn_coco")
    assert mobile.trainer.as_dict() == theirs.trainer.as_dict()
    assert mobile.task.model.rpn_head.as_dict() == theirs.task.model.rpn_head.as_dict()
    assert mobile.task.model.backbone.get().model_id == "nasnet_a_4_1056_imagenet"
    assert large.task.model.backbone.get().model_id == "nasnet_a_6_4032_imagenet"
    assert retinanet.task.model.backbone.get().model_id == "nasnet_a_4_1056_imagenet"


def test_yaml_replaces_what_it_names_and_no_more(tmp_path):
    config = exp_factory.get_exp_config(experiments.FASTER_RCNN)
    path = tmp_path / "own.yaml"
    path.write_text("task: {model: {backbone: {nasnet: {num_blocks: [3, 3, 4], genotype: nasnet_b}}}}")
    config.override(yaml.safe_load(path.read_text()), is_strict=True)
    network = config.task.model.backbone.nasnet
    assert (network.genotype, list(network.num_blocks)) == ("nasnet_b", [3, 3, 4])
    with pytest.raises(KeyError):
        config.override({"task": {"model": {"backbone": {"nasnet": {"blocks": 3}}}}}, is_strict=True)


def test_a_size_that_the_highest_level_does_not_divide_is_refused():
    config = experiment(model={"input_size": [80, 64, 3]})
    with pytest.raises(ValueError, match=r"input_size is 80 x 64: .* 2 \*\* max_level = 32, for example 96 x 64"):
        task_and_model(config)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_step_changes_what_it_should(frozen):
    config = experiment(freeze_backbone=frozen)
    task, model = task_and_model(config)
    before = {name: value.numpy() for name, value in model.backbone.nasnet.items()}
    rest = [v.numpy() for v in model.rpn_head.trainable_variables]
    logs = task.train_step(batch(config), model, tf_keras.optimizers.legacy.SGD(0.1))
    assert np.isfinite(float(logs["loss"]))
    changed = [name for name, value in model.backbone.nasnet.items() if not np.array_equal(value, before[name])]
    assert len(changed) == (0 if frozen else len(before))
    assert any(not np.array_equal(v, w) for v, w in zip(model.rpn_head.trainable_variables, rest, strict=True))


def test_a_step_in_bfloat16_is_finite_and_trains_float32_variables():
    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        config = experiment()
        task, model = task_and_model(config)
        images, labels = batch(config)
        logs = task.train_step((tf.cast(images, tf.bfloat16), labels), model, tf_keras.optimizers.legacy.SGD(0.1))
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    assert np.isfinite(float(logs["loss"]))
    assert model.backbone.compute_dtype == "bfloat16" and {v.dtype for v in model.trainable_variables} == {tf.float32}


def test_a_backbones_checkpoint_starts_a_detector(tmp_path):
    trained = features()
    path = tf.train.Checkpoint(backbone=trained).write(str(tmp_path / "backbone"))
    task, model = task_and_model(experiment(init_checkpoint=path, init_checkpoint_modules="backbone"))
    task.initialize(model)
    assert all(np.array_equal(value, trained.nasnet[name]) for name, value in model.backbone.nasnet.items())


def test_retinanet_builds_and_has_the_same_backbone():
    _, model = task_and_model(experiment(experiments.RETINANET))
    assert set(model.backbone.nasnet) == set(features().nasnet)
    outputs = model(tf.zeros([1, 64, 64, 3]), training=True)
    assert sorted(outputs["cls_outputs"]) == ["3", "4", "5"]


@pytest.mark.slow
def test_two_replicas_share_their_statistics_and_stay_equal():
    """In a process of its own: logical devices are made before TensorFlow starts."""
    found = json.loads(subprocess.check_output([sys.executable, str(SUPPORT / "two_replicas.py")]))
    assert found["variables"] == len(features().trainable_variables)
    assert found["difference_between_replicas"] == 0
    assert found["difference_from_one_device"] < 1e-5
    assert found["statistics_moved"]
