"""The report's sections, each as HTML."""

import json
from collections import Counter
from dataclasses import replace

from keras_nasnet.genotype import Genotype, diagram
from keras_nasnet.search.trial import Trial
from keras_nasnet.search.view.report.charts import Plot, amount, axis, short, stacked_bars
from keras_nasnet.search.view.report.curves import MOST_POINTS, describe, entropy_chart
from keras_nasnet.search.view.report.markup import (
    SHAPES,
    arm_colour,
    arm_legend,
    caption,
    key,
    legend,
    moment,
    nothing,
    of_arm,
    swatch,
    table,
    text,
)
from keras_nasnet.search.view.report.record import (
    Record,
    best_children,
    evenly,
    hours,
    is_judged,
    pareto_front,
    reward_of,
)
from keras_nasnet.search.view.report.usage import usage_chart

STAGE_NAMES = {"proxy": "proxy", "search": "search", "selection": "selection", "final": "final training"}
_COSTS = (
    ("search", ("proxy", "search"), "#0072b2"),
    ("selection", ("selection",), "#e69f00"),
    ("final training", ("final",), "#009e73"),
)
_MOST_ROWS = 20  # of one arm in the table of children
_MOST_EVENTS = 200


def cells_section(record: Record) -> str:
    """Draw the best cells: three of the first arm, one of each other."""
    figures = []
    for number, arm in enumerate(record.arms):
        children = best_children(trial for trial in record.trials if trial.arm == arm)
        for place, trial in enumerate(children[: 1 if number else 3], 1):
            figures.append(of_arm(number, _cell_figure(record, place, trial), "figure"))
    return f"<h2>Best cells</h2>{''.join(figures) or nothing('No child was judged yet.')}"


def _cell_figure(record: Record, place: int, trial: Trial) -> str:
    genotype = record.space.genotype(trial.tokens)
    words = (
        f"{trial.arm}, number {place}: trial {trial.id}, reward {reward_of(trial):.4f} "
        f"in {STAGE_NAMES[trial.stage]} ({trial.fidelity})"
    )
    if not isinstance(genotype, Genotype):
        return f"<figcaption>{text(words)}</figcaption><pre>{text(genotype)}</pre>"
    genotype = replace(genotype, name=f"{trial.arm}_{trial.id}")
    return (
        f'<figcaption>{text(words)}</figcaption><div class="wide cell">{diagram.svg(genotype)}</div>'
        f"<details><summary>Genotype as JSON</summary><pre>{text(genotype.to_json())}</pre></details>"
    )


def pareto_section(record: Record) -> str:
    """Draw reward against mult-adds, of the children of the search."""
    title = "Reward against mult-adds"
    found = [trial for arm in record.arms for trial in record.finished(arm) if is_judged(trial) and trial.mult_adds]
    if not found:
        return f"<h2>{title}</h2>{nothing('No child with known mult-adds was judged yet.')}"
    plot = Plot(
        axis("mult-adds for one image", [_mult_adds(trial) for trial in found], log=True),
        axis("reward", map(reward_of, found)),
        400,
    )
    front = pareto_front(found, _mult_adds)
    marks = []
    for number, arm in enumerate(record.arms):
        trials = [trial for trial in found if trial.arm == arm]
        kept = {trials[index].id for index in evenly(len(trials), MOST_POINTS)} | {trial.id for trial in front}
        points = [(_mult_adds(trial), reward_of(trial), describe(trial)) for trial in trials if trial.id in kept]
        marks.append(of_arm(number, plot.points(points, arm_colour(number), SHAPES[number % 2])))
    steps = [(_mult_adds(trial), reward_of(trial)) for trial in front]
    marks.append(plot.line(steps, "#222222", 1.6, step=True))
    rings = [(_mult_adds(trial), reward_of(trial), f"Pareto front: {describe(trial)}") for trial in front]
    marks.append(f'<g class="front">{plot.points(rings, "#222222")}</g>')
    description = f"{len(front)} of {len(found)} children are on the Pareto front: " + ", ".join(
        f"{short(_mult_adds(trial))} {reward_of(trial):.4f}" for trial in front[:10]
    )
    keys = arm_legend(dict(enumerate(record.arms)))
    words = (
        f"{len(found):,} children of the search at {found[0].fidelity}. Black line: the Pareto front, "
        f"{len(front)} children of all arms than which none is both cheaper and better."
    )
    return f"<h2>{title}</h2>{plot.svg(title, description, marks)}{keys}{caption(words)}"


