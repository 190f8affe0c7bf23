"""Curves over time: rewards and entropy."""

from collections.abc import Sequence
from math import inf, isfinite

from keras_nasnet.search.trial import Trial
from keras_nasnet.search.view.report.charts import Plot, axis, short
from keras_nasnet.search.view.report.markup import DASHES, SHAPES, arm_colour, arm_legend, caption, nothing, of_arm
from keras_nasnet.search.view.report.record import Record, evenly, is_judged, moving_mean, reward_of, running_best

MOST_POINTS = 1200  # of one arm in one chart; more only make the page heavy


def reward_section(record: Record) -> str:
    """Draw reward over time, for each stage that has more than the best children."""
    parts = []
    titles = {"search": "Reward over time", "proxy": "Score by the proxy over time"}
    for stage, title in titles.items():
        if any(record.finished(arm, stage) for arm in record.arms):
            parts.append(f"<h2>{title}</h2>{_reward_chart(record, stage, title)}")
    return "".join(parts) or f"<h2>{titles['search']}</h2>{nothing('No child was judged yet.')}"


def _reward_chart(record: Record, stage: str, title: str) -> str:
    finished = {arm: record.finished(arm, stage) for arm in record.arms}
    every = [reward_of(trial) for trials in finished.values() for trial in trials if is_judged(trial)]
    longest = max(len(trials) for trials in finished.values())
    plot = Plot(axis("trials of the arm", [longest], whole=True), axis("reward", every))
    marks, lines, notes = [], [], []
    for number, (arm, trials) in enumerate(finished.items()):
        colour = arm_colour(number)
        rewards = [reward_of(trial) if is_judged(trial) else None for trial in trials]
        best = running_best(rewards)
        drawn = sorted({*evenly(len(trials), MOST_POINTS), *(place - 1 for place, _ in best)})
        if len(drawn) < len(trials):
            notes.append(f"{arm}: {len(drawn):,} of {len(trials):,} children are drawn.")
        judged = [index for index, reward in enumerate(rewards) if reward is not None]
        points = [(index + 1, rewards[index], describe(trials[index])) for index in drawn]
        crosses = [(x, plot.y.low, tip) for x, reward, tip in points if reward is None]
        dots = [(x, reward, tip) for x, reward, tip in points if reward is not None]
        marks.append(
            of_arm(number, plot.points(dots, colour, SHAPES[number % 2]) + plot.points(crosses, colour, "cross"))
        )
        means = moving_mean([reward_of(trials[index]) for index in judged])
        mean_line = [(judged[place] + 1, float(means[place])) for place in evenly(len(judged), 600)]
        best_line = [*best, (len(trials), best[-1][1])] if best else []
        dashes = DASHES[number % len(DASHES)]
        lines.append(
            of_arm(
                number,
                plot.line(mean_line, colour, 1.3, dashes) + plot.line(best_line, colour, 2.6, dashes, step=True),
            )
        )
    description = "; ".join(
        f"{arm}: {len(trials)} trials, best reward {_best_text(trials)}" for arm, trials in finished.items()
    )
    words = "Thick line: best so far. Thin line: mean of the last 100 children that did not fail. "
    words += "Crosses at the bottom: children that failed. "
    chart = plot.svg(title, description, marks + lines)
    return chart + arm_legend(dict(enumerate(record.arms))) + caption(words + " ".join(notes))


def entropy_chart(record: Record) -> str:
    series = {}
    for number, arm in enumerate(record.arms):
        rows = [row for row in record.updates.get(arm, ()) if isfinite(row.get("entropy", inf))]
        if rows:
            series[number] = [(float(row["trials"]), float(row["entropy"])) for row in rows]
    if not series:
        return nothing("No controller of this search has told an entropy.")
    every = [point for points in series.values() for point in points]
    across = axis("trials told to the controller", (x for x, _ in every), whole=True)
    plot = Plot(across, axis("entropy", (y for _, y in every)), 280)
    marks = []
    for number, points in series.items():
        kept = [points[index] for index in evenly(len(points), 600)]
        dots = [(x, y, f"{record.arms[number]} after {x:,.0f} trials: entropy {y:.4g}") for x, y in kept]
        line = plot.line(kept, arm_colour(number), 1.6, DASHES[number % len(DASHES)])
        marks.append(of_arm(number, line + plot.points(dots, arm_colour(number), SHAPES[number % 2])))
    description = "; ".join(
        f"{record.arms[number]}: {points[0][1]:.4g} at first, {points[-1][1]:.4g} after {len(points)} updates"
        for number, points in series.items()
    )
    chart = plot.svg("Entropy of the policy", description, marks)
    return chart + arm_legend({number: record.arms[number] for number in series})


def describe(trial: Trial) -> str:
    """One line on a trial, for who points at it."""
    parts = [f"trial {trial.id}, {trial.arm}"]
    if is_judged(trial):
        parts.append(f"reward {reward_of(trial):.4f}")
    else:
        parts.append(f"failed: {trial.error.kind if trial.error else 'no reward'}")
    parts.append(str(trial.fidelity))
    parts += [f"{short(trial.params)} params"] if trial.params else []
    parts += [f"{short(trial.mult_adds)} mult-adds"] if trial.mult_adds else []
    return "; ".join([*parts, f"{short(trial.seconds)} s"])


def _best_text(trials: Sequence[Trial]) -> str:
    rewards = [reward_of(trial) for trial in trials if is_judged(trial)]
    return f"{max(rewards):.4f}" if rewards else "none"
