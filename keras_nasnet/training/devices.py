"""The devices and machines that share a run: `tf.distribute` strategies, JAX's local devices."""

import contextlib
import faulthandler
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.training.recipe import STRATEGIES

START_SECONDS = 300.0  # the longest wait for other workers to come up
_SAY_SECONDS = 5.0  # a wait of more than this is worth a line


class Devices:
    """The devices that compute a run, and the place of this process among them.

    Args:
        strategy: "default" (one device), "mirrored" (all devices of this machine; on JAX
            `keras.distribution.DataParallel`), "multiworker" (all machines that the
            environment variable TF_CONFIG lists) or "central" (variables in main memory,
            all devices of this machine compute). Only the first two exist on JAX, only the
            first on PyTorch.
        say: called with a line of text that names the workers for which it waits, where that takes long.

    Raises:
        ValueError: if the strategy is unknown or the backend does not support it, or if TF_CONFIG is wrong.
        WorkerLost: if another worker does not start.
    """

    def __init__(self, strategy: str = "default", say: Callable[[str], None] = lambda line: None):
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
        self._total: Any = None
        if strategy == "default":
            return
        if backend == "jax":
            self._jax_devices = keras.distribution.list_devices()
        elif strategy == "multiworker":
            self.worker, addresses = worker_place(os.environ.get("TF_CONFIG"))
            self.workers = len(addresses)
            import tensorflow as tf

            meet(addresses, self.worker, say)
            # It waits for ever and ignores signals, should another worker die just now.
            faulthandler.dump_traceback_later(START_SECONDS, exit=True, file=sys.__stderr__ or sys.stderr)
            self.tf_strategy = tf.distribute.MultiWorkerMirroredStrategy()
            faulthandler.cancel_dump_traceback_later()
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
        """The slice of each batch that this process takes, as (index, count)."""
        return self.worker, self.workers

    @property
    def replicas(self) -> int:
        """The number of devices, on all machines, among which a batch is shared."""
        if self.tf_strategy is not None:
            return self.tf_strategy.num_replicas_in_sync
        return max(1, len(self._jax_devices))

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Return a context in which variables are made and steps are taken."""
        with contextlib.ExitStack() as stack:
            if keras.backend.backend() == "tensorflow":
                stack.enter_context(_plain_graphs_on_cpus())
            if self.tf_strategy is not None:
                stack.enter_context(self.tf_strategy.scope())
            elif self._jax_devices:
                stack.callback(keras.distribution.set_distribution, keras.distribution.distribution())
                keras.distribution.set_distribution(keras.distribution.DataParallel(devices=self._jax_devices))
            yield

    def total(self, array: np.ndarray) -> np.ndarray:
        """Return the sum of an array over all processes, float64, in each of them."""
        if self.workers == 1:
            return np.asarray(array, np.float64)
        if self._total is None:
            self._total = _total(self.tf_strategy, self.replicas // self.workers)
        return self._total(np.asarray(array, np.float64)).numpy()

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Return for each flag whether it is true in any process; all processes must call it in step."""
        return tuple(bool(count) for count in self.total(np.asarray(flags, np.float64)))

    def check_same(self, number: int, problem: str) -> None:
        """Raise ValueError(problem) in all processes if the number is not the same in all."""
        numbers = np.zeros(self.workers)
        numbers[self.worker] = number
        if len(set(self.total(numbers))) > 1:
            raise ValueError(problem)

    def is_lost_worker(self, error: Exception) -> bool:
        """Return whether an error means that another worker is gone."""
        if self.workers == 1:
            return False
        import tensorflow as tf

        kinds = tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError
        return isinstance(error, kinds) or "Collective ops is aborted" in str(error)

    def check_batch(self, batch: int) -> None:
        """Raise ValueError if a batch cannot be shared out evenly."""
        if batch % self.replicas:
            raise ValueError(f"batch is {batch}: it must be a multiple of the {self.replicas} devices that share it")


def worker_place(tf_config: str | None) -> tuple[int, list[str]]:
    """Return a worker's number and the addresses of all workers, from TF_CONFIG's JSON.

    Raises:
        ValueError: if it is missing or wrong; says what it must look like.
    """
    example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
    try:
        config = json.loads(tf_config or "")
        workers, task = config["cluster"]["worker"], config["task"]
        index, ports = int(task["index"]), [int(address.rpartition(":")[2]) for address in workers]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"strategy 'multiworker' needs TF_CONFIG in the environment, such as {example}") from None
    if set(config["cluster"]) != {"worker"} or task.get("type") != "worker":
        raise ValueError("TF_CONFIG: all tasks must be of type 'worker'; worker 0 is the chief")
    if not 0 <= index < len(ports):
        raise ValueError(f"TF_CONFIG: the task's index is {index}, but there are {len(ports)} workers, from 0 up")
    return index, list(workers)


def meet(addresses: Sequence[str], index: int, say: Callable[[str], None], seconds: float = START_SECONDS) -> None:
    """Wait until all workers have started: TensorFlow would wait for ever, and ignore Ctrl-C and SIGTERM.

    Args:
        addresses: "host:port" of each worker. This one listens on its own while it waits.
        index: this worker's number.
        say: called with a line of text that names the workers for which it waits, where that takes long.
        seconds: the longest wait.

    Raises:
        ValueError: if this worker's port is in use.
        WorkerLost: if a worker did not come up in time.
    """
    port = int(addresses[index].rpartition(":")[2])
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        listener = socket.create_server(("", port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise ValueError(f"TF_CONFIG: worker {index} cannot listen on port {port} ({error.strerror})") from None
    begun, said = time.monotonic(), False
    missing = [worker for worker in range(len(addresses)) if worker != index]
    with listener:
        while missing := [worker for worker in missing if not _answers(addresses[worker])]:
            names = ", ".join(f"worker {worker} ({addresses[worker]})" for worker in missing)
            waited = time.monotonic() - begun
            if waited > seconds:
                raise WorkerLost(f"{names} did not come up within {seconds:.0f} s: start all workers")
            if waited > _SAY_SECONDS and not said:
                said = True
                say(f"waiting for {names}")
            time.sleep(0.5)


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _total(strategy: Any, local_replicas: int) -> Callable[[np.ndarray], Any]:
    """Return a function that sums a float64 array over all processes; they must call it in step."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def total(array: Any) -> Any:
        def summed() -> Any:
            context = tf.distribute.get_replica_context()
            first = tf.cast(context.replica_id_in_sync_group % local_replicas == 0, tf.float64)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, array * first)

        return strategy.experimental_local_results(strategy.run(summed))[0]

    return lambda array: total(tf.constant(array, tf.float64))


def _local_devices(tf: Any) -> list[tuple[str, Any]]:
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    return [(kind, device) for device in tf.config.list_logical_devices(kind)]


@contextlib.contextmanager
def _plain_graphs_on_cpus() -> Iterator[None]:
    """Switch off TensorFlow's graph optimizer on CPUs: it takes half of the first step and makes none quicker."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        yield
        return
    before = tf.config.optimizer.get_experimental_options().get("disable_meta_optimizer", False)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": before})
