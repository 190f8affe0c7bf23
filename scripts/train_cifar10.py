"""Trains NASNet-A 6 @ 768 on CIFAR-10 and prints its test error beside the paper's.

    python scripts/train_cifar10.py                          # the released recipe: 600 epochs
    python scripts/train_cifar10.py --recipe cifar10_cutout
    python scripts/train_cifar10.py --recipe cifar10_short   # 60 epochs, bfloat16, cutout

The same command goes on with a run that was interrupted: all it needs is the folder's
checkpoint.safetensors and recipe.toml, which may have come from another machine. Data
comes through tensorflow-datasets (extra `[data]`), or as --data cifar10.npz, for which
KERAS_BACKEND=jax needs no TensorFlow; `--write-npz cifar10.npz` makes that file.
"""

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

import keras

from keras_nasnet.cli.train import said_in_one_line
from keras_nasnet.training import get_recipe, open_dataset, train
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="cifar10")
    parser.add_argument("--data", help="a .npz file; default: tensorflow-datasets' cifar10")
    parser.add_argument("--data-dir", help="where tensorflow-datasets keeps its data")
    parser.add_argument("--out", type=Path, help="the run's folder; default: runs/RECIPE")
    parser.add_argument("--strategy", default="default")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="replace a setting")
    parser.add_argument("--write-npz", type=Path, help="only write the dataset to this file")
    arguments = parser.parse_args()
    with said_in_one_line():
        if arguments.write_npz:
            from keras_nasnet.training.data.datasets import write_npz

            write_npz(open_dataset("cifar10", image_size=None, data_dir=arguments.data_dir), arguments.write_npz)
            return
        recipe = get_recipe(arguments.recipe).with_settings(*arguments.set)
        result = train(
            recipe,
            arguments.out or Path("runs") / recipe.name,
            data=arguments.data,
            data_dir=arguments.data_dir,
            strategy=arguments.strategy,
            resume=True,
        )
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
