"""Engines: where children are evaluated: processes of this machine, or a Ray cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from keras_nasnet.search.trial import Fidelity, Result

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Job:
    """What every worker of a search needs to know, as plain data.

    Args:
        space: `SearchSpace.to_dict()`.
        evaluators: for each stage ("proxy", "search", "selection", "final") what `make_evaluator` takes.
        folder: of the run, absolute; each trial has `folder/trials/<id>`.
        seconds: the longest that one evaluation may take; longer is a hang.
        max_memory: bytes of resident memory above which a worker is replaced after its task.
    """

    space: Mapping[str, Any]
    evaluators: Mapping[str, Mapping[str, Any]]
    folder: str
    seconds: float = 86_400.0
    max_memory: int = 4 * 2**30


@dataclass(frozen=True)
class Task:
    """One attempt at one trial."""

    trial: int
    attempt: int
    tokens: tuple[int, ...]
    stage: str
    fidelity: Fidelity
    seed: int


@dataclass(frozen=True)
class Report:
    """What came of a task.

    Args:
        task: that was submitted.
        worker: that had it.
        result: the evaluator's, or one whose error says what happened to the worker.
        notice: a line for people where the worker was replaced after its task.
    """

    task: Task
    worker: str
    result: Result
    notice: str | None = None


class Engine(Protocol):
    """Runs tasks on workers.

    Attributes:
        slots: how many tasks it can run at once, now; a cluster's number may change.
    """

    @property
    def slots(self) -> int: ...

    def submit(self, task: Task) -> str:
        """Starts a task on a free worker and returns the worker's name; only while fewer than `slots` run."""
        ...

    def poll(self, seconds: float) -> list[Report]:
        """Waits for reports, at most this long, and returns them.

        A task whose worker died ("worker_lost") or that ran longer than `Job.seconds` ("timeout",
        the worker is killed) is reported like any other, and its worker replaced.
        """
        ...

    def close(self) -> None:
        """Stops all workers, at once."""
        ...


def make_engine(name: str, job: Job, workers: int | None = None, **options: Any) -> Engine:
    """Returns a started engine.

    Args:
        name: one of `ENGINES`.
        job: what its workers do.
        workers: how many; None: one a GPU, without GPUs one for each two CPU cores; "ray": as many as the cluster has
            room for.
        **options: of the engine, such as `address` of a Ray cluster.

    Raises:
        ValueError: if there is no such engine, or its package is not installed; says what to install.
    """
    if name == "local":
        from keras_nasnet.search.executors.local import LocalEngine

        return LocalEngine(job, workers, **options)
    if name == "ray":
        from keras_nasnet.search.executors.ray_cluster import RayEngine

        return RayEngine(job, workers, **options)
    raise ValueError(f"engine is {name!r}: choose from {', '.join(ENGINES)}")
