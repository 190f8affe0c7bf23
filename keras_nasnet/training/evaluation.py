"""The evaluation of a network on a split, with all devices and workers at work."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_nasnet.accelerate.averages import weights_and_averages
from keras_nasnet.data.split import Split
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.steps.contract import Step


@dataclass(frozen=True)
class Scores:
    """What a network scores on a split of a dataset.

    Args:
        loss: mean cross entropy.
        accuracy: share of examples whose most probable class is right.
        accuracy_5: share whose five most probable classes contain it.
        examples: number of examples.
        confusion: int64 (classes, classes): examples of the row's class taken for the column's.

    Example:
        >>> confusion = np.array([[40, 10], [5, 45]])
        >>> scores = Scores(loss=0.4, accuracy=0.85, accuracy_5=1.0, examples=100, confusion=confusion)
        >>> print(confusion.trace() / scores.examples)
        0.85
    """

    loss: float
    accuracy: float
    accuracy_5: float
    examples: int
    confusion: np.ndarray


def evaluate(step: Step, split: Split, batch: int, classes: int, devices: Devices) -> Scores:
    """Return the scores of a network on a whole split, the same on every worker.

    Args:
        step: that trains the network.
        split: to be evaluated on.
        batch: examples at a time, over all devices.
        classes: number of classes.
        devices: that share each batch.
    """
    share = batch // devices.workers
    confusion = np.zeros((classes, classes), np.int64)
    results = []
    for images, labels in split.eval_batches(batch, devices.shard):
        labels = np.asarray(labels)
        images, padded, weights = _filled(np.asarray(images), labels, share)
        result = step.evaluate(images, padded, weights)
        predicted = keras.ops.convert_to_numpy(result.pop("predicted"))[: len(labels)]
        np.add.at(confusion, (labels, predicted), 1)
        results.append([float(keras.ops.convert_to_numpy(result[name])) for name in ("loss", "right", "right_5")])
    sums = np.sum(np.asarray(results, np.float64).reshape(-1, 3), axis=0)
    total = devices.total(np.concatenate([sums, confusion.ravel().astype(np.float64)]))
    confusion = total[3:].astype(np.int64).reshape(classes, classes)
    examples = int(confusion.sum())
    loss, right, right_5 = (float(value) / examples for value in total[:3])
    return Scores(loss, right, right_5, examples, confusion)


def _filled(images: np.ndarray, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a batch filled up to a size, so that no batch needs a graph of its own, and its examples' weights."""
    missing = size - len(labels)
    weights = np.concatenate([np.ones(len(labels), np.float32), np.zeros(missing, np.float32)])
    if missing == 0:
        return images, labels, weights
    images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)])
    return images, np.concatenate([labels, np.zeros(missing, labels.dtype)]), weights


@contextlib.contextmanager
def averaged_weights(step: Step, optimizer: keras.optimizers.Optimizer) -> Iterator[None]:
    """Return a context in which the weights are their moving averages, where the optimizer keeps those."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not inner.use_ema:
        yield
        return
    step.sync()
    pairs = weights_and_averages(inner)
    _swap(pairs)
    step.changed()
    try:
        yield
    finally:
        _swap(pairs)
        step.changed()


def _swap(pairs: list[tuple[Any, Any]]) -> None:
    for variable, average in pairs:
        value = np.array(keras.ops.convert_to_numpy(variable))  # a copy: on PyTorch it is the variable's own memory
        variable.assign(keras.ops.convert_to_numpy(average))
        average.assign(value)
