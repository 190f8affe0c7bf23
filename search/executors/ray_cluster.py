"""Workers on the machines of a Ray cluster: actors, each with a GPU or a set of cores of its own."""

import os
import sys
import time
from dataclasses import replace
from itertools import count
from typing import Any

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import Job, Report, Task
from keras_nasnet.search.executors.local import MAX_FALSE_STARTS
from keras_nasnet.search.executors.ray_connection import connect, in_one_line, ray
from keras_nasnet.search.executors.ray_worker import RayWorker
from keras_nasnet.search.executors.worker import NO_EVALUATOR
from keras_nasnet.search.trial import Error, Result

START_SECONDS = 120.0  # in which the first worker must be there
_LOOK_SECONDS = 1.0  # between two looks at which nodes the cluster has
_LONGEST_PAUSE = 64.0  # seconds, between two tries to start workers that do not start


class RayEngine:
    """Runs tasks on the workers of a Ray cluster; see `Engine`.

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
            with the engine. A cluster to which this process is connected already is taken as it is.
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
        self.job = job
        self._most = workers
        self._workers: list[_Worker] = []
        self._false_starts = 0
        self._pause_until = 0.0  # no worker is started before; monotonic time
        self._looked = -_LOOK_SECONDS
        self._connected = not ray.is_initialized()
        if self._connected:
            connect(address or os.environ.get("RAY_ADDRESS") or "local")
        try:
            self._share = _share(num_cpus)
            self._await_first_worker()
        except BaseException:
            self.close()
            raise

    @property
    def slots(self) -> int:
        return sum(worker.ready for worker in self._workers)

    def submit(self, task: Task) -> str:
        free = [worker for worker in self._workers if worker.ready and worker.task is None]
        # One that has the stage's evaluator already need not make it.
        worker = next((worker for worker in free if task.stage in worker.stages), free[0])
        worker.give(task)
        return worker.name

    def poll(self, seconds: float) -> list[Report]:
        until = time.monotonic() + seconds
        reports: list[Report] = []
        while not reports:
            self._follow_cluster()
            deadlines = [worker.began + self.job.seconds for worker in self._workers if worker.task is not None]
            pause = min([until, self._looked + _LOOK_SECONDS, *deadlines]) - time.monotonic()
            for worker, done in self._wait(max(0.0, pause)):
                reports += self._hear(worker, done)
            for worker in [*self._workers]:
                if worker.task is not None and time.monotonic() - worker.began > self.job.seconds:
                    reports.append(self._lost(worker, "timeout", f"it took longer than {self.job.seconds:g} s"))
            if time.monotonic() >= until:
                break
        return reports

    def close(self) -> None:
        for worker in [*self._workers]:
            self._end(worker)
        if self._connected:
            self._connected = False
            ray.shutdown()

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
        """Returns how many workers the cluster has room for, were it ours alone."""
        ((name, amount),) = self._share.items()
        return sum(int(node.get(name, 0) // amount) for node in _nodes())

    def _follow_cluster(self) -> None:
        """Asks Ray for as many workers as there is room for, and waits no more for those for which there is none."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        wanted = self._room() if self._most is None else min(self._most, self._room())
        for worker in [worker for worker in self._workers if not worker.ready][: max(0, len(self._workers) - wanted)]:
            self._end(worker)
        taken = {worker.number for worker in self._workers}
        free = (number for number in count(1) if number not in taken)
        while len(self._workers) < wanted and time.monotonic() >= self._pause_until:
            self._workers.append(_Worker(next(free), self.job, self._share))

    def _wait(self, seconds: float) -> list[tuple["_Worker", set[Any]]]:
        """Waits until something happens to a worker; returns those to which it did, each with what of its is done."""
        calls = {call: worker for worker in self._workers for call in worker.calls}
        if not calls:
            time.sleep(seconds)
            return []
        ray.wait([*calls], num_returns=1, timeout=seconds, fetch_local=False)
        done = set(ray.wait([*calls], num_returns=len(calls), timeout=0, fetch_local=False)[0])
        return [(worker, done) for worker in dict.fromkeys(calls[call] for call in done)]

    def _hear(self, worker: "_Worker", done: set[Any]) -> list[Report]:
        """Takes what has come of a worker's calls: it is there, has a result, or is dead."""
        if not worker.ready:
            try:
                worker.is_at(ray.get(worker.begins))
                self._false_starts = 0
            except ray.exceptions.RayError as error:
                self._end(worker)
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
                return [self._lost(worker, kind, f"{worker.name} is gone: {in_one_line(error)}")]
            self._end(worker)
        return []

    def _false_start(self, error: Exception) -> None:
        """Notes that a worker did not start: those that fail at once count once, and a broken node ends no search."""
        if time.monotonic() < self._pause_until:
            return
        self._false_starts += 1
        if self._false_starts >= MAX_FALSE_STARTS and not self.slots:
            raise WorkerLost(f"no worker can be started: {in_one_line(error)}") from error
        self._pause_until = time.monotonic() + min(_LOOK_SECONDS * 2**self._false_starts, _LONGEST_PAUSE)

    def _answered(self, worker: "_Worker", result: Result, memory: int) -> Report:
        notice = None
        if result.error is not None and result.error.kind == NO_EVALUATOR:  # the data may lack on one node
            result = replace(result, error=replace(result.error, message=f"{worker.name}: {result.error.message}"))
        if result.error is not None and result.error.kind == "out_of_memory":
            notice = f"{worker.name} was replaced: it ran out of memory"
        elif memory > self.job.max_memory:
            notice = f"{worker.name} was replaced: it held {memory / 2**30:.2f} GiB of memory"
        report = Report(worker.take_task(), worker.name, result, notice)
        if notice is not None:
            self._end(worker)
        return report

    def _lost(self, worker: "_Worker", kind: str, message: str) -> Report:
        seconds = time.monotonic() - worker.began
        report = Report(worker.take_task(), worker.name, Result(None, seconds=seconds, error=Error(kind, message)))
        self._end(worker)
        return report

    def _end(self, worker: "_Worker") -> None:
        """Kills a worker; the next look at the cluster replaces it."""
        ray.kill(worker.actor)
        self._workers.remove(worker)
        self._looked = -_LOOK_SECONDS


