"""Step: one update, or one evaluation, of an objective on whatever backend runs."""

from typing import Any, Protocol

import keras

from keras_nasnet.training.devices import Devices
from keras_nasnet.training.objective import Objective
from keras_nasnet.training.recipe import Recipe


class Step(Protocol):
    """What the loop needs of a backend.

    Attributes:
        state: all variables that a checkpoint needs, up to date after `sync`.
    """

    @property
    def state(self) -> list[keras.Variable]: ...

    def train(self, images: Any, labels: Any, progress: float) -> dict[str, Any]:
        """Updates from this process' part of a batch; returns "loss", "right", "examples": sums over all of it.

        The sums may still be computing: converting them to numbers waits.
        """
        ...

    def evaluate(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        """Returns the sums, and "predicted" (batch,), of this process' part of a batch."""
        ...

    def sync(self) -> None:
        """Brings the variables up to date."""
        ...

    def changed(self) -> None:
        """Says that variables were assigned to."""
        ...


def make_step(objective: Objective, optimizer: keras.optimizers.Optimizer, recipe: Recipe, devices: Devices) -> Step:
    """Returns the backend's step; call it within `devices.scope()`."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from keras_nasnet.training.steps.tensorflow import TensorFlowStep

        return TensorFlowStep(objective, optimizer, recipe, devices.tf_strategy)
    if backend == "jax":
        from keras_nasnet.training.steps.jax import JaxStep

        return JaxStep(objective, optimizer, recipe)
    from keras_nasnet.training.steps.torch import TorchStep

    return TorchStep(objective, optimizer, recipe)
