"""A training step on JAX, on one device or, as `keras.distribution.DataParallel`, on all local ones."""

from typing import Any

import jax
import keras

from keras_nasnet.training.devices import Devices
from keras_nasnet.training.objective import Objective
from keras_nasnet.training.optimizer import adjust_gradients
from keras_nasnet.training.recipe import Recipe


class JaxStep:
    """Train and evaluate an objective batch by batch; between `sync` calls its state is here, not in the variables.

    Args:
        objective: to be trained.
        optimizer: built here on the trainable variables.
        recipe: for `adjust_gradients`.
        devices: not looked at: JAX takes the distribution that is set within their scope.
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
        self._trainable = objective.trainable_variables
        optimizer.build(self._trainable)
        self._train = jax.jit(self._train_step, donate_argnums=0)
        self._evaluate = jax.jit(self._evaluate_step)
        self._values: tuple[list[Any], list[Any], list[Any]] | None = None
        self._synced = True

    @property
    def state(self) -> list[keras.Variable]:
        return [*self._objective.variables, *self._optimizer.variables]

    def sync(self) -> None:
        """Write the state into the variables."""
        if self._values is None or self._synced:
            return
        for variables, values in zip(self._groups(), self._values, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        self._synced = True

    def changed(self) -> None:
        self._values = None

    def train(self, images: Any, labels: Any, progress: float) -> dict[str, Any]:
        if self._values is None:
            # Copies: a step gives its input state's memory away.
            trainable, others, slots = ([jax.numpy.array(v.value) for v in group] for group in self._groups())
            self._values = trainable, others, slots
        self._values, sums = self._train(self._values, _place(images), _place(labels), progress)
        self._synced = False
        return sums

    def evaluate(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        self.sync()
        trainable, others, _ = ([v.value for v in group] for group in self._groups())
        return self._evaluate(trainable, others, _place(images), _place(labels), _place(weights))

    def _groups(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self._trainable, self._objective.non_trainable_variables, self._optimizer.variables

    def _train_step(self, state: Any, images: Any, labels: Any, progress: Any) -> Any:
        trainable, others, slots = state
        with keras.StatelessScope(list(zip(self._optimizer.variables, slots, strict=True))):
            scale = self._optimizer.scale_loss(1.0)

        def loss(trainable: list[Any]) -> Any:
            sums, others_after = self._objective.stateless_call(
                trainable, others, images, labels, progress=progress, training=True
            )
            return sums["loss"] / sums["examples"] * scale, (sums, others_after)

        gradients, (sums, others) = jax.grad(loss, has_aux=True)(trainable)
        gradients = adjust_gradients(gradients, trainable, self._trainable, self._recipe, scale)
        trainable, slots = self._optimizer.stateless_apply(slots, gradients, trainable)
        sums.pop("predicted")
        return (trainable, others, slots), sums

    def _evaluate_step(self, trainable: Any, others: Any, images: Any, labels: Any, weights: Any) -> Any:
        results, _ = self._objective.stateless_call(trainable, others, images, labels, weights)
        return results


def _place(array: Any) -> Any:
    """Return the array on the device, or in equal parts on all devices of the distribution that is set."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return jax.numpy.asarray(array)
    layout = distribution.get_data_layout(array.shape)
    return jax.device_put(array, layout.backend_layout)
