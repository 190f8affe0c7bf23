"""A detector's folder: the experiment, the class names and the checkpoints, of a run or of an export."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import yaml
from official.core import exp_factory, task_factory

from keras_nasnet.detection.garden import experiments

PARAMS, CLASS_NAMES = "params.yaml", "class_names.json"
CHECKPOINTS = "checkpoint"  # an export's folder of them
RECORDS = "records"  # a run's folder of what it reads


def write_params(params: Any, folder: Path) -> None:
    """Writes an experiment; the file appears when it is whole."""
    _write(folder / PARAMS, yaml.safe_dump(params.as_dict(), sort_keys=True))


def write_class_names(class_names: tuple[str, ...], folder: Path) -> None:
    """Writes the names of classes 1, 2, ... of the network."""
    _write(folder / CLASS_NAMES, json.dumps(list(class_names), indent=1, ensure_ascii=False) + "\n")


def write_json(data: Any, path: Path) -> None:
    """Writes JSON; the file appears when it is whole."""
    _write(path, json.dumps(data, ensure_ascii=False) + "\n")


def read_params(folder: Path) -> Any:
    """Returns the experiment of a folder.

    Raises:
        ValueError: if there is none, or it is not one of this package.
    """
    path = folder / PARAMS
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        params = exp_factory.get_exp_config(experiments.FASTER_RCNN)
        params.override(data, is_strict=True)
    except FileNotFoundError:
        raise ValueError(f"{folder}: no detector in this folder (no {PARAMS})") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: not a detector's experiment ({' '.join(str(error).split())[:200]})") from None
    return params


def copy_of(params: Any) -> Any:
    """Returns an experiment of its own with the same settings, unlocked."""
    copied = exp_factory.get_exp_config(experiments.FASTER_RCNN)
    copied.override(params.as_dict(), is_strict=True)
    return copied


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Returns the names of classes 1, 2, ... of the network.

    Raises:
        ValueError: if the file is missing or no list of names.
    """
    path = folder / CLASS_NAMES
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("it must be a list of names")
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: no class names ({' '.join(str(error).split())})") from None
    return tuple(names)


def latest_checkpoint(folder: Path) -> str | None:
    """Returns the prefix of the newest checkpoint of a run or an export, or None."""
    inner = folder / CHECKPOINTS
    try:
        return tf.train.latest_checkpoint(str(inner if inner.is_dir() else folder))
    except (ValueError, tf.errors.OpError):  # its list of checkpoints is damaged
        return None


def is_detector(folder: Path) -> bool:
    """Whether a folder is that of a detector."""
    return (folder / PARAMS).is_file()


def build(params: Any, folder: Path) -> Any:
    """Returns the Garden's model with the weights of a folder's newest checkpoint.

    Raises:
        ValueError: if there is no checkpoint, it is damaged, or not this experiment's.
    """
    model = task_factory.get_task(params.task).build_model()
    restore(model, folder)
    return model


def restore(model: Any, folder: Path) -> None:
    """Reads a model, or a part of one, from a folder's newest checkpoint.

    Raises:
        ValueError: if there is no checkpoint, it is damaged, or of another model.
    """
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        raise ValueError(f"{folder}: no checkpoint in this folder")
    try:
        status = tf.train.Checkpoint(model=model).read(checkpoint)
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        text = " ".join(str(error).split())[:200]
        raise ValueError(f"{folder}: its checkpoint is damaged or of another network ({text})") from None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def override(params: Any, settings: Sequence[str]) -> None:
    """Replaces settings of an experiment: "task.model.rpn_head.num_convs=2", values in YAML.

    Raises:
        ValueError: if there is no such setting, or it cannot have this value.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"a setting is NAME=VALUE, not {setting!r}")
        try:
            data: Any = yaml.safe_load(value)
            for part in reversed(name.split(".")):
                data = {part: data}
            params.override(data, is_strict=True)
        except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{setting}: no such setting or value ({' '.join(str(error).split())[:200]})") from None


def check_same(params: Any, folder: Path) -> None:
    """Checks that a run in a folder is of this experiment.

    Raises:
        ValueError: if it is another, with the first setting that differs.
    """
    theirs, ours = (dict(_flat(each.as_dict())) for each in (read_params(folder), params))
    for name in sorted(theirs.keys() | ours.keys()):
        if name.startswith("runtime."):  # a run may go on with more GPUs or fewer
            continue
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"{folder} holds another run: its {name} is {theirs.get(name)!r}, not {ours.get(name)!r}; "
                "give the same options, or choose another folder"
            )


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
