"""The recipe's optimizer, and what is done to gradients before it sees them."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.accelerate.tracing import constant, tensorflow
from keras_nasnet.models.weights import is_head
from keras_nasnet.training.recipe import Recipe
from keras_nasnet.training.schedule import make_schedule


class _TakesSums:
    """An optimizer whose gradients come summed over all replicas: clipping has to see the sum.

    Keras' own would sum them once more under `tf.distribute`.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars


@keras.saving.register_keras_serializable("keras_nasnet")
class FusedSGD(_TakesSums, keras.optimizers.SGD):
    """`keras.optimizers.SGD` with momentum: same arguments, variables and results.

    On TensorFlow a variable's update is one kernel and not six operations, which halves
    the time that tracing the updates of a thousand variables takes.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if keras.backend.backend() != "tensorflow" or not self.momentum:
            super().update_step(gradient, variable, learning_rate)
            return
        tf = tensorflow()
        momentum = self.momentums[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_handle(variable),
            accum=_handle(momentum),
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
            momentum=constant(self.momentum, keras.backend.standardize_dtype(variable.dtype)),
            use_nesterov=self.nesterov,
        )


def _handle(variable: Any) -> Any:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def make_optimizer(
    recipe: Recipe, steps_per_epoch: int, epochs: int | None = None, accumulate: int = 1
) -> keras.optimizers.Optimizer:
    """Return the optimizer of a recipe, with its schedule, EMA and loss scaling.

    Weight decay, clipping and the factor of the body are done by `adjust_gradients`; but the
    optimizer clips where it takes the mean of `accumulate` steps' gradients for one update.
    """
    options: dict[str, Any] = {"learning_rate": make_schedule(recipe, steps_per_epoch, epochs, accumulate)}
    if recipe.ema:
        options |= {"use_ema": True, "ema_momentum": recipe.ema}
    if accumulate > 1:
        options |= {"gradient_accumulation_steps": accumulate, "global_clipnorm": recipe.clip_norm or None}
    optimizer: keras.optimizers.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = FusedSGD(momentum=recipe.momentum, nesterov=recipe.momentum > 0, **options)
    else:
        optimizer = RMSProp(
            rho=recipe.rmsprop_decay, momentum=recipe.momentum, epsilon=recipe.rmsprop_epsilon, **options
        )
    if recipe.dtype == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


@keras.saving.register_keras_serializable("keras_nasnet")
class RMSProp(_TakesSums, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop` as TensorFlow 1 has it, for which the paper's numbers are meant.

    The mean of squares starts at 1, not at 0, and epsilon is below the root in both. With
    epsilon = 1 a mean that starts at 0 would make the first steps up to 1.4 times as long.

    Source: tf.compat.v1.train.RMSPropOptimizer.
    """

    def build(self, variables: Sequence[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        for mean in self._velocities:
            mean.assign(ops.ones(mean.shape))


def is_decayed(variable: keras.Variable) -> bool:
    """Return whether weight decay applies to a variable: to kernels, and neither to BN nor to biases."""
    return "kernel" in variable.name


def adjust_gradients(
    gradients: Sequence[Any],
    values: Sequence[Any],
    variables: Sequence[keras.Variable],
    recipe: Recipe,
    scale: Any = 1.0,
) -> list[Any]:
    """Return gradients with weight decay, clipped to a global norm, and smaller for the body; in this order.

    Args:
        gradients: of the loss times `scale`, summed over all devices.
        values: of the variables, as tensors.
        variables: the trainable variables, for their names.
        recipe: gives weight_decay, clip_norm and body_learning_rate.
        scale: the loss scale of float16.
    """
    adjusted = list(gradients)
    if recipe.weight_decay:
        decay = ops.cast(recipe.weight_decay * scale, "float32")  # one constant in a graph, not one a variable
        adjusted = [
            gradient + decay * value if is_decayed(variable) else gradient
            for gradient, value, variable in zip(adjusted, values, variables, strict=True)
        ]
    if recipe.clip_norm:
        norm = _global_norm(adjusted)
        limit = recipe.clip_norm * scale
        factor = limit / ops.maximum(norm, limit)
        adjusted = [gradient * factor for gradient in adjusted]
    if recipe.body_learning_rate != 1:
        adjusted = [
            gradient if is_head(variable) else gradient * recipe.body_learning_rate
            for gradient, variable in zip(adjusted, variables, strict=True)
        ]
    return adjusted


def _global_norm(tensors: Sequence[Any]) -> Any:
    if keras.backend.backend() == "tensorflow":  # a kernel a tensor, not four operations
        return tensorflow().linalg.global_norm(tensors)
    return ops.sqrt(sum(ops.sum(ops.square(tensor)) for tensor in tensors))
