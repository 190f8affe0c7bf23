"""The devices and machines that share a run: `tf.distribute` strategies, JAX's local devices."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

STRATEGIES = ("default", "mirrored", "multiworker", "central")


class WorkerLost(RuntimeError):
    """Another worker of a multi-worker run does not answer any more."""


class Devices:
    """Where a run computes, and this process' place in it.

    Args:
        strategy: "default" (one device), "mirrored" (all devices of this machine; on JAX
            `keras.distribution.DataParallel`), "multiworker" (all machines that the
            environment variable TF_CONFIG lists) or "central" (variables in main memory,
            all devices of this machine compute). Only the first two exist on JAX, only the
            first on PyTorch.

    Raises:
        ValueError: if the strategy is unknown, the backend has it not, or TF_CONFIG is wrong.
    """

    def __init__(self, strategy: str = "default"):
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy is {strategy!r}: choose from {', '.join(STRATEGIES)}")
        backend = keras.backend.backend()
        known = {"tensorflow": STRATEGIES, "jax": STRATEGIES[:2]}.get(backend, STRATEGIES[:1])
        if strategy not in known:
            raise ValueError(f"strategy {strategy!r} needs TensorFlow: the {backend} backend has {', '.join(known)}")
        self.name = strategy
        self.worker = 0
        self.workers = 1
        self.tf_strategy: Any = None
        self._jax_devices: list[Any] = []
        if strategy == "default":
            return
        if backend == "jax":
            self._jax_devices = keras.distribution.list_devices()
        elif strategy == "multiworker":
            self.worker, self.workers = worker_place(os.environ.get("TF_CONFIG"))
            import tensorflow as tf

            self.tf_strategy = tf.distribute.MultiWorkerMirroredStrategy()
        else:
            import tensorflow as tf

            devices = [f"{kind}:{device.name.rsplit(':', 1)[1]}" for kind, device in _local_devices(tf)]
            kinds = {"mirrored": tf.distribute.MirroredStrategy}
            kinds["central"] = tf.distribute.experimental.CentralStorageStrategy
            self.tf_strategy = kinds[strategy](devices)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.worker == 0

    @property
    def shard(self) -> tuple[int, int]:
        """This process' slice of each batch, as (index, count)."""
        return self.worker, self.workers

    @property
    def replicas(self) -> int:
        """Devices, on all machines, among which a batch is shared."""
        if self.tf_strategy is not None:
            return self.tf_strategy.num_replicas_in_sync
        return max(1, len(self._jax_devices))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Where variables are made."""
        if self.tf_strategy is not None:
            with self.tf_strategy.scope():
                yield
        elif self._jax_devices:
            before = keras.distribution.distribution()
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=self._jax_devices))
            try:
                yield
            finally:
                keras.distribution.set_distribution(before)
        else:
            yield

    def total(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of an array over all processes, to each of them: float64."""
        if self.workers == 1:
            return array
        import tensorflow as tf

        replicas = self.replicas // self.workers

        def summed() -> Any:
            context = tf.distribute.get_replica_context()
            first = tf.cast(context.replica_id_in_sync_group % replicas == 0, tf.float64)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(array, tf.float64) * first)

        return self.tf_strategy.experimental_local_results(self.tf_strategy.run(summed))[0].numpy()

    def check_batch(self, batch: int) -> None:
        """Raises ValueError where a batch cannot be shared out evenly."""
        if batch % self.replicas:
            raise ValueError(f"batch is {batch}: it must be a multiple of the {self.replicas} devices that share it")


def worker_place(tf_config: str | None) -> tuple[int, int]:
    """Returns a worker's number and the number of all workers, from TF_CONFIG's JSON.

    Raises:
        ValueError: if it is missing or wrong; says what it must look like.
    """
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(tf_config or "")
        workers, task = config["cluster"]["worker"], config["task"]
        index = int(task["index"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"strategy 'multiworker' needs TF_CONFIG in the environment, such as {example}") from None
    if set(config["cluster"]) != {"worker"} or task.get("type") != "worker":
        raise ValueError("TF_CONFIG: all tasks must be of type 'worker'; worker 0 is the chief")
    if not 0 <= index < len(workers):
        raise ValueError(f"TF_CONFIG: the task's index is {index}, but there are {len(workers)} workers, from 0 up")
    return index, len(workers)


def _local_devices(tf: Any) -> list[tuple[str, Any]]:
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [(kind, device) for device in tf.config.list_logical_devices(kind)]
