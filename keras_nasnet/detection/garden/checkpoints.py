"""The checkpoints of a detector, of a run or of an export: the newest is found and read."""

from pathlib import Path
from typing import Any

import tensorflow as tf
from official.core import task_factory

from keras_nasnet.common.errors import one_line
from keras_nasnet.detection.detector_folder import CHECKPOINTS


def latest(folder: Path) -> str | None:
    """Return the prefix of the newest checkpoint of a run or an export, or None."""
    inner = folder / CHECKPOINTS
    try:
        return tf.train.latest_checkpoint(str(inner if inner.is_dir() else folder))
    except (ValueError, tf.errors.OpError):  # its list of checkpoints is damaged
        return None


def step_of(prefix: str) -> int:
    """Return the number of the training step after which a checkpoint was written."""
    return int(prefix.rpartition("-")[2])


def build(params: Any, folder: Path) -> Any:
    """Return the Garden's model of an experiment, with the weights of a folder's newest checkpoint.

    Raises:
        ValueError: if there is no checkpoint, it is damaged, or not this experiment's.
    """
    checkpoint = _newest(folder)
    model = task_factory.get_task(params.task).build_model()
    _read(model, checkpoint, folder)
    return model


def restore(model: Any, folder: Path) -> None:
    """Read a model, or a part of one, from a folder's newest checkpoint.

    Raises:
        ValueError: if there is no checkpoint, it is damaged, or of another model.
    """
    _read(model, _newest(folder), folder)


def _newest(folder: Path) -> str:
    checkpoint = latest(folder)
    if checkpoint is None:
        raise ValueError(f"{folder}: no checkpoint in this folder")
    return checkpoint


def _read(model: Any, checkpoint: str, folder: Path) -> None:
    try:
        status = tf.train.Checkpoint(model=model).read(checkpoint)
        status.expect_partial().assert_existing_objects_matched()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        text = one_line(error, 200)
        raise ValueError(f"{folder}: its checkpoint is damaged or of another network ({text})") from None
