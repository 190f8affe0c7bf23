"""What a search does next, as a function of its trials alone: a resumed search decides as if it had never stopped."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.trial import Error, Fidelity, Trial

FINAL_STATES = ("done", "failed")
# How often a trial is tried again after each kind of error; "worker_lost" is `Plan.max_retries`.
RETRIES = {"nan": 0, "failed": 1, "timeout": 1}


class Contradiction(ValueError):
    """Trials that cannot have come of their plan."""


class Schedule:
    """The trials of a search, and what follows from them.

    Args:
        plan: of the search.
        trials: that there are.

    Raises:
        Contradiction: if they cannot have come of the plan.
    """

    def __init__(self, plan: Plan, trials: Iterable[Trial] = ()):
        self.plan = plan
        self._arms = {arm.controller for arm in plan.arms}
        self.trials: dict[int, Trial] = {}
        self.waiting: set[int] = set()
        self._unused: dict[str, set[int]] = defaultdict(set)  # by arm: rewards that its controller was not told
        self._proxies: dict[str, list[int]] = defaultdict(list)  # by arm
        self._groups: dict[str, set[int]] = defaultdict(set)  # by arm: groups of proxies of which none was taken yet
        self._rungs: dict[tuple[str, int], list[int]] = defaultdict(list)  # by arm and rung; rung 0 is "search"
        self._rung: dict[int, int] = {}  # by trial
        self._finals: dict[str, list[int]] = defaultdict(list)  # by arm
        self._open = 0  # trials that wait or run
        self._done_keys: set[tuple[str, str]] = set()  # (stage, key)
        self._failed_keys: dict[tuple[str, str], int] = {}  # the trial that failed
        self._failures: dict[str, int] = defaultdict(int)  # by stage
        for trial in trials:
            self.note(trial)

    def note(self, trial: Trial) -> None:
        """Take a trial that is new, or has changed."""
        before = self.trials.get(trial.id)
        self.trials[trial.id] = trial
        if before is None:
            self._note_new(trial)
        ended, had_ended = trial.state in FINAL_STATES, before is not None and before.state in FINAL_STATES
        self._open += (not ended) - (before is not None and not had_ended)
        (self.waiting.add if trial.state == "waiting" else self.waiting.discard)(trial.id)
        if trial.stage == "search":
            unused = self._unused[trial.arm]
            (unused.add if ended and not trial.consumed else unused.discard)(trial.id)
        if ended and not had_ended:
            self._note_end(trial)

    def _note_new(self, trial: Trial) -> None:
        self._check(trial)
        if trial.stage == "proxy":
            self._groups[trial.arm].add(len(self._proxies[trial.arm]) // self.plan.proposals)
            self._proxies[trial.arm].append(trial.id)
        elif trial.stage == "final":
            self._finals[trial.arm].append(trial.id)
        else:
            rung = 0
            if trial.stage == "selection":
                rung = self._rung[self._parent(trial, ("search", "selection")).id] + 1
                if rung > len(self.plan.rungs):
                    raise Contradiction(f"trial {trial.id} is on rung {rung} of {len(self.plan.rungs)}")
            elif trial.parent is not None:
                proxy = self._parent(trial, ("proxy",)).id
                group = self._proxies[trial.arm].index(proxy) // self.plan.proposals
                if group not in self._groups[trial.arm]:
                    raise Contradiction(f"trial {trial.id} is the second out of its group")
                self._groups[trial.arm].remove(group)
            self._rung[trial.id] = rung
            self._rungs[trial.arm, rung].append(trial.id)

    def _check(self, trial: Trial) -> None:
        """Raise Contradiction for a trial that the plan does not have: the store may come from anywhere."""
        if trial.arm not in self._arms:
            raise Contradiction(f"trial {trial.id} is of {trial.arm[:100]!r}, which is no arm of the plan")
        if trial.stage not in self.plan.stages:
            raise Contradiction(f"trial {trial.id} is of the stage {trial.stage!r}, which the plan lacks")

    def _parent(self, trial: Trial, stages: tuple[str, ...]) -> Trial:
        parent = None if trial.parent is None else self.trials.get(trial.parent)
        if parent is None or parent.arm != trial.arm or parent.stage not in stages or parent.id == trial.id:
            raise Contradiction(f"trial {trial.id} of {trial.stage} has no parent that could be one")
        return parent

    def _note_end(self, trial: Trial) -> None:
        name = (trial.stage, trial.key)
        if trial.state == "done":
            self._done_keys.add(name)
        else:
            self._failures[trial.stage] += 1
            # A loss that is not finite may be the seed's fault.
            if trial.error is not None and trial.error.kind != "nan":
                self._failed_keys.setdefault(name, trial.id)

    # === What follows ===

    def told_next(self, arm: str, batch: int) -> list[Trial]:
        """Return the next `batch` trials whose rewards the arm's controller is to be told, or none while they lack."""
        unused = self._unused[arm]
        return [self.trials[number] for number in sorted(unused)[:batch]] if len(unused) >= batch else []

    def chosen_proxy(self) -> Trial | None:
        """Return the best of a group of proposals that were all judged by proxy, and of which none was taken yet."""
        size = self.plan.proposals
        for arm in self.plan.arms:
            proxies = self._proxies[arm.controller]
            for group in sorted(self._groups[arm.controller]):
                judged = [self.trials[number] for number in proxies[group * size : (group + 1) * size]]
                if all(trial.state in FINAL_STATES for trial in judged):
                    return max(judged, key=_rank)
        return None

    def next_arm(self) -> str | None:
        """Return the arm whose turn it is to ask, which has used least of its budget; None if all have used theirs."""
        used, name = min(
            ((self._asked(arm.controller) / arm.budget, arm.controller) for arm in self.plan.arms),
            key=lambda pair: pair[0],
        )
        return name if used < 1 else None

    def _asked(self, arm: str) -> int:
        if self.plan.proposals == 1:
            return len(self._rungs[arm, 0])
        return len(self._proxies[arm]) // self.plan.proposals

    def promotion(self) -> tuple[Trial, int] | None:
        """Return a child that goes on, and the rung to which: in the best 1 / eta of its own; highest rungs first.

        Source: Li et al. 2020, "A system for massively parallel hyperparameter tuning",
        algorithm 2 (ASHA), each arm by itself; isomorphic children count once.
        """
        for rung in reversed(range(len(self.plan.rungs))):
            for arm in self.plan.arms:
                best = self._distinct(self._rungs[arm.controller, rung], FINAL_STATES)
                above = [self.trials[number] for number in self._rungs[arm.controller, rung + 1]]
                # By id, too: a key that was damaged in the store is promoted once, not without end.
                keys, parents = {trial.key for trial in above}, {trial.parent for trial in above}
                for trial in best[: len(best) // self.plan.eta]:
                    if trial.state == "done" and trial.key not in keys and trial.id not in parents:
                        return trial, rung + 1
        return None

    def finalists(self) -> list[Trial]:
        """Return the best distinct children of each arm once the search is over; none before, or if they are taken."""
        if self._open or self.next_arm() or any(self._finals.values()) or not self.plan.finalists:
            return []
        return [trial for arm in self.plan.arms for trial in self.best(arm.controller)[: self.plan.finalists]]

    def best(self, arm: str) -> list[Trial]:
        """Return the distinct children of an arm that were evaluated, best first: highest rung, then reward."""
        ranked, seen = [], set()
        for rung in reversed(range(len(self.plan.rungs) + 1)):
            for trial in self._distinct(self._rungs[arm, rung], ("done",)):
                if trial.key not in seen:
                    seen.add(trial.key)
                    ranked.append(trial)
        return ranked

    def best_final(self, arm: str) -> Trial | None:
        """Return an arm's best trial: of those in "final" if one ended well, else of `best`."""
        finals = self._distinct(self._finals[arm], ("done",))
        return next(iter(finals or self.best(arm)), None)

    def best_of_all(self) -> Trial | None:
        """Return the best trial of all arms: of those in "final" if one ended well, else of `best`."""
        best = [trial for arm in self.plan.arms if (trial := self.best_final(arm.controller)) is not None]
        finals = [trial for trial in best if trial.stage == "final"]
        return max(finals or best, key=_rank, default=None)

    def _distinct(self, numbers: Iterable[int], states: tuple[str, ...]) -> list[Trial]:
        """Return the best trial of each key, best first."""
        found: dict[str, Trial] = {}
        for number in numbers:
            trial = self.trials[number]
            if trial.state in states and (trial.key not in found or _rank(trial) > _rank(found[trial.key])):
                found[trial.key] = trial
        return sorted(found.values(), key=_rank, reverse=True)

    def next_attempt(self, trial: Trial, error: Error) -> Fidelity | None:
        """Return the fidelity with which a trial is tried again after an error, None if it is not."""
        if error.kind == "out_of_memory":
            doubled = replace(trial.fidelity, accumulate=2 * self.planned(trial).accumulate)
            return None if doubled == trial.fidelity else doubled
        retries = self.plan.max_retries if error.kind == "worker_lost" else RETRIES.get(error.kind, 0)
        return trial.fidelity if trial.attempt < retries else None

    def planned(self, trial: Trial) -> Fidelity:
        """Return the fidelity that the plan has for a trial."""
        if trial.stage == "selection":
            return self.plan.rungs[self._rung[trial.id] - 1]
        return self.plan.fidelities[trial.stage]

    def quarantined(self, trial: Trial) -> int | None:
        """Return the id of a trial of the same child and stage that failed for good, where none ever ended well."""
        name = (trial.stage, trial.key)
        return None if name in self._done_keys else self._failed_keys.get(name)

    def failures_only(self, stage: str) -> int:
        """Return how many trials of a stage failed, if none of it ended well; else 0."""
        return 0 if any(done == stage for done, _ in self._done_keys) else self._failures[stage]

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return not (self._open or self.next_arm() or self.chosen_proxy() or self.promotion() or self.finalists())


def _rank(trial: Trial) -> tuple[float, int]:
    """Order trials by reward; of equal ones the older is the better."""
    return (-1.0 if trial.reward is None else trial.reward, -trial.id)
