"""The training of a child: the steps of `keras_nasnet.training`, without the files that a run of a network leaves.

`training.loop.Run` keeps checkpoints, curves and a model for people, which for a child of a
minute would take longer than some of its epochs; a child that is lost is trained again.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import keras

from keras_nasnet.common.errors import Diverged
from keras_nasnet.data.split import Batch, Dataset
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.evaluation import Scores, evaluate
from keras_nasnet.training.loop import FETCH_STEPS
from keras_nasnet.training.objective import Objective, make_augmentation
from keras_nasnet.training.optimizer import make_optimizer
from keras_nasnet.training.recipe import Recipe
from keras_nasnet.training.steps.contract import make_step


def train_child(
    child: NASNet, recipe: Recipe, dataset: Dataset, devices: Devices, accumulate: int = 1, first_epoch: int = 0
) -> Scores:
    """Train a child and return how right it is on the validation split. Call it within `devices.scope()`.

    Args:
        child: its weights are where training starts, and are trained when this returns.
        recipe: gives batch, epochs, learning rate and its schedule, augmentation, decay, clipping and seed.
        dataset: what is trained on, and judged on.
        devices: that share each batch.
        accumulate: parts in which each batch is taken. Their gradients are added, so that the update is
            that of the whole batch, but for batch normalization, which sees a part at a time.
        first_epoch: epochs that were trained before, whose part of the schedule is over.

    Raises:
        Diverged: if the loss is not finite.
        ValueError: if the batch cannot be shared out, or is larger than the training set.
    """
    steps = dataset.train.size // recipe.batch
    part = recipe.batch // accumulate
    devices.check_batch(part)
    if part * accumulate != recipe.batch:
        raise ValueError(f"batch is {recipe.batch}: it cannot be taken in {accumulate} equal parts")
    if steps == 0:
        raise ValueError(f"batch is {recipe.batch}, but there are {dataset.train.size} training images")
    objective = Objective(child, recipe, make_augmentation(recipe, child))
    optimizer = make_optimizer(recipe, steps, accumulate=accumulate)
    if accumulate > 1:
        recipe = replace(recipe, clip_norm=0.0)  # the optimizer clips: only it sees the whole batch's gradient
    step = make_step(objective, optimizer, recipe, devices)
    for variable in optimizer.variables:
        if variable.name == "iteration":  # by which the schedule goes
            variable.assign(first_epoch * steps * accumulate)
    number: float = first_epoch * steps
    total = recipe.epochs * steps
    pending: list[Any] = []
    for epoch in range(first_epoch, recipe.epochs):
        batches = dataset.train.train_batches(recipe.batch, epoch, recipe.seed, shard=devices.shard)
        for images, labels in _parts(batches, accumulate):
            pending.append(step.train(images, labels, number / total)["loss"])
            number += 1 / accumulate
            if len(pending) == FETCH_STEPS:
                _check(pending)
    _check(pending)
    step.sync()
    evaluation = evaluate(step, dataset.validation, part, len(dataset.class_names), devices)
    if not math.isfinite(evaluation.loss):
        raise Diverged(f"the loss of the held-out images is {evaluation.loss}")
    return evaluation


def _parts(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    for images, labels in batches:
        size = len(labels) // count
        for start in range(0, len(labels), size):
            yield images[start : start + size], labels[start : start + size]


def _check(losses: list[Any]) -> None:
    """Raise Diverged unless the losses, for which nobody has waited yet, are finite; forget them."""
    for loss in losses:
        value = float(keras.ops.convert_to_numpy(loss))
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value}")
    losses.clear()
