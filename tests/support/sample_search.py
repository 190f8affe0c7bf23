"""The store of a search that looks like a real one: two arms, promotions, failures, retries, selection and final."""

import math
from pathlib import Path

import numpy as np

from keras_nasnet.search.run.plan import Arm, Plan
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Error, Fidelity, Proposal, Result, Trial

LOW, HIGH = Fidelity(1, 5000, 8, 2), Fidelity(9, 5000, 8, 2, warm_start=True)  # of search and selection
FULL = Fidelity(60, None, 32, 6)
BATCH = 20


def config(name: str = "sample", budget: int = 0, space: str = "nasnet", seed: int = 7) -> dict:
    """Returns what such a search is started with."""
    plan = Plan(
        name,
        {"name": space},
        tuple(Arm(arm, max(budget, 1)) for arm in ("ppo", "random")),
        evaluators={stage: {"name": "scratch", "data": "digits"} for stage in ("search", "selection", "final")},
        fidelities={"search": LOW, "final": FULL},
        rungs=(HIGH,),
        finalists=3,
        seed=seed,
    )
    return plan.to_dict()


def write_sample(folder: Path, budget: int, space: str = "nasnet", name: str = "sample", message: str = "gone") -> Path:
    """Writes a search of `budget` children an arm, and returns the store's file.

    PPO comes to prefer some operations, children get better with them, some fail, one in ten is promoted.
    """
    rng = np.random.default_rng(0)
    with Store.create(folder / FILE, config(name, budget, space)) as store, store.transaction():
        store.event("start", "2 workers")
        for arm in ("ppo", "random"):
            for start in range(0, budget, BATCH):
                _generation(store, rng, arm, start / budget, min(BATCH, budget - start), message)
            judged = sorted(store.trials(arm=arm, state="done"), key=lambda trial: -(trial.reward or 0))
            _run(store, rng, _promote(store, judged[:3], "final", FULL), message)
        store.event("stop", "the budget is spent")
    return folder / FILE


def _generation(store: Store, rng: np.random.Generator, arm: str, progress: float, count: int, message: str) -> None:
    """One batch: asked, run, one in ten promoted, told."""
    space = get_space(store.config["space"])
    proposals = []
    for _ in range(count):
        tokens = np.array(space.sample(rng))
        if arm == "ppo":  # the later, the more of its favourites
            favour = (rng.random(space.length) < 0.7 * progress) & np.isin(space.kinds, ("operation", "edge"))
            tokens[favour] = rng.choice([0, 2, 3], favour.sum(), p=[0.2, 0.3, 0.5])
        proposals.append(Proposal(tuple(tokens.tolist()), -50.0 if arm == "ppo" else None))
    keys = [str(proposal.tokens) for proposal in proposals]
    trials = store.add(arm, proposals, keys, "search", LOW, [0] * count, b"state")
    done = [trial for trial in _run(store, rng, trials, message) if trial.state == "done"]
    best = sorted(done, key=lambda trial: -(trial.reward or 0))[: count // 10]
    _run(store, rng, _promote(store, best, "selection", HIGH), message)
    numbers = {"entropy": 70.0 - 25 * progress + rng.normal(0, 0.4)} if arm == "ppo" else {}
    store.consume(arm, [trial.id for trial in trials], b"state", numbers)


def _promote(store: Store, trials: list[Trial], stage: str, fidelity: Fidelity) -> list[Trial]:
    if not trials:
        return []
    proposals, keys, ids = [Proposal(t.tokens) for t in trials], [t.key for t in trials], [t.id for t in trials]
    return store.add(trials[0].arm, proposals, keys, stage, fidelity, [0] * len(trials), None, ids)


def _run(store: Store, rng: np.random.Generator, trials: list[Trial], message: str) -> list[Trial]:
    """Runs trials: one in 25 fails for good, one in 30 is retried first."""
    ended = []
    for trial in trials:
        store.start(trial.id, "worker 1", 2e9)
        chance = rng.random()
        if chance < 1 / 30:
            store.retry(trial.id, Error("worker_lost", message), seconds=5.0)
            store.start(trial.id, "worker 2", 2e9)
        if chance > 1 - 1 / 25 and trial.stage == "search":
            kind = rng.choice(["nan", "out_of_memory", "timeout"])
            result = Result(None, seconds=4.0, device="CPU, 2 cores", error=Error(str(kind), message))
        else:
            size = int(4e6 * math.exp(rng.normal(0, 0.9)))
            good = sum(token == 3 for token in trial.tokens) / len(trial.tokens)
            gain = {LOW: 0.0, HIGH: 0.18, FULL: 0.3}[trial.fidelity]
            reward = 0.5 + gain + 0.5 * good + 0.02 * math.log(size / 4e6) + rng.normal(0, 0.025)
            seconds = {LOW: 6.0, HIGH: 50.0, FULL: 900.0}[trial.fidelity] * rng.uniform(0.7, 1.4)
            result = Result(min(reward, 0.99), size // 40, size, seconds, "CPU, 2 cores")
        ended.append(store.finish(trial.id, result))
    return ended
