"""A training run in a folder, from the start or from where it stopped."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.common import run_folder, terminal
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.split import Dataset
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.checkpoint import FILE
from keras_nasnet.training.recipe import RECIPE_FILE, Recipe, get_recipe

if TYPE_CHECKING:
    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.loop import TrainingResult

CHECKPOINT_SECONDS = 180.0


def train(
    recipe: str | os.PathLike[str] | Recipe,
    folder: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | Dataset | None = None,
    labels: str | os.PathLike[str] | None = None,
    label_columns: Sequence[str] | None = None,
    data_dir: str | None = None,
    strategy: str = "default",
    resume: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    say: Callable[[str], None] = terminal.say,
) -> "TrainingResult":
    """Train a network as a recipe says, and write it with its history to a folder.

    The folder then holds `model.keras` (which `keras_nasnet.load` takes), `recipe.toml`,
    `history.csv`, `metrics.json`, `tensorboard/`, `curves.png`, `confusion.png` and
    `checkpoint.safetensors`.

    Args:
        recipe: a name in `recipe.RECIPES`, a TOML file, or a `Recipe`.
        folder: of the run; made if missing.
        data: replaces the recipe's dataset: "tfds:NAME", a folder of class folders, a .npz file, or a `Dataset`.
        labels: a table with a path and a label in each row, for images that lie flat in a folder.
        label_columns: names of its columns of paths and labels; default: the usual ones.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        strategy: "default", "mirrored", "multiworker" or "central", see `devices.Devices`.
        resume: goes on from the folder's checkpoint, if there is one. The curve of a run
            that was interrupted is that of one that was not.
        checkpoint_seconds: the longest time between two checkpoints; there is one at the end
            of every epoch anyway.
        say: called with each line of text for the user; default: prints it to stderr.

    Returns:
        A `TrainingResult`.

    Raises:
        ValueError: if recipe, dataset, strategy or folder do not go together; says why.
        Interrupted: after Ctrl-C or SIGTERM; a checkpoint is written.
        Diverged: if the loss is no finite number any more.
        WorkerLost: if another worker is gone.
        OSError: if a file cannot be written.

    Example:
        One step of a network of one cell.

        >>> from keras_nasnet.data import ArraySplit, Dataset
        >>> images = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), "uint8")
        >>> split = ArraySplit(images, labels=np.arange(8) % 2, classes=2)
        >>> data = Dataset("noise", ("even", "odd"), train=split, validation=split, test=None)
        >>> cell = keras_nasnet.CellSpec((keras_nasnet.Block((0, 1), ("max_pool_3x3", "identity")),), outputs=((2,),))
        >>> genotype = keras_nasnet.Genotype(cell, cell).to_dict()
        >>> network = {"genotype": genotype, "num_blocks": 1, "penultimate_filters": 48}
        >>> recipe = Recipe("tiny", network=network, batch=8)
        >>> result = train(recipe, "runs/tiny", data=data, say=lambda line: None)
        >>> result.epochs, result.validation.examples
        (1, 8)
        >>> keras_nasnet.load("runs/tiny/model.keras").class_names
        ('even', 'odd')
    """
    recipe = get_recipe(recipe)
    if data is not None:
        recipe = replace(recipe, dataset=data.name if isinstance(data, Dataset) else os.fspath(data))
    AUGMENTATIONS.get(recipe.augmentation)
    folder = Path(folder)
    run_folder.check(folder, run_folder.TRAINING, free=strategy != "multiworker")  # where worker 0 writes it
    check_folder(folder, recipe, resume)

    from keras_nasnet.training.devices import Devices

    devices = Devices(strategy, say)  # before anything computes: some strategies insist
    with run_folder.run_folder(folder, run_folder.TRAINING) if devices.is_chief else contextlib.nullcontext():
        if devices.is_chief:
            check_folder(folder, recipe, resume)  # another may have begun, and ended, meanwhile
        options = {"labels": labels, "label_columns": label_columns, "data_dir": data_dir}
        return _train(recipe, folder, data, options, devices, checkpoint_seconds, say)


def _train(
    recipe: Recipe,
    folder: Path,
    data: str | os.PathLike[str] | Dataset | None,
    options: Mapping[str, Any],
    devices: "Devices",
    checkpoint_seconds: float,
    say: Callable[[str], None],
) -> "TrainingResult":
    if isinstance(data, Dataset):
        dataset = data
    else:
        dataset = open_dataset(
            recipe.dataset,
            image_size=recipe.image_size,
            held_out=recipe.held_out,
            crop=AUGMENTATIONS.get(recipe.augmentation).crop,
            seed=recipe.seed,
            **options,
        )
    for problem in dataset.problems:
        say(f"warning: {problem}")

    from keras_nasnet.training.loop import Run

    return Run(recipe, dataset, folder, devices, checkpoint_seconds, say).run()


def check_unused(folder: Path, resume: bool) -> None:
    """Raise ValueError if a folder holds a run that shall not go on."""
    if not resume and (folder / FILE).exists():
        raise ValueError(f"{folder} holds a run already: add --resume to go on with it, or choose another folder")


def check_folder(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Raise ValueError if a run cannot begin, or go on, in a folder."""
    check_unused(folder, resume)
    if not (folder / FILE).exists():
        return
    before = get_recipe(folder / RECIPE_FILE)
    if before != recipe:
        old, new = before.to_dict(), recipe.to_dict()
        name = next(name for name in {**old, **new} if old.get(name) != new.get(name))
        raise ValueError(
            f"{folder} was begun with {name} = {old.get(name)!r}, not {new.get(name)!r}: "
            "resume with the same settings, or choose another folder"
        )
