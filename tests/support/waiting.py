"""How tests wait: for what happens, and never for a time in which it should."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")
SECONDS = 120.0  # in which even a busy machine gets there: what takes longer does not happen


def wait_for(what: Callable[[], Value]) -> Value:
    """Waits until `what()` is true; returns what it was."""
    until = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.01)
    return found


def running() -> dict[int, int]:
    """The parent of each process that runs, by their ids; one that ended and was not waited for does not."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(entry.name)] = int(parent)
    return parents


def descendants(process: int) -> set[int]:
    """The processes that a process started, and those that these started."""
    parents, found = running(), set()
    while more := {child for child, parent in parents.items() if parent in found | {process}} - found:
        found |= more
    return found


def evaluating(folder: Path, trial: int) -> int:
    """The process that has begun with the last attempt at a trial of a search's folder; waits for the first."""
    file = Path(folder) / "trials" / str(trial) / "attempts.txt"
    return int(wait_for(lambda: file.exists() and file.read_text().splitlines())[-1].split()[0])


class Clock:
    """A clock that a test can put forward: it takes the place of the module `time` in another module."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead
