"""What an executor takes and answers: a job, its tasks, and a report of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from keras_nasnet.search.trial import Fidelity, Result

# Kinds of `Error` that are no child's: the search stops at once, and they are written to no trial.
DISK_FULL = "disk_full"
NO_EVALUATOR = "no_evaluator"


@dataclass(frozen=True)
class Job:
    """What every worker of a search needs to know, as plain data.

    Args:
        space: `SearchSpace.to_dict()`.
        evaluators: for each stage ("proxy", "search", "selection", "final") what `make_evaluator` takes.
        folder: of the run, absolute; each trial has `folder/trials/<id>`.
        seconds: the longest that one evaluation may take; longer is a hang.
        max_memory: bytes of resident memory above which a worker is replaced after its task.

    Example:
        >>> job = Job({"name": "nasnet"}, {"search": {"name": "scratch", "data": "digits"}}, "/runs/mine", seconds=600)
        >>> job.evaluators["search"]["name"]
        'scratch'
    """

    space: Mapping[str, Any]
    evaluators: Mapping[str, Mapping[str, Any]]
    folder: str
    seconds: float = 86_400.0
    max_memory: int = 4 * 2**30


@dataclass(frozen=True)
class Task:
    """One attempt at one trial.

    Args:
        trial: id of the trial.
        attempt: how often it was tried before.
        tokens: of the child.
        stage: one of `trial.STAGES`; says which of the job's evaluators judges it.
        fidelity: how much to spend.
        seed: of everything random in the evaluation.

    Example:
        >>> task = Task(1, 0, (0, 1, 2, 3, 4, 0), "search", Fidelity(epochs=3), seed=7)
        >>> task.stage
        'search'
    """

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

    Example:
        >>> task = Task(1, 0, (0, 1, 2, 3, 4, 0), "search", Fidelity(epochs=3), seed=7)
        >>> Report(task, "worker-1", Result(reward=0.9)).result.reward
        0.9
    """

    task: Task
    worker: str
    result: Result
    notice: str | None = None


class Executor(Protocol):
    """What runs tasks on workers.

    One of your own is a class that is called with a `Job`, the number of workers (None for its own choice) and its
    options; name it as "module:Class", or install it as an entry point of the group "keras_nasnet.executor".

    Attributes:
        slots: how many tasks it can run at once, now; a cluster's number may change.

    Example:
        >>> class Here:
        ...     slots = 1
        ...     def __init__(self, job, workers=None):
        ...         self.job, self.space, self.tasks = job, get_space(job.space), []
        ...     def submit(self, task):
        ...         self.tasks.append(task)
        ...         return "here"
        ...     def poll(self, seconds):
        ...         done, self.tasks = self.tasks, []
        ...         evaluators = [make_evaluator(self.job.evaluators[task.stage]) for task in done]
        ...         return [
        ...             Report(task, "here", evaluator.evaluate(
        ...                 self.space.genotype(task.tokens), task.fidelity, task.seed, self.job.folder
        ...             ))
        ...             for task, evaluator in zip(done, evaluators)
        ...         ]
        ...     def close(self):
        ...         self.tasks = []
        >>> executor: Executor = Here(Job({"name": "nasbench201"}, {}, "run"))
        >>> executor.slots, executor.poll(1.0)
        (1, [])
    """

    @property
    def slots(self) -> int: ...

    def submit(self, task: Task) -> str:
        """Start a task on a free worker and return the worker's name; only while fewer than `slots` run."""
        ...

    def poll(self, seconds: float) -> list[Report]:
        """Wait for reports, at most this long, and return them.

        A task whose worker died ("worker_lost") or that ran longer than `Job.seconds` ("timeout",
        the worker is killed) is reported like any other, and its worker replaced.
        """
        ...

    def close(self) -> None:
        """Stop all workers, at once."""
        ...
