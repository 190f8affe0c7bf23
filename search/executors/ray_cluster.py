"""Workers on the machines of a Ray cluster: actors, each with a GPU or a set of cores of its own."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import NO_EVALUATOR, Job, Report, Task
from keras_nasnet.search.executors.pool import MAX_FALSE_STARTS, Pool, Worker
from keras_nasnet.search.executors.ray_connection import connect, in_one_line, ray
from keras_nasnet.search.executors.ray_worker import RayWorker
from keras_nasnet.search.trial import Result

START_SECONDS = 120.0  # in which the first worker must be there
_LOOK_SECONDS = 1.0  # between two looks at which nodes the cluster has
_LONGEST_PAUSE = 64.0  # seconds, between two tries to start workers that do not start


class RayExecutor(Pool["_Actor"]):
    """Workers on the machines of a Ray cluster; see `Executor`.

    A worker is a Ray actor, on whichever node Ray puts it; its name says which. `slots` follows the
    cluster: nodes that join get workers, and nodes that die take theirs along, whose tasks are
    "worker_lost". Ray itself tries nothing again: that is left to the search. A worker that dies,
    hangs, runs out of memory, or holds more than `Job.max_memory` after a task is replaced by a
    new one, where Ray finds room. This process' `KERAS_BACKEND` holds for all workers.

    All nodes need this package and the versions of Python and Ray that the driver has. They need
    the run's folder, by the same path, only where evaluations go on from what others left there:
    fidelities with `warm_start`, and evaluators that look for an earlier attempt's files. On a node
    that has it not, a folder of that path is made for what workers keep and for
    `logs/worker-<n>.log`. A dataset, also one of tensorflow-datasets, must be on each node.

    Args:
        job: what the workers do. Its `seconds` count from `submit`.
        workers: how many at most; None: as many as the cluster has room for.
        address: "host:port" of the cluster's head, or "auto" for the cluster that `ray start` has
            made this machine a node of; default: the environment's `RAY_ADDRESS`, and without that
            "local": a cluster of this machine alone, which nobody else can reach and which ends
            with the executor. A cluster to which this process is connected already is taken as it is.
            Ray takes no process that had a "local" cluster into another one.
        num_cpus: cores of a worker, where the cluster has no GPU when the search starts; else
            each worker has one GPU. None: 2, or 1 where no node has 2.

    Raises:
        ValueError: if a number is wrong, no cluster answers, or no node has room for a worker.
        WorkerLost: if workers cannot be started.
    """

    def __init__(self, job: Job, workers: int | None = None, address: str | None = None, num_cpus: int | None = None):
        for name, value in {"workers": workers, "num_cpus": num_cpus}.items():
            if value is not None and (type(value) is not int or value < 1):
                raise ValueError(f"{name} is {value!r}: it must be a whole number from 1 up")
        super().__init__(job)
        self._most = workers
        self._false_starts = 0
        self._pause_until = 0.0  # no worker is started before; monotonic time
        self._looked = -_LOOK_SECONDS
        self._disconnect: Callable[[], None] | None = None
        if not ray.is_initialized():
            self._disconnect = connect(address or os.environ.get("RAY_ADDRESS") or "local")
        try:
            self._share = _share(num_cpus)
            self._await_first_worker()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        return sum(worker.ready for worker in self.workers)

    def listen(self, seconds: float) -> list[Report]:
        until = time.monotonic() + seconds
        self._follow_cluster()
        pause = min(until, self._looked + _LOOK_SECONDS) - time.monotonic()
        return [report for worker, done in self._wait(max(0.0, pause)) for report in self._hear(worker, done)]

    def close(self) -> None:
        for worker in [*self.workers]:
            self.discard(worker)
        if self._disconnect is not None:
            self._disconnect()
            self._disconnect = None

    def _await_first_worker(self) -> None:
        if not self._room():
            ((name, amount),) = self._share.items()
            raise ValueError(f"no node of the Ray cluster has the {amount} {name} that a worker needs: set num_cpus")
        until = time.monotonic() + START_SECONDS
        while not self.slots:
            self.poll(0.5)
            if time.monotonic() > until:
                raise ValueError(f"Ray started no worker in {START_SECONDS:g} s: `ray status` says what others hold")

    def _room(self) -> int:
        """Return how many workers the cluster has room for, were it ours alone."""
        ((name, amount),) = self._share.items()
        return sum(int(node.get(name, 0) // amount) for node in _nodes())

    def _follow_cluster(self) -> None:
        """Ask Ray for as many workers as there is room for, and wait no more for those for which there is none."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        wanted = self._room() if self._most is None else min(self._most, self._room())
        for worker in [worker for worker in self.workers if not worker.ready][: max(0, len(self.workers) - wanted)]:
            self.discard(worker)
        taken = {worker.number for worker in self.workers}
        free = (number for number in count(1) if number not in taken)
        while len(self.workers) < wanted and time.monotonic() >= self._pause_until:
            self.workers.append(_Actor(next(free), self.job, self._share))

    def _wait(self, seconds: float) -> list[tuple["_Actor", set[Any]]]:
        """Wait until something happens to a worker; return those to which it did, each with what of its is done."""
        calls = {call: worker for worker in self.workers for call in worker.calls}
        if not calls:
            time.sleep(seconds)
            return []
        ray.wait([*calls], num_returns=1, timeout=seconds, fetch_local=False)
        done = set(ray.wait([*calls], num_returns=len(calls), timeout=0, fetch_local=False)[0])
        return [(worker, done) for worker in dict.fromkeys(calls[call] for call in done)]

    def _hear(self, worker: "_Actor", done: set[Any]) -> list[Report]:
        """Take what has come of a worker's calls: it is there, has a result, or is dead."""
        if not worker.ready:
            try:
                worker.is_at(ray.get(worker.begins))
                self._false_starts = 0
            except ray.exceptions.RayError as error:
                self.discard(worker)
                self._false_start(error)
            return []
        try:
            if worker.runs in done:
                return [self._answered(worker, *ray.get(worker.runs))]
            ray.get(worker.lives)
        except ray.exceptions.RayError as error:
            if worker.task is not None:
                # Ray ends a worker before the memory of its node is full.
                full = isinstance(error, ray.exceptions.OutOfMemoryError)
                kind = "out_of_memory" if full else "worker_lost"
                return [self.lost(worker, kind, f"{worker.name} is gone: {in_one_line(error)}")]
            self.discard(worker)
        return []

    def _false_start(self, error: Exception) -> None:
        """Note that a worker did not start: those that fail at once count once, and a broken node ends no search."""
        if time.monotonic() < self._pause_until:
            return
        self._false_starts += 1
        if self._false_starts >= MAX_FALSE_STARTS and not self.slots:
            raise WorkerLost(f"no worker can be started: {in_one_line(error)}") from error
        self._pause_until = time.monotonic() + min(_LOOK_SECONDS * 2**self._false_starts, _LONGEST_PAUSE)

    def _answered(self, worker: "_Actor", result: Result, memory: int) -> Report:
        if result.error is not None and result.error.kind == NO_EVALUATOR:  # the data may lack on one node
            result = replace(result, error=replace(result.error, message=f"{worker.name}: {result.error.message}"))
        return self.answered(worker, result, memory)

    def discard(self, worker: "_Actor") -> None:
        """Kill a worker; the next look at the cluster, which is due at once, starts another."""
        ray.kill(worker.actor)
        self.workers.remove(worker)
        self._looked = -_LOOK_SECONDS


