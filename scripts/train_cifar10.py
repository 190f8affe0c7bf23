"""Trains NASNet-A 6 @ 768 on CIFAR-10 and prints its test error beside the paper's.

    python scripts/train_cifar10.py                          # the released recipe: 600 epochs
    python scripts/train_cifar10.py --recipe cifar10_cutout
    python scripts/train_cifar10.py --recipe cifar10_short   # 60 epochs, bfloat16, cutout

The same command goes on with a run that was interrupted: all it needs is the folder's
checkpoint.safetensors and recipe.toml, which may have come from another machine. Data
comes through tensorflow-datasets (extra `[data]`), or as --data cifar10.npz, for which
KERAS_BACKEND=jax needs no TensorFlow; `--write-npz cifar10.npz` makes that file.
"""

import datetime
import os
import platform
import sys
from pathlib import Path

import click
import keras

from keras_nasnet.cli.train import said_in_one_line
from keras_nasnet.training import get_recipe, open_dataset, train
from keras_nasnet.training.data import datasets
from keras_nasnet.training.history import read_history

PUBLISHED = {"cifar10": "3.41 % (600 epochs)", "cifar10_cutout": "2.65 % (600 epochs)"}


def device() -> str:
    """Names what computes."""
    gpus = keras.distribution.list_devices("gpu")
    if not gpus:
        return f"{os.cpu_count()} CPU cores, {platform.machine()}"
    if keras.backend.backend() == "jax":
        import jax

        return f"{len(gpus)} x {jax.devices()[0].device_kind}"
    return f"{len(gpus)} GPU"


@click.command(help=__doc__.splitlines()[0])
@click.option("--recipe", "name", default="cifar10", show_default=True)
@click.option("--data", help="A .npz file.  [default: tensorflow-datasets' cifar10]")
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/RECIPE]")
@click.option("--strategy", default="default", show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Replace a setting.")
@click.option("--write-npz", type=click.Path(path_type=Path), help="Only write the dataset to this file.")
def main(
    name: str,
    data: str | None,
    data_dir: str | None,
    out: Path | None,
    strategy: str,
    assignments: tuple[str, ...],
    write_npz: Path | None,
) -> None:
    with said_in_one_line():
        if write_npz:
            datasets.write_npz(open_dataset("cifar10", image_size=None, data_dir=data_dir), write_npz)
            return
        recipe = get_recipe(name).with_settings(*assignments)
        out = out or Path("runs") / recipe.name
        result = train(recipe, out, data=data, data_dir=data_dir, strategy=strategy, resume=True)
    if result.test is None:
        sys.exit("the dataset has no test images")
    hours = sum(row["seconds"] or 0 for row in read_history(result.folder / "history.csv")) / 3600
    print("| recipe | epochs | test error | paper | hours | parameters | hardware, versions, seed, date |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {recipe.name} | {result.epochs} | {100 * (1 - result.test.accuracy):.2f} % "
        f"| {PUBLISHED.get(recipe.name, '')} | {hours:.1f} | {result.network.count_params():,} "
        f"| {device()}, keras {keras.__version__} on {keras.backend.backend()}, seed {recipe.seed}, "
        f"{datetime.date.today()} |"
    )


if __name__ == "__main__":
    main()
