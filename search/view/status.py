"""How a search stands, as numbers for a progress bar or a table; read from its store while it runs or afterwards."""

from typing import Any

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.stored import stored_plan
from keras_nasnet.search.store.store import Store
from keras_nasnet.search.trial import ERROR_KINDS, STATES

LAST = 100  # trials whose mean reward is shown


def status(store: Store) -> dict[str, Any]:
    """Return how a search stands.

    Args:
        store: of a run.

    Returns:
        "trials": number of trials by state;
        "stages": by stage "finished" and "planned" (an estimate for "selection") trials, and the "hours" that
        evaluations took, summed over workers;
        "arms": by arm "budget", "finished" trials of stage "search", "consumed", their "best" reward and the
        "mean" of the last 100 (None before the first);
        "best": of all arms' trials of "search" the "reward", "trial" and "arm" (None before the first);
        "faults": number of events by kind of error;
        "quarantined": number of children that are not run any more;
        "unit": what the hours are of: "GPU", or "worker" (a set of cores);
        "per_minute": trials that ended since the search was last started; None before the first;
        "seconds_left": an estimate; 0.0 at the end, None before there is something to judge by.

    Example:
        >>> plan = get_plan("quick")
        >>> with Store.create("store.sqlite", plan.to_dict()) as store:
        ...     trial, = store.add("random", [Proposal((0,) * 50)], ["key"], "search", Fidelity(2), [0], None)
        ...     trial = store.finish(trial.id, Result(reward=0.75))
        ...     status(store)["stages"]["search"]
        {'finished': 1, 'planned': 48, 'hours': 0.0}
    """
    plan = stored_plan(store)
    numbers = store.query("SELECT state, count(*) AS number FROM trials GROUP BY state")
    states = {row["state"]: row["number"] for row in numbers}
    numbers = store.query("SELECT kind, count(*) AS number FROM events GROUP BY kind")
    kinds = {row["kind"]: row["number"] for row in numbers}
    stages = _stages(store, plan)
    per_minute, seconds_left = _pace(store, plan, stages)
    arms = [arm.controller for arm in plan.arms]
    best = store.query(
        "SELECT reward, id AS trial, arm FROM trials WHERE stage = 'search' AND state = 'done' "
        f"AND arm IN ({', '.join('?' * len(arms))}) ORDER BY reward DESC, id LIMIT 1",
        *arms,
    )
    return {
        "trials": {state: states.get(state, 0) for state in STATES},
        "stages": stages,
        "arms": {arm.controller: {"budget": arm.budget, **_arm(store, arm.controller)} for arm in plan.arms},
        "best": dict(best[0]) if best else None,
        "faults": {kind: kinds[kind] for kind in ERROR_KINDS if kind in kinds},
        "quarantined": kinds.get("quarantine", 0),
        "unit": "GPU"
        if store.query("SELECT 1 FROM trials WHERE device != '' AND device NOT LIKE '%CPU%'")
        else "worker",
        "per_minute": per_minute,
        "seconds_left": seconds_left,
    }


def _stages(store: Store, plan: Plan) -> dict[str, dict[str, float]]:
    found = {
        row["stage"]: row
        for row in store.query(
            "SELECT stage, count(*) AS added, count(reward) AS finished, sum(seconds) AS seconds "
            "FROM trials GROUP BY stage"
        )
    }
    budget = sum(arm.budget for arm in plan.arms)
    rungs = range(1, len(plan.rungs) + 1)
    planned = {
        "proxy": budget * plan.proposals,
        "search": budget,
        "selection": sum(arm.budget // plan.eta**rung for arm in plan.arms for rung in rungs),
        "final": plan.finalists * len(plan.arms),
    }
    idle = not any(row["added"] > row["finished"] for row in found.values())
    if "final" in found or (idle and "search" in found and found["search"]["finished"] == budget):
        planned["selection"] = found["selection"]["added"] if "selection" in found else 0  # no more is promoted
    return {
        stage: {
            "finished": found[stage]["finished"] if stage in found else 0,
            "planned": planned[stage],
            "hours": found[stage]["seconds"] / 3600 if stage in found else 0.0,
        }
        for stage in plan.stages
    }


def _arm(store: Store, arm: str) -> dict[str, Any]:
    numbers = store.query(
        "SELECT count(*) AS finished, count(consumed_by) AS consumed, max(reward) AS best FROM trials "
        "WHERE arm = ? AND stage = 'search' AND reward IS NOT NULL",
        arm,
    )[0]
    mean = store.query(
        "SELECT avg(reward) FROM (SELECT reward FROM trials WHERE arm = ? AND stage = 'search' "
        "AND reward IS NOT NULL ORDER BY finished_at DESC, id DESC LIMIT ?)",
        arm,
        LAST,
    )[0][0]
    return {**dict(numbers), "mean": mean}


def _pace(store: Store, plan: Plan, stages: dict[str, dict[str, float]]) -> tuple[float | None, float | None]:
    """Return trials a minute, and seconds left: what is left to evaluate, at the pace since the last start."""
    begun = store.query("SELECT max(at) FROM events WHERE kind IN ('start', 'resume')")[0][0]
    ended, last, seconds = store.query(
        "SELECT count(*), max(finished_at), sum(seconds) FROM trials WHERE finished_at >= ?", begun or 0.0
    )[0]
    left = {stage: max(0.0, numbers["planned"] - numbers["finished"]) for stage, numbers in stages.items()}
    if not sum(left.values()):
        return (60 * ended / (last - begun) if ended and begun and last > begun else None), 0.0
    if not ended or begun is None or last <= begun:
        return None, None
    pace = ended / (last - begun)
    if not seconds:
        return 60 * pace, sum(left.values()) / pace
    means = {
        stage: 3600 * numbers["hours"] / numbers["finished"] for stage, numbers in stages.items() if numbers["finished"]
    }
    # Of a stage that has not begun: as long as "search", for as many epochs.
    base = means.get("search", max(means.values(), default=0.0)) / max(1, plan.fidelities["search"].epochs)
    epochs = {stage: fidelity.epochs for stage, fidelity in plan.fidelities.items()}
    epochs["selection"] = max((fidelity.epochs for fidelity in plan.rungs), default=0)
    work = sum(count * means.get(stage, base * epochs[stage]) for stage, count in left.items())
    return 60 * pace, work * (last - begun) / seconds
