"""Controllers on NAS-Bench-201, whose table of all 15,625 cells stands in for training.

    python scripts/nasbench201.py run nasbench201_accuracies.csv.gz
    python scripts/nasbench201.py tune nasbench201_accuracies.csv.gz

`run` searches with every controller from 200 seeds, 500 queries each, and writes
docs/nasbench201.md and its figure. `tune` prints what `OPTIONS` was chosen by: each of
`TRIED` on other seeds, judged by the best reward and not by any test accuracy.
"""

import datetime
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import keras
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import mannwhitneyu

from keras_nasnet.common.files import replacing
from keras_nasnet.common.hardware import hardware
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.policy_gradient import PolicyGradient
from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.evaluators.tabular import Tabular
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Fidelity, Observation

DOCS = Path(__file__).parents[1] / "docs"
PAGE, FIGURE = DOCS / "nasbench201.md", DOCS / "nasbench201.png"

SPACE = get_space("nasbench201")
FIDELITY = Fidelity(epochs=12)
QUERIES = 500
LITERATURE = 120  # 12,000 s of simulated training, at about 100 s for the 12 epochs of a cell
BUDGETS = (50, 100, LITERATURE, 200, 300, QUERIES)
OPTIMUM = 94.37

OPTIONS: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": {"population": 20, "sample_size": 20},
    "reinforce": {"batch": 1, "learning_rate": 0.01, "entropy": 0.01, "baseline_decay": 0.8},
    "ppo": {
        "batch": 2,
        "epochs": 5,
        "learning_rate": 0.01,
        "entropy": 0.03,
        "baseline_decay": 0.8,
        "units": 30,
        "rank": True,
    },
}
TRIED: dict[str, list[dict[str, Any]]] = {
    "evolution": [
        {"population": population, "sample_size": sample_size}
        for population in (10, 20, 30, 50, 100)
        for sample_size in (3, 5, 10, 20, 30)
        if sample_size <= population
    ],
    "reinforce": [
        {"batch": batch, "learning_rate": rate, "entropy": entropy, "baseline_decay": 0.8}
        for batch in (1, 5)
        for rate in (0.003, 0.01, 0.03)
        for entropy in (1e-3, 1e-2, 3e-2)
    ],
    "ppo": [
        {
            "batch": batch,
            "epochs": 5,
            "learning_rate": rate,
            "entropy": entropy,
            "baseline_decay": 0.8,
            "units": units,
            "rank": rank,
        }
        for rank, entropy in ((False, 1e-2), (True, 1e-2), (True, 3e-2))
        for units in (30, 100)
        for batch in (2, 5)
        for rate in (0.01, 0.02)
    ],
}
TUNE_SEEDS = range(1_000, 1_020)

# Mean and deviation of searches of 12,000 s each (Dong and Yang 2020).
PUBLISHED = {"random": (93.70, 0.36), "evolution": (93.92, 0.30), "reinforce": (93.85, 0.37)}
COLOURS = {"random": "tab:gray", "evolution": "tab:green", "reinforce": "tab:orange", "ppo": "tab:blue"}


def search(table: Tabular, controller: Controller) -> np.ndarray:
    """Return reward and test accuracy of each child in the order of queries, in percent: (QUERIES, 2)."""
    found: list[tuple[float, float]] = []
    while len(found) < QUERIES:
        observations = []
        for child in controller.ask(controller.batch):
            result = table.evaluate(SPACE.genotype(child.tokens), FIDELITY, 0, "")
            assert result.reward is not None
            found.append((100 * result.reward, 100 * result.extra["test_accuracy"]))
            observations.append(Observation(child.tokens, child.log_prob, result.reward))
        controller.tell(observations)
    return np.array(found[:QUERIES])


def search_all(table: Tabular, name: str, options: Mapping[str, Any], seeds: Iterable[int]) -> np.ndarray:
    """Return `search` from each seed: (seeds, QUERIES, 2)."""
    controller = make_controller(name, SPACE, **options)
    runs = []
    with click.progressbar(seeds, label=f"{name:10}") as progress:
        for seed in progress:
            if isinstance(controller, PolicyGradient):  # to compile anew would take longer than a search
                controller.restart(seed)
            else:
                controller = make_controller(name, SPACE, seed, **options)
            runs.append(search(table, controller))
    return np.stack(runs)


def incumbents(runs: np.ndarray) -> np.ndarray:
    """Return of `search_all`'s runs, at each query, the cell with the best reward until then: (seeds, QUERIES, 2)."""
    best = np.maximum.accumulate(runs[..., 0], axis=1)
    is_new = np.diff(best, axis=1, prepend=-1.0) > 0
    index = np.maximum.accumulate(np.where(is_new, np.arange(runs.shape[1]), 0), axis=1)
    return np.take_along_axis(runs, index[..., None], axis=1)