class _Worker:
    """The driver's side of one worker: its actor, what was asked of it, and the task that it has."""

    def __init__(self, number: int, job: Job, share: dict[str, int]):
        self.number = number
        self.name = ""
        self.stages: set[str] = set()  # whose evaluators it has
        self.task: Task | None = None
        self.began = 0.0  # with its task; monotonic time
        variables = {name: os.environ[name] for name in ("KERAS_BACKEND",) if name in os.environ}
        variables |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        if "CPU" in share:  # Ray itself sets OMP_NUM_THREADS
            variables |= dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), str(share["CPU"]))
        kind = ray.remote(
            num_cpus=share.get("CPU", 0),
            num_gpus=share.get("GPU", 0),
            max_restarts=0,
            max_task_retries=0,
            concurrency_groups={"watch": 1},
            scheduling_strategy="SPREAD",
        )
        path = [os.path.abspath(folder) for folder in sys.path]
        self.actor = kind(RayWorker).remote(job, f"worker-{number}", variables, path)
        self.begins = self.actor.begin.remote()
        self.lives = self.actor.live.options(concurrency_group="watch").remote()
        self.runs: Any = None

    @property
    def ready(self) -> bool:
        return bool(self.name)

    @property
    def calls(self) -> list[Any]:
        """What it has been asked and has not answered."""
        if not self.ready:
            return [self.begins]
        return [self.lives] if self.task is None else [self.lives, self.runs]

    def is_at(self, host: str) -> None:
        self.name = f"worker-{self.number}@{host}"

    def give(self, task: Task) -> None:
        self.task, self.began = task, time.monotonic()
        self.stages.add(task.stage)
        self.runs = self.actor.run.remote(task)

    def take_task(self) -> Task:
        assert self.task is not None
        task, self.task, self.runs = self.task, None, None
        return task


def _nodes() -> list[dict[str, float]]:
    """Returns what each node of the cluster has, by the names of resources."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _share(num_cpus: int | None) -> dict[str, int]:
    """Returns what one worker gets: a resource and how much of it."""
    nodes = _nodes()
    if any(node.get("GPU", 0) >= 1 for node in nodes):
        return {"GPU": 1}
    return {"CPU": num_cpus or (2 if any(node.get("CPU", 0) >= 2 for node in nodes) else 1)}
