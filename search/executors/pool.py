"""What all executors do with their workers: choose one for a task, watch its deadline, replace it when it is spoilt."""

import time
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from keras_nasnet.search.executors.contract import Job, Report, Task
from keras_nasnet.search.trial import Error, Result

MAX_FALSE_STARTS = 3  # workers in a row that end before they are ready


class Worker(ABC):
    """One worker as the executor sees it: the task that it has, and what it is good for.

    Attributes:
        name: for people.
        task: that it has; None while it is free.
        began: with its task; monotonic time.
        stages: whose evaluators it has made.
    """

    def __init__(self, name: str):
        self.name = name
        self.task: Task | None = None
        self.began = 0.0
        self.stages: set[str] = set()

    @property
    def is_free(self) -> bool:
        """Whether it can be given a task."""
        return self.task is None

    @abstractmethod
    def send(self, task: Task) -> None:
        """Let the worker begin with a task."""

    def give(self, task: Task) -> None:
        """Note a task, and send it."""
        self.task, self.began = task, time.monotonic()
        self.stages.add(task.stage)
        self.send(task)

    def take(self) -> Task:
        """Return the task that the worker had, and free it."""
        assert self.task is not None
        task, self.task = self.task, None
        return task


OneWorker = TypeVar("OneWorker", bound=Worker)


class Pool(ABC, Generic[OneWorker]):
    """Workers that are given tasks and answer. How they are started, heard and ended is the subclass' part.

    Args:
        job: what the workers do.
    """

    def __init__(self, job: Job):
        self.job = job
        self.workers: list[OneWorker] = []

    @abstractmethod
    def listen(self, seconds: float) -> list[Report]:
        """Wait until something happens to a worker, at most this long, and return what came of tasks."""

    @abstractmethod
    def discard(self, worker: OneWorker) -> None:
        """End a worker; another takes its place as soon as there is room."""

    def submit(self, task: Task) -> str:
        free = [worker for worker in self.workers if worker.is_free]
        # One that has the stage's evaluator already need not make it.
        worker = next((worker for worker in free if task.stage in worker.stages), free[0])
        worker.give(task)
        return worker.name

    def poll(self, seconds: float) -> list[Report]:
        until = time.monotonic() + seconds
        reports: list[Report] = []
        while not reports:
            deadlines = [worker.began + self.job.seconds for worker in self.workers if worker.task is not None]
            reports += self.listen(max(0.0, min([until, *deadlines]) - time.monotonic()))
            for worker in [*self.workers]:
                if worker.task is not None and time.monotonic() - worker.began > self.job.seconds:
                    reports.append(self.lost(worker, "timeout", f"it took longer than {self.job.seconds:g} s"))
            if time.monotonic() >= until:
                break
        return reports

    def answered(self, worker: OneWorker, result: Result, memory: int) -> Report:
        """Return the report of a task that a worker did, and replace a worker that is spoilt.

        Args:
            worker: that answered.
            result: its answer.
            memory: bytes that it holds.
        """
        notice = None
        if result.error is not None and result.error.kind == "out_of_memory":
            notice = f"{worker.name} was replaced: it ran out of memory"
        elif memory > self.job.max_memory:
            notice = f"{worker.name} was replaced: it held {memory / 2**30:.2f} GiB of memory"
        report = Report(worker.take(), worker.name, result, notice)
        if notice is not None:
            self.discard(worker)
        return report

    def lost(self, worker: OneWorker, kind: str, message: str) -> Report:
        """Return the report of a task that went down with its worker, which is replaced."""
        seconds = time.monotonic() - worker.began
        report = Report(worker.take(), worker.name, Result(None, seconds=seconds, error=Error(kind, message)))
        self.discard(worker)
        return report