def page(tests: Mapping[str, np.ndarray], seconds: Mapping[str, float]) -> str:
    """Return the text of docs/nasbench201.md.

    Args:
        tests: test accuracies of the incumbents by controller: (seeds, QUERIES).
        seconds: of processor time that each controller took.
    """
    seeds = len(tests["random"])
    rows, chances = [], []
    for name, values in tests.items():
        at = [values[:, budget - 1] for budget in BUDGETS]
        published = "{:.2f} ± {:.2f}".format(*PUBLISHED[name]) if name in PUBLISHED else ""
        cells = [f"{one.mean():.2f} ± {one.std(ddof=1):.2f}" for one in at]
        rows.append(f"| {name} | {' | '.join(cells)} | {published} |")
        if name != "random":
            pairs = zip(at, (tests["random"][:, budget - 1] for budget in BUDGETS), strict=True)
            cells = [f"{mannwhitneyu(one, other).pvalue:.0e}" for one, other in pairs]
            chances.append(f"| {name} | {' | '.join(cells)} |")
    budgets = " | ".join(map(str, BUDGETS))
    rule = "|---" * (len(BUDGETS) + 1) + "|"
    settings = [
        f"- `{name}`: "
        + (", ".join(f"{option} {value}" for option, value in OPTIONS[name].items()) or "none")
        + f"; {seconds[name]:,.0f} s of processor time"
        for name in tests
    ]
    parts = [
        "# Controllers on NAS-Bench-201",
        f"Written by `python scripts/nasbench201.py run` on {datetime.date.today()}; {hardware()}; "
        f"Keras on {keras.backend.backend()}.",
        "NAS-Bench-201 (Dong and Yang 2020) has trained all 15,625 cells of a small search space: six edges, five\n"
        "operations. A search here trains nothing and takes accuracies from its table: the **reward** is the\n"
        "accuracy on CIFAR-10's validation images after 12 epochs. The score of a search is the accuracy on the\n"
        "**test** images after 200 epochs of the one cell with the best reward so far; the search itself never sees\n"
        f"it. {OPTIMUM} % is the best there is. It is another space than NASNet's: it says how well a controller\n"
        "learns from few rewards, and nothing of NASNet cells.",
        f"## Test accuracy (%), mean ± standard deviation of {seeds} seeds\n\n"
        f"| queries | {budgets} | published |\n{rule}---|\n" + "\n".join(rows),
        "All controllers have the same number of queries, and each child asked for is one, also if it was asked for\n"
        "before. All budgets are read off one search. The published numbers are of NAS-Bench-201's authors, for\n"
        "searches of 12,000 simulated seconds; the table has no training times, so that our nearest budget is an\n"
        f"estimate: {LITERATURE} queries, about 100 s for 12 epochs of a cell.",
        "![Test accuracy of the cell with the best reward, by queries](nasbench201.png)",
        "## Against random search\n\nThe p-values of two-sided Mann-Whitney tests on the same scores.\n\n"
        f"| queries | {budgets} |\n{rule}\n" + "\n".join(chances),
        f"## Options\n\nChosen on {len(TUNE_SEEDS)} other seeds, from {TUNE_SEEDS.start} up, by the best reward, mean\n"
        "over the budgets (`python scripts/nasbench201.py tune`), test accuracies unseen.\n\n" + "\n".join(settings),
    ]
    return "\n\n".join(parts) + "\n"


def draw(tests: Mapping[str, np.ndarray], path: Path) -> None:
    """Draw mean test accuracy by queries, with bands of two standard errors, as PNG."""
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    queries = np.arange(1, QUERIES + 1)
    for name, values in tests.items():
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / len(values) ** 0.5
        axes.plot(queries, mean, color=COLOURS[name], label=name)
        axes.fill_between(queries, mean - 2 * error, mean + 2 * error, color=COLOURS[name], alpha=0.2, linewidth=0)
    for name, (mean, _) in PUBLISHED.items():
        axes.plot(LITERATURE, mean, "x", color=COLOURS[name], label=f"{name}, published")
    axes.axhline(OPTIMUM, color="black", linestyle=":", label="optimum")
    axes.set(xlabel="queries", ylabel="test accuracy of the cell with the best reward (%)", xlim=(0, QUERIES))
    axes.set_ylim(92.8, 94.5)
    axes.legend(loc="lower right", ncols=2)
    figure.savefig(path, format="png", dpi=120)
    plt.close(figure)


@click.group(help=__doc__.split("\n\n")[0])
def main() -> None:
    pass


@main.command()
@click.argument("table", type=click.Path())
@click.option("--seeds", default=200, show_default=True, help="Searches of each controller.")
def run(table: str, seeds: int) -> None:
    """Write docs/nasbench201.md and its figure."""
    evaluator = Tabular(table)
    tests, seconds = {}, {}
    for name, options in OPTIONS.items():
        start = time.process_time()
        tests[name] = incumbents(search_all(evaluator, name, options, range(seeds)))[..., 1]
        seconds[name] = time.process_time() - start
    for path, write in ((FIGURE, lambda to: draw(tests, to)), (PAGE, lambda to: to.write_text(page(tests, seconds)))):
        with replacing(path) as temporary:
            write(temporary)
        click.echo(f"wrote {path}")


@main.command()
@click.argument("table", type=click.Path())
@click.option("--controller", type=click.Choice(list(TRIED)), help="One only.")
@click.option("--seeds", default=len(TUNE_SEEDS), show_default=True, help="Searches with each options.")
def tune(table: str, controller: str | None, seeds: int) -> None:
    """Print the mean best reward with each of the options tried, on seeds that `run` does not use."""
    evaluator = Tabular(table)
    for name, tried in TRIED.items():
        if controller not in (None, name):
            continue
        for options in tried:
            runs = incumbents(search_all(evaluator, name, options, TUNE_SEEDS[:seeds]))
            means = [runs[:, budget - 1, 0].mean() for budget in BUDGETS]
            click.echo(f"{np.mean(means):.3f}  {'  '.join(f'{mean:.2f}' for mean in means)}  {options}")


if __name__ == "__main__":
    main()
