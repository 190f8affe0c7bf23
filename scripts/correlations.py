"""How well cheap judgements of children agree with dear ones: Kendall's rank correlation, on random children.

    python scripts/correlations.py run tfds:cifar10 --children 32 --out runs/correlations
    python scripts/correlations.py table runs/correlations

`run` judges the same random children at every fidelity of `FIDELITIES`, and by the proxies, and
keeps what came out in OUT/trials.csv; run again, it goes on where it was. `table` prints the
correlations with the last, highest fidelity, as Markdown, with 95 % intervals of a bootstrap.
"""

import csv
import datetime
import os
from pathlib import Path

import click
import numpy as np
from scipy.stats import kendalltau
from tqdm import tqdm

from keras_nasnet.search.executors.contract import NO_EVALUATOR, Job, Task
from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.run.presets import adapt_plan, get_plan
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Fidelity

SPACE = get_space("nasnet")
SEED = 0
FIDELITIES = {
    "1 epoch of 2,000 images": Fidelity(1, 2000, 4, 1),
    "1 epoch of 5,000 images": Fidelity(1, 5000, 4, 1),
    "4 epochs of 5,000 images": Fidelity(4, 5000, 4, 1),
}
PROXIES = ("naswot", "params", "mult_adds")
PROXY_FIDELITY = Fidelity(0, None, 4, 1)
COLUMNS = ("child", "judgement", "value", "seconds", "device")


@click.group(help=__doc__.split("\n\n")[0] if __doc__ else None)
def main() -> None: ...


@main.command()
@click.argument("data")
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option("--children", default=32, show_default=True)
@click.option("--workers", type=int, help="Default: one a GPU, or for each two cores.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/correlations"), show_default=True)
def run(data: str, data_dir: str | None, children: int, workers: int | None, out: Path) -> None:
    """Judge random children in every way."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "trials.csv"
    done = {(int(row["child"]), row["judgement"]) for row in _read(path)} if path.exists() else set()
    plan = adapt_plan(get_plan("cascade"), data=data, data_dir=data_dir)
    evaluators = {stage: dict(plan.evaluators[stage]) for stage in ("proxy", "search")}
    evaluators["search"].pop("keep_weights")
    rng = np.random.default_rng(SEED)
    tokens = [SPACE.sample(rng) for _ in range(children)]
    wanted = [(child, name) for child in range(children) for name in ("proxies", *FIDELITIES)]
    left = [(child, name) for child, name in wanted if (child, PROXIES[0] if name == "proxies" else name) not in done]
    executor = make_executor("local", Job(SPACE.to_dict(), evaluators, str(out.absolute())), workers)
    names: dict[int, tuple[int, str]] = {}
    with path.open("a", newline="") as file, tqdm(total=len(wanted), initial=len(wanted) - len(left)) as progress:
        writer = csv.writer(file)
        if not done:
            writer.writerow(COLUMNS)
        try:
            waiting = iter(enumerate(left))
            while progress.n < len(wanted):
                while len(names) < executor.slots and (one := next(waiting, None)) is not None:
                    number, (child, name) = one
                    stage, fidelity = ("proxy", PROXY_FIDELITY) if name == "proxies" else ("search", FIDELITIES[name])
                    executor.submit(Task(number, 0, tokens[child], stage, fidelity, SEED + child))
                    names[number] = (child, name)
                for report in executor.poll(1.0):
                    child, name = names.pop(report.task.trial)
                    result = report.result
                    if result.error is not None and result.error.kind == NO_EVALUATOR:
                        raise click.ClickException(result.error.message)
                    values = result.extra if name == "proxies" else {name: result.reward or 0.0}
                    for judgement, value in values.items():
                        writer.writerow((child, judgement, value, f"{result.seconds:.2f}", result.device))
                    file.flush()
                    progress.update()
        finally:
            executor.close()


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def table(folder: Path) -> None:
    """Print the correlations."""
    rows = _read(folder / "trials.csv")
    judged: dict[str, dict[int, float]] = {}
    seconds: dict[str, list[float]] = {}
    for row in rows:
        judged.setdefault(row["judgement"], {})[int(row["child"])] = float(row["value"])
        seconds.setdefault(row["judgement"], []).append(float(row["seconds"]))
    highest = [*FIDELITIES][-1]
    children = sorted(set.intersection(*(set(judged[name]) for name in (*PROXIES, *FIDELITIES))))
    truth = np.array([judged[highest][child] for child in children])
    click.echo(
        f"| judgement | Kendall's tau with {highest} | 95 % interval | mean seconds a child |\n|---|---|---|---|"
    )
    for name in (*PROXIES, *FIDELITIES):
        values = np.array([judged[name][child] for child in children])
        low, high = _interval(values, truth)
        tau = kendalltau(values, truth).statistic
        interval = "" if name == highest else f"{low:.2f} to {high:.2f}"
        click.echo(f"| {name} | {tau:.2f} | {interval} | {np.mean(seconds[name]):.1f} |")
    click.echo(
        f"\n{len(children)} random children of the space nasnet (seed {SEED}), N = 1, F = 4; rewards of the highest "
        f"from {truth.min():.3f} to {truth.max():.3f}; the interval: percentiles of 2,000 bootstraps; "
        f"{rows[0]['device']}; {_date(folder / 'trials.csv')}"
    )


def _interval(values: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    rng = np.random.default_rng(SEED)
    drawn = (rng.integers(len(truth), size=len(truth)) for _ in range(2000))
    taus = [kendalltau(values[index], truth[index]).statistic for index in drawn]
    low, high = np.nanpercentile(taus, [2.5, 97.5])
    return float(low), float(high)


def _date(path: Path) -> str:
    return str(datetime.date.fromtimestamp(os.path.getmtime(path)))


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
