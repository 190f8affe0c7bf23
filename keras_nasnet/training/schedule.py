"""The learning rate as a function of the step, on every backend."""

import math
from typing import Any

import keras
from keras import ops

from keras_nasnet.training.recipe import Recipe


@keras.saving.register_keras_serializable("keras_nasnet")
class WarmUpSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from 0, then a decay.

    Args:
        shape: one of `recipe.SCHEDULES`: "cosine" (half a period down to 0), "exponential"
            (x `decay_rate` at once each `decay_steps`, as TF-slim's staircase),
            "one_cycle" (linear down to 0) or "constant".
        peak: the learning rate at the end of the rise.
        total_steps: where cosine and one_cycle reach 0.
        warm_up_steps: length of the rise; 0 for none.
        decay_rate: of "exponential".
        decay_steps: of "exponential", counted from step 0.
        accumulate: the optimizer's steps that make up one update, which is what `total_steps` and the others count.
    """

    def __init__(
        self,
        shape: str,
        peak: float,
        total_steps: int,
        warm_up_steps: int = 0,
        decay_rate: float = 1.0,
        decay_steps: int = 1,
        accumulate: int = 1,
    ):
        self.shape = shape
        self.peak = peak
        self.total_steps = total_steps
        self.warm_up_steps = warm_up_steps
        self.decay_rate = decay_rate
        self.decay_steps = decay_steps
        self.accumulate = accumulate

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step // self.accumulate, "float32")
        rise = 1.0 if self.warm_up_steps == 0 else ops.minimum(1.0, (step + 1.0) / self.warm_up_steps)
        rest = max(1, self.total_steps - self.warm_up_steps)
        done = ops.clip((step - self.warm_up_steps) / rest, 0.0, 1.0)
        if self.shape == "cosine":
            fall = 0.5 * (1.0 + ops.cos(math.pi * done))
        elif self.shape == "one_cycle":
            fall = 1.0 - done
        elif self.shape == "exponential":
            fall = ops.power(self.decay_rate, ops.floor(step / self.decay_steps))
        else:
            fall = ops.ones_like(step)
        return self.peak * rise * fall

    def get_config(self) -> dict[str, Any]:
        return dict(vars(self))


def make_schedule(
    recipe: Recipe, steps_per_epoch: int, epochs: int | None = None, accumulate: int = 1
) -> WarmUpSchedule:
    """Return the recipe's schedule for this many updates an epoch, over `epochs` (default: the recipe's)."""
    return WarmUpSchedule(
        recipe.schedule,
        recipe.scaled_learning_rate,
        steps_per_epoch * (recipe.epochs if epochs is None else epochs),
        round(recipe.warm_up_epochs * steps_per_epoch),
        recipe.decay_rate,
        max(1, round(recipe.decay_epochs * steps_per_epoch)),
        accumulate,
    )
