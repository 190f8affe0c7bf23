"""Writes the report: one HTML file that needs nothing else."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from importlib import resources
from math import log10
from pathlib import Path
from string import Template

from keras_nasnet.common.files import write_text
from keras_nasnet.search.controller.registry import CONTROL
from keras_nasnet.search.trial import STAGES, STATES, Trial
from keras_nasnet.search.view.report import curves, sections
from keras_nasnet.search.view.report.charts import amount
from keras_nasnet.search.view.report.markup import arm_colour, moment, text
from keras_nasnet.search.view.report.record import Record, best_children, hours, read, reward_of

FILE = "report.html"
_SECTIONS: dict[str, tuple[str, Callable[[Record], str]]] = {
    "reward": ("Reward", curves.reward_section),
    "cells": ("Best cells", sections.cells_section),
    "pareto": ("Pareto front", sections.pareto_section),
    "policy": ("Policy", sections.policy_section),
    "costs": ("Cost and faults", sections.costs_section),
    "children": ("Children", sections.children_section),
    "settings": ("Settings", sections.settings_section),
}


def write_report(store: str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Path:
    """Draw a search as one HTML page, which needs no network and no other file.

    It may be called while the search runs: the page shows how far it is.

    Args:
        store: of the search: its file, or the folder of the run.
        out: the file to write; default: `report.html` beside the store.

    Returns:
        The file that was written.

    Raises:
        ValueError: if there is no store, or it is none.
        OSError: if the page cannot be written; an earlier one is then as it was.

    Example:
        >>> plan = get_plan("quick")
        >>> with Store.create("store.sqlite", plan.to_dict()) as store:
        ...     trial, = store.add("random", [Proposal((0,) * 50)], ["key"], "search", Fidelity(2), [0], None)
        ...     trial = store.finish(trial.id, Result(reward=0.75))
        >>> write_report("store.sqlite").name
        'report.html'
    """
    record = read(store)
    folder = Path(store) if Path(store).is_dir() else Path(store).parent
    path = folder / FILE if out is None else Path(out)
    write_text(path, html(record))
    return path


def html(record: Record) -> str:
    """Return the page."""
    files = resources.files("keras_nasnet.search.view.report")
    name = str(record.config.get("name") or "search")
    return Template(files.joinpath("page.html").read_text(encoding="utf-8")).substitute(
        title=text(f"{name}: report of a search"),
        style=files.joinpath("style.css").read_text(encoding="utf-8"),
        script=files.joinpath("script.js").read_text(encoding="utf-8"),
        heading=text(name),
        facts=_facts(record),
        verdict="".join(f"<p>{text(line)}</p>" for line in verdict(record)),
        links="".join(f'<a href="#{key}">{text(label)}</a>' for key, (label, _) in _SECTIONS.items()),
        arms="".join(
            f'<button type="button" data-toggle="{number}" aria-pressed="true">'
            f'<span style="background:{arm_colour(number)}"></span>{text(arm)}</button>'
            for number, arm in enumerate(record.arms)
        ),
        sections="".join(
            f'<section id="{key}" aria-label="{text(label)}">{draw(record)}</section>'
            for key, (label, draw) in _SECTIONS.items()
        ),
    )


def verdict(record: Record) -> list[str]:
    """Compare each controller with the random control, in words, over the same number of trials."""
    finished = {arm: record.finished(arm) for arm in record.arms}
    lines = []
    for arm in (arm for arm in record.arms if arm != CONTROL):
        if CONTROL not in finished:
            lines.append(f"Best reward: {_best(arm, finished[arm])}. There is no random control to compare it with.")
            continue
        counts = f"{arm} {len(finished[arm]):,}, random control {len(finished[CONTROL]):,}"
        equal = min(len(finished[arm]), len(finished[CONTROL]))
        if not equal:
            lines.append(f"Nothing to compare yet (children judged so far: {counts}).")
            continue
        both = f"{_best(arm, finished[arm][:equal])}; {_best('random control', finished[CONTROL][:equal])}"
        lines.append(
            f"Best reward at equal budget, the first {equal:,} of each: {both}. "
            f"This is one run of each: a difference may be chance. (Children judged so far: {counts}.)"
        )
    final = [trial for trial in record.trials if trial.stage == "final"]
    words = [_best(arm, found) for arm in record.arms if (found := [trial for trial in final if trial.arm == arm])]
    return [*lines, f"Best reward after the final training: {'; '.join(words)}."] if words else lines


def _best(name: str, trials: Sequence[Trial]) -> str:
    """Words for the best and the failures of an arm's trials of one stage."""
    failed = sum(trial.state == "failed" for trial in trials)
    best = best_children(trials)
    reward = f"{reward_of(best[0]):.4f}" if best else "none"
    return f"{name} {reward} ({failed:,} of {len(trials):,} failed)"


def _facts(record: Record) -> str:
    """What was searched, when, on what, and how far it is, as a list."""
    config, trials = record.config, record.trials
    space = record.space
    arms = [f"{arm['controller']} (budget {arm['budget']:,})" for arm in config["arms"]]
    states = Counter(trial.state for trial in trials)
    stages = Counter(trial.stage for trial in trials)
    times = [trial.asked_at for trial in trials if trial.asked_at]
    times += [trial.finished_at for trial in trials if trial.finished_at]
    devices = Counter(trial.device for trial in trials if trial.device)
    dates = f"{moment(min(times))[:-3]} to {moment(max(times))[:-3]} UTC" if times else "not started"
    counted = ", ".join(f"{states[state]:,} {state}" for state in STATES if states[state])
    facts = {
        "Space": f"{space.name}: {space.length} decisions, {_size(space.size)} children",
        "Arms": ", ".join(arms) or "none",
        "Seed": config.get("seed", "none"),
        "Trials": f"{len(trials):,}" + (f" ({counted})" if counted else ""),
        "Stages": ", ".join(f"{stages[stage]:,} {stage}" for stage in STAGES if stages[stage]) or "none",
        "Cost": f"{amount(hours(trials, STAGES))} of evaluation",
        "Dates": dates,
        "Hardware": ", ".join(f"{name} ({number:,} trials)" for name, number in devices.most_common(6)) or "none used",
    }
    return "".join(f"<div><dt>{name}</dt><dd>{text(value)}</dd></div>" for name, value in facts.items())


def _size(size: int) -> str:
    return f"{size:,}" if size < 10**9 else f"about 10^{round(log10(size))}"
