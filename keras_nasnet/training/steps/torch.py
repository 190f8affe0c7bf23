"""A training step on PyTorch, on one device."""

from typing import Any

import keras
import torch

from keras_nasnet.training.devices import Devices
from keras_nasnet.training.objective import Objective
from keras_nasnet.training.optimizer import adjust_gradients
from keras_nasnet.training.recipe import Recipe


class TorchStep:
    """Train and evaluate an objective batch by batch, on one device.

    Args:
        objective: to be trained.
        optimizer: built here on the trainable variables.
        recipe: for `adjust_gradients`.
        devices: not looked at: there is one.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        recipe: Recipe,
        devices: Devices,
    ):
        self._objective = objective
        self._optimizer = optimizer
        self._recipe = recipe
        self._variables = objective.trainable_variables
        optimizer.build(self._variables)

    @property
    def state(self) -> list[keras.Variable]:
        return [*self._objective.variables, *self._optimizer.variables]

    def sync(self) -> None:
        """Nothing to do: the variables are always up to date."""

    def changed(self) -> None:
        """Nothing to do."""

    def train(self, images: Any, labels: Any, progress: float) -> dict[str, Any]:
        for variable in self._variables:
            variable.value.grad = None
        sums = self._objective(_place(images), _place(labels), progress=progress, training=True)
        scale = self._optimizer.scale_loss(1.0)
        (sums["loss"] / sums["examples"] * scale).backward()
        with torch.no_grad():
            gradients = [torch.zeros_like(v.value) if v.value.grad is None else v.value.grad for v in self._variables]
            values = [variable.value for variable in self._variables]
            self._optimizer.apply(
                adjust_gradients(gradients, values, self._variables, self._recipe, scale), self._variables
            )
        return {name: value.detach() for name, value in sums.items() if name != "predicted"}

    def evaluate(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        with torch.no_grad():
            return self._objective(_place(images), _place(labels), _place(weights))


def _place(array: Any) -> Any:
    return keras.ops.convert_to_tensor(array)
