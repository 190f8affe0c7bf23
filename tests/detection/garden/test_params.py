"""params.yaml of a detector that comes from anyone: refused in one line, before memory or time is spent on it."""

import os

import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

import tensorflow as tf
import yaml

from keras_nasnet.detection.detector_folder import write_class_names
from keras_nasnet.detection.garden.model import FasterRCNN
from keras_nasnet.detection.garden.params import override, read_params, write_params
from tests.support.small_detector import experiment

ALIASES = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 10)]
)


def with_settings(folder, settings):
    params = experiment()
    write_params(params, folder)
    data = yaml.safe_load((folder / "params.yaml").read_text())
    for name, value in settings.items():
        place = data
        *above, last = name.split(".")
        for part in above:
            place = place[part]
        place[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(data))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ALIASES, "more than 1,000,000 values"),
        ("[" * 10_000, "too deeply"),
        (f"task: {'9' * 400}", "64 bits"),
        ("task: !!python/object/apply:os.system ['false']", "not YAML"),
        ("\ufeff\x00", "not YAML"),
        ("just text", ""),
        ("[1, 2]", ""),
        ("task: {model: {backbone: {nasnet: {model_id: x}}}}", "model_id"),
        ("task: {model: 5}", ""),
    ],
)
def test_a_file_that_asks_too_much_is_refused_in_a_line(tmp_path, text, message):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(ValueError, match="not a detector's experiment") as error:
        read_params(tmp_path)
    assert message in str(error.value) and str(error.value).isprintable() and len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task.model.num_classes", 10**9),
        ("task.model.num_classes", -1),
        ("task.model.input_size", [10**6, 10**6, 3]),
        ("task.model.input_size", []),
        ("task.model.max_level", 60),
        ("task.model.decoder.fpn.num_filters", 10**9),
        ("task.model.rpn_head.num_convs", 10**9),
        ("task.model.detection_head.fc_dims", 10**9),
        ("task.model.roi_generator.num_proposals", 10**9),
        ("task.model.anchor.num_scales", 10**9),
        ("task.model.anchor.aspect_ratios", [1.0] * 10_000),
    ],
)
def test_a_network_without_measure_is_refused(tmp_path, name, value):
    with_settings(tmp_path, {name: value})
    with pytest.raises(ValueError, match="not a detector's experiment") as error:
        read_params(tmp_path)
    assert name.rpartition(".")[2] in str(error.value)


def test_a_sound_one_is_read_and_a_pipe_is_not(tmp_path):
    with_settings(tmp_path, {})
    assert read_params(tmp_path).as_dict() == experiment().as_dict()
    (tmp_path / "params.yaml").unlink()
    with pytest.raises(ValueError, match=r"no detector in this folder \(no params.yaml\)"):
        read_params(tmp_path)
    os.mkfifo(tmp_path / "params.yaml")
    with pytest.raises(ValueError, match="a pipe or a device"):
        read_params(tmp_path)


@pytest.mark.parametrize("setting", ["task.model.num_classes=[", "task.nothing=1", "task.model=5", f"task={'9' * 400}"])
def test_settings_that_are_none_are_refused_in_a_line(setting):
    with pytest.raises(ValueError, match="no such setting or value") as error:
        override(experiment(), [setting])
    assert "\n" not in str(error.value)


def test_settings_that_do_not_fit_each_other_are_refused_in_a_line(tmp_path):
    with_settings(
        tmp_path, {"task.model.anchor.aspect_ratios": ["x"], "task.model.detection_generator.nms_version": "x"}
    )
    write_class_names(("a", "b"), tmp_path)
    tf.train.Checkpoint().save(str(tmp_path / "ckpt"))
    with pytest.raises(ValueError, match=r"cannot be built|not a detector|damaged") as error:
        FasterRCNN.load(tmp_path)
    assert "\n" not in str(error.value)
