"""Steps: one update, or one evaluation, of an objective on the backend that runs."""

from collections.abc import Callable
from typing import Any, Protocol

import keras

from keras_nasnet.common.registry import Registry
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.objective import Objective
from keras_nasnet.training.recipe import Recipe


class Step(Protocol):
    """What the training loop needs of a backend.

    Attributes:
        state: all variables that a checkpoint needs, up to date after `sync`.
    """

    @property
    def state(self) -> list[keras.Variable]: ...

    def train(self, images: Any, labels: Any, progress: float) -> dict[str, Any]:
        """Update the weights from this process' part of a batch.

        Returns:
            "loss", "right" and "examples": sums over the whole batch, scalars that may still be computed: to convert
            them to numbers waits for them.
        """
        ...

    def evaluate(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        """Return the sums, and "predicted" (batch,), of this process' part of a batch."""
        ...

    def sync(self) -> None:
        """Bring the variables up to date."""
        ...

    def changed(self) -> None:
        """Take note that variables were assigned to."""
        ...


# One row a backend of Keras, imported only where it runs.
STEPS: Registry[Callable[[Objective, keras.optimizers.Optimizer, Recipe, Devices], Step]] = Registry(
    "backend",
    {
        "tensorflow": "keras_nasnet.training.steps.tensorflow:TensorFlowStep",
        "jax": "keras_nasnet.training.steps.jax:JaxStep",
        "torch": "keras_nasnet.training.steps.torch:TorchStep",
    },
)


def make_step(objective: Objective, optimizer: keras.optimizers.Optimizer, recipe: Recipe, devices: Devices) -> Step:
    """Return the step of the backend that runs; call it within `devices.scope()`.

    Args:
        objective: built within that scope.
        optimizer: likewise; the step builds it on the trainable variables.
        recipe: says what is done to gradients, see `optimizer.adjust_gradients`.
        devices: that share a batch.
    """
    return STEPS.get(keras.backend.backend())(objective, optimizer, recipe, devices)
