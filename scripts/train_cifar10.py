"""Trains NASNet-A 6 @ 768 on CIFAR-10 and prints its test error beside the paper's.

    python scripts/train_cifar10.py                          # the released recipe: 600 epochs
    python scripts/train_cifar10.py --recipe cifar10_cutout
    python scripts/train_cifar10.py --recipe cifar10_short   # 60 epochs, bfloat16, cutout
    python scripts/train_cifar10.py --curve --out runs/cifar10   # the epochs so far

The same command goes on with a run that was interrupted: all it needs is the folder's
checkpoint.safetensors and recipe.toml, which may have come from another machine. Data
comes through tensorflow-datasets (extra `[data]`), or as --data cifar10.npz, for which
KERAS_BACKEND=jax needs no TensorFlow; `--write-npz cifar10.npz` makes that file.
"""

import datetime
import sys
from pathlib import Path

import click
import keras

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.common.hardware import hardware
from keras_nasnet.data import datasets, open_dataset
from keras_nasnet.training import RECIPES, get_recipe, train
from keras_nasnet.training.history import read_history

PUBLISHED = {"cifar10": "3.41 % (600 epochs)", "cifar10_cutout": "2.65 % (600 epochs)"}


def print_curve(folder: Path) -> None:
    """Prints the finished epochs of a run as a table, and the run's recipe."""
    recipe = get_recipe(folder / "recipe.toml")
    rows = read_history(folder / "history.csv")
    print("| epoch | loss | training accuracy | held-out accuracy | learning rate | minutes |")
    print("|---|---|---|---|---|---|")
    for row in rows:
        numbers = {name: value for name, value in row.items() if value is not None}
        held_out = f"{100 * numbers['validation_accuracy']:.2f} %" if "validation_accuracy" in numbers else ""
        print(
            f"| {numbers['epoch']:.0f} of {recipe.epochs} | {numbers['loss']:.3f} | {100 * numbers['accuracy']:.2f} % "
            f"| {held_out} | {numbers['learning_rate']:.5f} | {numbers['seconds'] / 60:.0f} |"
        )
    original = get_recipe(recipe.name).to_dict() if recipe.name in RECIPES else {}
    changed = {name: value for name, value in recipe.to_dict().items() if original.get(name) != value}
    settings = ", ".join(f"{name} = {value}" for name, value in changed.items()) or "nothing changed"
    print(f"\nRecipe {recipe.name} ({settings}); {conditions(recipe.seed)}")


def conditions(seed: int) -> str:
    """What stands beside every number."""
    return f"{hardware()}, keras {keras.__version__} on {keras.backend.backend()}, seed {seed}, {datetime.date.today()}"


@click.command(help=__doc__.splitlines()[0])
@click.option("--recipe", "name", default="cifar10", show_default=True)
@click.option("--data", help="A .npz file.  [default: tensorflow-datasets' cifar10]")
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/RECIPE]")
@click.option("--strategy", default="default", show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Replace a setting.")
@click.option("--curve", is_flag=True, help="Only print the epochs that the run has finished.")
@click.option("--write-npz", type=click.Path(path_type=Path), help="Only write the dataset to this file.")
def main(
    name: str,
    data: str | None,
    data_dir: str | None,
    out: Path | None,
    strategy: str,
    assignments: tuple[str, ...],
    curve: bool,
    write_npz: Path | None,
) -> None:
    with reporting_errors():
        if write_npz:
            datasets.write_npz(open_dataset("cifar10", image_size=None, data_dir=data_dir), write_npz)
            return
        recipe = get_recipe(name).with_settings(*assignments)
        out = out or Path("runs") / recipe.name
        if curve:
            print_curve(out)
            return
        result = train(recipe, out, data=data, data_dir=data_dir, strategy=strategy, resume=True)
    if result.test is None:
        sys.exit("the dataset has no test images")
    hours = sum(row["seconds"] or 0 for row in read_history(result.folder / "history.csv")) / 3600
    print("| recipe | epochs | test error | paper | hours | parameters | hardware, versions, seed, date |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {recipe.name} | {result.epochs} | {100 * (1 - result.test.accuracy):.2f} % "
        f"| {PUBLISHED.get(recipe.name, '')} | {hours:.1f} | {result.network.count_params():,} "
        f"| {conditions(recipe.seed)} |"
    )


if __name__ == "__main__":
    main()