def policy_section(record: Record) -> str:
    """Draw what each controller proposed, and the entropy of its policy."""
    parts = ["<h2>Use of operations</h2>"]
    for number, arm in enumerate(record.arms):
        parts.append(of_arm(number, f"<h3>{text(arm)}</h3>{usage_chart(record, arm)}", "div"))
    parts.append("<h2>Entropy of the policy</h2>" + entropy_chart(record))
    return "".join(parts)


def costs_section(record: Record) -> str:
    """Draw the hours of each stage, and list what went wrong."""
    rows = []
    for arm in record.arms:
        trials = [trial for trial in record.trials if trial.arm == arm]
        rows.append((arm, [(name, hours(trials, stages), colour) for name, stages, colour in _COSTS]))
    costs = table(
        ["arm", *(name for name, _, _ in _COSTS), "together"],
        (
            [arm, *(amount(value) for _, value, _ in parts), amount(sum(value for _, value, _ in parts))]
            for arm, parts in rows
        ),
        numbers=range(1, 5),
        kind="small",
    )
    if any(value for _, parts in rows for _, value, _ in parts):
        keys = legend(key(name, swatch(colour)) for name, _, colour in _COSTS)
        title, unit = "Cost by stage", "hours of evaluation"
        chart = stacked_bars(title, f"{unit}, by arm and stage", unit, rows) + keys
    else:
        chart = nothing("Nothing was spent yet.")
    return f"<h2>Cost</h2>{chart}{costs}{_faults(record)}"


def _faults(record: Record) -> str:
    kinds = Counter(event.kind for event in record.events)
    failed = [trial for trial in record.trials if trial.state == "failed"]
    errors = Counter((trial.arm, trial.error.kind if trial.error else "unknown") for trial in failed)
    parts = ["<h2>Faults and retries</h2>"]
    rows = [
        [kind, kinds[kind] or "", *(errors[arm, kind] or "" for arm in record.arms)]
        for kind in dict.fromkeys([*sorted(kinds), *sorted(kind for _, kind in errors)])
    ]
    head = ["kind", "events", *(f"failed for good: {arm}" for arm in record.arms)]
    parts.append(table(head, rows, range(1, len(head)), kind="small") if rows else nothing("Nothing happened yet."))
    latest = list(record.events)[-_MOST_EVENTS:][::-1]
    if latest:
        more = f", the last {len(latest)} of {len(record.events):,}" if len(latest) < len(record.events) else ""
        parts.append(f"<h3>Events, latest first{more}</h3>")
        latest_rows = ([moment(event.at), event.trial or "", event.kind, event.message] for event in latest)
        parts.append(table(["time (UTC)", "trial", "kind", "message"], latest_rows, numbers=[1], kind="tall"))
    return "".join(parts)


def children_section(record: Record) -> str:
    """List the best children of each arm."""
    rows, arms = [], []
    ranked = best_children(record.trials)
    counts: Counter[str] = Counter()
    for trial in ranked:
        counts[trial.arm] += 1
        if counts[trial.arm] > _MOST_ROWS:
            continue
        arms.append(list(record.arms).index(trial.arm))
        rows.append(
            [
                trial.id,
                trial.arm,
                STAGE_NAMES[trial.stage],
                trial.fidelity,
                f"{reward_of(trial):.4f}",
                "" if trial.params is None else short(trial.params),
                "" if trial.mult_adds is None else short(trial.mult_adds),
                short(trial.seconds),
                f"{trial.error.kind}: {trial.error.message}" if trial.error else "",
            ]
        )
    if not rows:
        return f"<h2>Best children</h2>{nothing('No child was judged yet.')}"
    head = ["trial", "arm", "stage", "fidelity", "reward", "params", "mult-adds", "seconds", "error"]
    words = (
        f"At most {_MOST_ROWS} of each arm, of {len(ranked):,} children; each at the furthest stage and fidelity "
        "that it came to, and those that came further first: rewards of different fidelities do not compare. "
        "An error is of an attempt that was tried again."
    )
    return f"<h2>Best children</h2>{caption(words)}{table(head, rows, numbers=[0, 4, 5, 6, 7], arms=arms)}"


def settings_section(record: Record) -> str:
    """Show what the search was started with."""
    settings = json.dumps(dict(record.config), indent=2, ensure_ascii=False, default=str)
    return f"<h2>Settings</h2><pre>{text(settings)}</pre>"


def _mult_adds(trial: Trial) -> int:
    assert trial.mult_adds is not None
    return trial.mult_adds