class _Actor(Worker):
    """A worker: its actor, and what was asked of it."""

    def __init__(self, number: int, job: Job, share: dict[str, int]):
        super().__init__("")
        self.number = number
        variables = {name: os.environ[name] for name in ("KERAS_BACKEND",) if name in os.environ}
        variables |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        if "CPU" in share:  # Ray itself sets OMP_NUM_THREADS
            variables |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(share["CPU"]))
        options: dict[str, Any] = {
            "num_cpus": share.get("CPU", 0),
            "num_gpus": share.get("GPU", 0),
            "max_restarts": 0,
            "max_task_retries": 0,
            "concurrency_groups": {"watch": 1},
            "scheduling_strategy": "SPREAD",
        }
        kind: Any = ray.remote(**options)
        path = [os.path.abspath(folder) for folder in sys.path]
        self.actor = kind(RayWorker).remote(job, f"worker-{number}", variables, path)
        self.begins = self.actor.begin.remote()
        self.lives = self.actor.live.options(concurrency_group="watch").remote()
        self.runs: Any = None

    @property
    def ready(self) -> bool:
        return bool(self.name)

    @property
    def is_free(self) -> bool:
        return self.ready and self.task is None

    @property
    def calls(self) -> list[Any]:
        """What it has been asked and has not answered."""
        if not self.ready:
            return [self.begins]
        return [self.lives] if self.task is None else [self.lives, self.runs]

    def is_at(self, host: str) -> None:
        self.name = f"worker-{self.number}@{host}"

    def send(self, task: Task) -> None:
        self.runs = self.actor.run.remote(task)

    def take(self) -> Task:
        self.runs = None
        return super().take()


def _nodes() -> list[dict[str, float]]:
    """Return what each node of the cluster has, by the names of resources."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _share(num_cpus: int | None) -> dict[str, int]:
    """Return what one worker gets: a resource and how much of it."""
    nodes = _nodes()
    if any(node.get("GPU", 0) >= 1 for node in nodes):
        return {"GPU": 1}
    return {"CPU": num_cpus or (2 if any(node.get("CPU", 0) >= 2 for node in nodes) else 1)}
