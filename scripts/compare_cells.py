"""Is a found cell any good? Trains it, NASNet-A and the best random cell with one recipe at matched parameters.

    python scripts/compare_cells.py runs/search-quick --params 100000 --epochs 40 --seeds 3

The best child of each arm of a search and NASNet-A get as many filters as bring them nearest to
the number of parameters, and are trained on all training images, those too on which the search
judged. Printed is how many of the test images, which the search never saw, they get right.
"""

import datetime
import statistics
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from scipy.stats import ttest_ind

from keras_nasnet.common.hardware import hardware
from keras_nasnet.data.arrays import into_memory
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.split import Dataset
from keras_nasnet.genotype import NASNET_A, Genotype
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.scratch import Scratch
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.schedule import Schedule
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Fidelity
from keras_nasnet.search.view.status import status


def children(plan: Plan, store: Store) -> dict[str, Genotype]:
    """The best child of each arm, by the arm, and NASNet-A."""
    schedule, space = Schedule(plan, store.trials()), get_space(plan.space)
    found: dict[str, Genotype] = {"NASNet-A": NASNET_A}
    for arm in plan.arms:
        best = schedule.best_final(arm.controller)
        assert best is not None
        genotype = space.genotype(best.tokens)
        assert isinstance(genotype, Genotype)
        found[f"best of {arm.controller} (trial {best.id})"] = genotype
    return found


def test_data(name: str, data_dir: str | None) -> Dataset:
    """All training images to train on, the test images to judge on."""
    dataset = open_dataset(name.removeprefix("tfds:"), image_size=None, held_out=0, data_dir=data_dir, in_memory=True)
    assert dataset.test is not None, f"{name} has no test images"
    classes = len(dataset.class_names)
    train, test = into_memory(dataset.train, classes), into_memory(dataset.test, classes)
    return replace(dataset, train=train, validation=test, test=None)


def matched(genotype: Genotype, params: int, blocks: int, dataset: Dataset) -> tuple[int, int]:
    """The number of filters whose net is nearest to so many parameters, and how many it has."""
    best, filters = (0, 0), 2
    while best[1] < params:
        child = make_child(
            genotype, Fidelity(1, None, filters, blocks), len(dataset.class_names), dataset.train.image_shape
        )
        count = sum(int(np.prod(weight.shape)) for weight in child.trainable_weights)
        if best[0] and params - best[1] < count - params:
            break
        best, filters = (filters, count), filters + 1
    return best


@click.command(help=__doc__.split("\n\n")[0] if __doc__ else None)
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
@click.option("--params", default=100_000, show_default=True, help="Trainable parameters of each.")
@click.option("--epochs", default=40, show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--num-blocks", default=1, show_default=True, help="N.")
def main(folder: Path, params: int, epochs: int, seeds: int, num_blocks: int) -> None:
    with Store.open(folder / FILE, readonly=True) as store:
        plan = Plan.from_dict(store.config)
        genotypes, stages = children(plan, store), status(store)["stages"]
        unit = status(store)["unit"]
        count = len(store.trials(stage="search"))
    config = dict(plan.evaluators["search"])
    config.pop("name"), config.pop("held_out"), config.pop("keep_weights", None)
    dataset = test_data(config.pop("data"), config.pop("data_dir", None))
    evaluator = Scratch(dataset, **config)
    results: dict[str, list[float]] = {}
    hours = 0.0
    click.echo(
        f"| cell | F | parameters | test accuracy (%), mean ± deviation of {seeds} seeds | each |\n{'|---' * 5}|"
    )
    for name, genotype in genotypes.items():
        filters, size = matched(genotype, params, num_blocks, dataset)
        fidelity = Fidelity(epochs, None, filters, num_blocks)
        for seed in range(seeds):
            result = evaluator.evaluate(genotype, fidelity, seed, folder)
            assert result.reward is not None, result.error
            results.setdefault(name, []).append(100 * result.reward)
            hours += result.seconds / 3600
        values = results[name]
        spread = f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"
        click.echo(f"| {name} | {filters} | {size:,} | {spread} | {', '.join(f'{value:.2f}' for value in values)} |")
    first, *others = [name for name in results if name != "NASNet-A"]
    for name in ("NASNet-A", *others):
        click.echo(
            f"\n{first} against {name}: p = {ttest_ind(results[first], results[name]).pvalue:.2f} (two-sided t-test)"
        )
    costs = ", ".join(f"{stage} {numbers['hours']:.2f}" for stage, numbers in stages.items())
    click.echo(
        f"\n{dataset.name}; N = {num_blocks}, {epochs} epochs, recipe of the search; {count} children searched; "
        f"{unit}-hours: {costs}, this comparison {hours:.2f}; seeds 0 to {seeds - 1}; {hardware()}; "
        f"{datetime.date.today()}"
    )


if __name__ == "__main__":
    main()
