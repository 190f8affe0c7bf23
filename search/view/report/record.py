"""What a report is drawn from: all that the store holds of a search, read once, and the numbers taken from it."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.search.run.stored import stored_plan, stored_schedule
from keras_nasnet.search.space.contract import SearchSpace
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import FILE, Event, Store
from keras_nasnet.search.trial import STAGES, Trial

WINDOWS = 40  # in which the use of operations is counted; each of 20 proposals at least


@dataclass(frozen=True)
class Record:
    """All that a store holds of a search.

    Args:
        config: what the search was started with.
        space: in which it searched.
        arms: names, in the order of the configuration.
        trials: by id.
        events: starts, faults and the like, by time.
        updates: for each arm the numbers of its updates, in order.
    """

    config: Mapping[str, Any]
    space: SearchSpace
    arms: Sequence[str]
    trials: Sequence[Trial]
    events: Sequence[Event]
    updates: Mapping[str, Sequence[Mapping[str, float]]]

    def finished(self, arm: str, stage: str = "search") -> list[Trial]:
        """Return an arm's trials that are done or failed, as they came in."""
        found = [trial for trial in self.trials if trial.arm == arm and trial.stage == stage and _is_final(trial)]
        return sorted(found, key=lambda trial: (trial.finished_at or 0.0, trial.id))

    def proposals(self, arm: str) -> list[Trial]:
        """Return the children that the arm's controller asked for."""
        return [trial for trial in self.trials if trial.arm == arm and trial.parent is None]


def read(folder: str | os.PathLike[str]) -> Record:
    """Read a store, given its file or the folder of the run. Raises ValueError if there is none, or a damaged one."""
    path = Path(folder)
    with Store.open(path / FILE if path.is_dir() else path, readonly=True) as store:
        plan = stored_plan(store)
        trials = list(stored_schedule(store, plan).trials.values())
        arms = [arm.controller for arm in plan.arms]
        updates = {arm: store.metrics(arm) for arm in arms}
        return Record(plan.to_dict(), get_space(plan.space), arms, trials, store.events(), updates)


def best_children(trials: Iterable[Trial]) -> list[Trial]:
    """Return for each child of an arm the trial that came furthest, best first.

    Stage counts first, then fidelity, for rewards of different fidelities do not compare; then
    reward; of equal ones the older is the better.
    """
    best: dict[tuple[str, str], Trial] = {}
    for trial in sorted(filter(is_judged, trials), key=_rank, reverse=True):
        best.setdefault((trial.arm, trial.key), trial)
    return list(best.values())


def is_judged(trial: Trial) -> bool:
    """Whether a trial has a reward of its own, not the floor of one that failed."""
    return trial.state == "done" and trial.reward is not None and math.isfinite(trial.reward)


def reward_of(trial: Trial) -> float:
    assert trial.reward is not None
    return trial.reward


def running_best(rewards: Sequence[float | None]) -> list[tuple[int, float]]:
    """Return (number of the trial, reward) at each trial that was better than all before; None is passed over."""
    best, steps = -math.inf, []
    for number, reward in enumerate(rewards, 1):
        if reward is not None and reward > best:
            best = reward
            steps.append((number, reward))
    return steps


def moving_mean(values: Sequence[float], window: int = 100) -> np.ndarray:
    """Return for each value the mean of it and those before it, `window` at most."""
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, "float64"))])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - window, 0)
    return (sums[end] - sums[start]) / (end - start)


def pareto_front(trials: Iterable[Trial], cost: Callable[[Trial], int]) -> list[Trial]:
    """Return the trials than which none is both as cheap and better, from the cheapest up."""
    front: list[Trial] = []
    for trial in sorted(trials, key=lambda trial: (cost(trial), -reward_of(trial), trial.id)):
        if not front or reward_of(trial) > reward_of(front[-1]):
            front.append(trial)
    return front


def operation_shares(space: SearchSpace, proposals: Sequence[Trial]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Count how often each operation is proposed, in consecutive windows of proposals.

    Returns:
        names of the operations; the number of the proposal in the middle of each window, (W,);
        shares, (W, operations), of which each row sums to 1.
    """
    names = list(space.operation_names)
    chosen = [position for position, kind in enumerate(space.kinds) if kind in ("operation", "edge")]
    if not proposals:
        return names, np.zeros(0), np.zeros((0, len(names)))
    values = np.array([trial.tokens for trial in proposals])[:, chosen]
    count = max(1, min(WINDOWS, len(values) // 20))
    edges = np.linspace(0, len(values), count + 1).astype(int)
    windows = [values[start:end] for start, end in pairwise(edges)]
    shares = [np.bincount(window.ravel(), minlength=len(names)) / window.size for window in windows]
    return names, (edges[:-1] + edges[1:] + 1) / 2, np.stack(shares)


def hours(trials: Iterable[Trial], stages: Sequence[str]) -> float:
    """Return what the evaluations of these stages took together."""
    return sum(trial.seconds for trial in trials if trial.stage in stages) / 3600


def evenly(count: int, most: int) -> list[int]:
    """Return at most this many of the indices below `count`, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def _is_final(trial: Trial) -> bool:
    return trial.state in ("done", "failed")


def _rank(trial: Trial) -> tuple[float, ...]:
    fidelity = trial.fidelity
    images = math.inf if fidelity.images is None else fidelity.images
    reach = (STAGES.index(trial.stage), fidelity.epochs, images, fidelity.num_blocks, fidelity.filters)
    return (*reach, reward_of(trial), -trial.id)
