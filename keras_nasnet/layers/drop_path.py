"""DropPath: drops whole branches of a cell, each example on its own, more of them as training goes on."""

from typing import Any

import keras
from keras import ops

from keras_nasnet.accelerate.contents import all_layers


class DropPathProgress(keras.random.SeedGenerator):
    """How far training has come, 0 to 1: every `DropPath` of a model reads the same one.

    A state, not a weight: like a seed it is among a model's `variables` and not its
    `weights`, so that no count of parameters, no weights file and no converter knows it.
    That is why it is a `SeedGenerator`: the one kind of state that Keras tracks this way.
    1 (the full rate) until `assign` says otherwise; assigning costs no retracing.
    """

    def __init__(self, name: str = "drop_path_progress"):
        self.name = name
        self.state = keras.Variable(
            1.0, dtype="float32", trainable=False, autocast=False, name=name, aggregation="only_first_replica"
        )

    def assign(self, value: Any) -> None:
        """Set the progress; `value` is a number from 0 to 1, or a scalar tensor of that."""
        self.state.assign(ops.cast(value, "float32"))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@keras.saving.register_keras_serializable("keras_nasnet")
class DropPath(keras.layers.Layer):
    """While training, zeroes the tensor of an example with probability p, else divides by 1 - p.

    p is `rate`, times the model's `DropPathProgress` where it has one (the paper's
    ScheduledDropPath: linear over the steps of training).

    Source: FractalNet; TF-slim's nasnet_utils.drop_path and _apply_drop_path.

    Args:
        rate: probability in [0, 1).
        seed: seed of its random numbers; default: a random one.

    Example:
        >>> dropped = DropPath(rate=0.5, seed=1)(np.ones((100, 1)), training=True)
        >>> np.unique(keras.ops.convert_to_numpy(dropped))
        array([0., 2.], dtype=float32)
    """

    progress: DropPathProgress | None = None

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
        progress = 1.0 if self.progress is None else self.progress.state
        keep = 1.0 - self.rate * progress
        shape = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        kept = keras.random.uniform(shape, seed=self.seed_generator) < keep
        return inputs * ops.cast(ops.cast(kept, "float32") / keep, inputs.dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape


def drop_path_rates(last_rate: float, cells: int) -> list[float]:
    """Return the rate of each of a number of cells: linear in depth, `last_rate` in the last.

    Source: the paper's ScheduledDropPath.
    """
    return [last_rate * (cell + 1) / cells for cell in range(cells)]


def share_progress(model: keras.Model) -> DropPathProgress | None:
    """Give all `DropPath` layers of a model one `DropPathProgress`, and return it; None where there are none."""
    layers = [layer for layer in all_layers(model) if isinstance(layer, DropPath)]
    if not layers:
        return None
    progress = layers[0].progress or DropPathProgress()
    for layer in layers:
        layer.progress = progress
    return progress


class DropPathSchedule(keras.callbacks.Callback):
    """For `model.fit`: DropPath rates grow linearly from 0 to their full value over `total_steps` steps.

    The step is the optimizer's, so a run that goes on from a checkpoint goes on here too.
    The rates rise in at most 1,000 equal stairs: on JAX each costs a look at all variables.

    Args:
        total_steps: of the whole training.

    Example:
        >>> network = keras.Sequential([keras.layers.Dense(2), DropPath(0.4)])
        >>> network.compile("sgd", "mse")
        >>> schedule = DropPathSchedule(total_steps=10)
        >>> history = network.fit(np.zeros((4, 3)), np.zeros((4, 2)), batch_size=2, callbacks=[schedule], verbose=0)
        >>> sorted(history.history)
        ['loss']
    """

    def __init__(self, total_steps: int):
        super().__init__()
        if total_steps < 1:
            raise ValueError(f"total_steps is {total_steps!r}: it must be from 1 up")
        self.total_steps = total_steps

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._progress = share_progress(self.model)
        self._step = int(self.model.optimizer.iterations)
        self._set()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._step % max(1, self.total_steps // 1000) == 0:
            self._set()
        self._step += 1

    def _set(self) -> None:
        if self._progress is None:
            return
        if keras.backend.backend() == "jax":  # fit holds the state apart from the variables
            self.model.jax_state_sync()
        self._progress.assign(min(1.0, self._step / self.total_steps))
