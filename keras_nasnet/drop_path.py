"""DropPath: drops whole branches of a cell, each example on its own."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_nasnet")
class DropPath(keras.layers.Layer):
    """While training, zeroes the tensor of an example with probability `rate`, else divides by 1 - rate.

    Source: FractalNet; TF-slim's nasnet_utils.drop_path.

    Args:
        rate: probability in [0, 1).
        seed: seed of its random numbers; default: a random one.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate!r}: it must be from 0 up, below 1")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"rate": self.rate, "seed": self.seed}

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        if not training or self.rate == 0:
            return inputs
        keep = 1.0 - self.rate
        shape = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        kept = keras.random.uniform(shape, seed=self.seed_generator) < keep
        return inputs * ops.cast(kept, inputs.dtype) / keep

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def drop_path_rates(last_rate: float, cells: int) -> list[float]:
    """Rates of each of `cells` cells: linear in depth, `last_rate` in the last (the paper's ScheduledDropPath)."""
    return [last_rate * (cell + 1) / cells for cell in range(cells)]
