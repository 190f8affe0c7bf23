"""What a worker does with a task: one attempt at one child, in which whatever goes wrong becomes an `Error`."""

import contextlib
import errno
import math
import os
import sys
import time
import traceback
from collections.abc import Iterator, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_nasnet.common.errors import one_line
from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.executors.contract import DISK_FULL, NO_EVALUATOR, Job, Task
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Error, Result


def run_task(job: Job, evaluators: MutableMapping[str, Evaluator], task: Task) -> Result:
    """Evaluate one child.

    Args:
        job: of the search.
        evaluators: by stage; those that lack are made and kept here.
        task: what to do.

    Returns:
        A result whose reward is a finite number, or that has an error: "nan"; "out_of_memory"
        (a MemoryError, or what TensorFlow, JAX and PyTorch raise for a GPU's); "failed" for every
        other exception, its traceback printed; `DISK_FULL`; `NO_EVALUATOR` where the evaluator
        itself cannot be made.
    """
    begun = time.monotonic()
    try:
        if task.stage not in evaluators:
            try:
                evaluators[task.stage] = make_evaluator(job.evaluators[task.stage])
            except (ValueError, TypeError, ImportError) as error:
                _print_traceback()
                return _failure(NO_EVALUATOR, f"the evaluator of stage {task.stage!r} cannot be made: {_line(error)}")
        folder = Path(job.folder) / "trials" / str(task.trial)
        folder.mkdir(parents=True, exist_ok=True)
        genotype = get_space(job.space).genotype(task.tokens)
        result = evaluators[task.stage].evaluate(genotype, task.fidelity, task.seed, folder)
        return _plain(result)
    except Exception as error:
        _print_traceback()
        return _failure(_kind(error), _line(error), time.monotonic() - begun)


def _print_traceback() -> None:
    with contextlib.suppress(OSError):  # the disk of the log may be full
        traceback.print_exc()


def _failure(kind: str, message: str, seconds: float = 0.0) -> Result:
    return Result(None, seconds=seconds, error=Error(kind, message))


def _plain(result: Result) -> Result:
    """Return a result of Python's own numbers; a reward that is not finite becomes an error."""
    reward, error = result.reward, result.error
    if error is None and (reward is None or not math.isfinite(reward)):
        error = Error("nan", f"the reward is {reward}")
    return replace(
        result,
        reward=None if error is not None or reward is None else float(reward),
        params=None if result.params is None else int(result.params),
        mult_adds=None if result.mult_adds is None else int(result.mult_adds),
        seconds=float(result.seconds),
        error=error,
        extra={name: float(number) for name, number in result.extra.items()},
    )


def _kind(error: BaseException) -> str:
    for one in _chain(error):
        # First: TensorFlow calls both a full disk and a full memory ResourceExhaustedError.
        if getattr(one, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(one):
            return DISK_FULL
    for one in _chain(error):
        if isinstance(one, MemoryError) or type(one).__name__ in ("ResourceExhaustedError", "OutOfMemoryError"):
            return "out_of_memory"
        if "RESOURCE_EXHAUSTED" in str(one):  # jaxlib
            return "out_of_memory"
    return "failed"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line(error: BaseException) -> str:
    """Return the error as one line of at most 300 characters."""
    name, text = type(error).__name__, one_line(error)
    return name if text == name else f"{name}: {text}"[:300]


def resident_memory() -> int:
    """Return the bytes of memory that this process holds; where the system does not tell, the most it ever held."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def to_dict(result: Result) -> dict[str, Any]:
    """Return a result as plain data for JSON."""
    error = None if result.error is None else {"kind": result.error.kind, "message": result.error.message}
    return {**vars(result), "error": error}


def from_dict(data: dict[str, Any]) -> Result:
    """Inverse of `to_dict`."""
    return Result(**{**data, "error": None if data["error"] is None else Error(**data["error"])})
