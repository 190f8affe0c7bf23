"""Fine-tuning: a trained network learns the classes of a folder. Keras is imported when training begins."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.common import run_folder, terminal
from keras_nasnet.common.image_folders import check_path
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.split import TFDS, Dataset, is_tfds
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.recipe import Recipe, get_recipe
from keras_nasnet.training.trainer import check_unused, train
from keras_nasnet.zoo import loading as zoo

if TYPE_CHECKING:
    from keras_nasnet.training.loop import TrainingResult

STEPS_PER_EPOCH = 4  # the least, where the images suffice: the batch gets smaller for it


def finetune(
    folder: str | os.PathLike[str] | Dataset,
    model: str | os.PathLike[str] = "nasnet_a_cifar10",
    epochs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    recipe: str | os.PathLike[str] | Recipe = "finetune",
    settings: Sequence[str] = (),
    resume: bool = False,
    seed: int | None = None,
    labels: str | os.PathLike[str] | None = None,
    label_columns: Sequence[str] | None = None,
    data_dir: str | None = None,
    say: Callable[[str], None] = terminal.say,
) -> "TrainingResult":
    """Teach a trained network the classes of a folder of images, and write the new network to `out`.

    The classifier is replaced, unless it is for the same classes already. It is trained alone
    first, then the whole network, its body with a lower learning rate and, unless told otherwise,
    BN as it is. Rare classes count more. Training stops when the validation accuracy no longer
    rises; the best epoch's weights are kept.

    Args:
        folder: holds a folder of images for each class; or such folders in train/ and val/.
            Without val/ a fifth of the images is held out. Or what else `open_dataset` takes: a folder with a table of
            labels, a .npz file, "tfds:NAME"; or a `Dataset`.
        model: anything that `keras_nasnet.load` takes by name: of the catalog, an address, a folder or a .keras file.
        epochs: at most this many; default: the recipe's. At most half of them train the
            classifier alone.
        out: folder of the run; default: `runs/finetune-NAME`, NAME being the folder's.
            `train` says what is in it afterwards: `model.keras` above all.
        recipe: "finetune", or a recipe of your own, of which all but variant and dataset
            stands as it is. Of "finetune" the image size is the least: a model made for
            larger images keeps its own. The batch gets smaller for few images.
        settings: replace the recipe's, each written "name=value".
        resume: goes on from the checkpoint in `out`, if there is one.
        seed: of everything random; default: the recipe's.
        labels: a table with a path and a label in each row, for images that lie flat in the folder.
        label_columns: names of its columns of paths and labels; default: the usual ones.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        say: called with each line of text for the user; default: prints it to stderr.

    Returns:
        A `training.TrainingResult`.

    Raises:
        ValueError: if folder, model, recipe and `out` do not go together; says why.
        Interrupted, Diverged: as `training.train` does.

    Example:
        A network of one cell, and four images of two classes.

        >>> import os
        >>> from PIL import Image
        >>> for color in ("red", "blue"):
        ...     os.makedirs(f"photos/{color}")
        ...     for number in range(4):
        ...         Image.new("RGB", (32, 32), color).save(f"photos/{color}/{number}.png")
        >>> cell = CellSpec((Block((0, 1), ("max_pool_3x3", "identity")),), outputs=((2,),))
        >>> NASNet(Genotype(cell, cell), 1, 48, stem="cifar", classes=3).save("source.keras")
        >>> settings = ["image_size=32", "batch=6"]
        >>> result = finetune("photos", "source.keras", epochs=1, out="run", settings=settings, say=lambda line: None)
        >>> result.network.class_names
        ('blue', 'red')
        >>> load("run/model.keras").class_names
        ('blue', 'red')
    """
    if out is None:
        out = Path("runs") / f"finetune-{_name(folder)}"
    # Before images are read, which takes a while.
    run_folder.check(out, run_folder.TRAINING)
    check_unused(Path(out), resume)
    table = {"labels": labels, "label_columns": label_columns, "data_dir": data_dir}
    chosen, dataset = prepare(folder, model, epochs, recipe, settings, seed, **table)
    return train(chosen, out, data=dataset, resume=resume, say=say)


def _name(data: str | os.PathLike[str] | Dataset) -> str:
    """Return the name of a run on data, by which its folder is called."""
    name = data.name if isinstance(data, Dataset) else os.fspath(data)
    if is_tfds(name):
        return re.sub("[:/]", "-", name.removeprefix(TFDS))
    return Path(name).resolve().name


def prepare(
    folder: str | os.PathLike[str] | Dataset,
    model: str | os.PathLike[str],
    epochs: int | None,
    recipe: str | os.PathLike[str] | Recipe,
    settings: Sequence[str],
    seed: int | None,
    **data: Any,
) -> tuple[Recipe, Dataset]:
    """Return the recipe and the dataset of `finetune`, with all errors that can be found before Keras is imported.

    `data` are arguments of `open_dataset`.
    """
    zoo.check(model)
    base = get_recipe(recipe)
    given = [*settings]
    if epochs is not None:
        given = [f"epochs={epochs}", f"head_epochs={min(base.head_epochs, max(0, epochs) // 2)}", *given]
    if seed is not None:
        given.append(f"seed={seed}")
    chosen = replace(base.with_settings(*given), variant=os.fspath(model))
    # What the user says stands; so does all of a recipe of the user's own.
    said = {setting.partition("=")[0].strip() for setting in given}
    adapted = recipe == "finetune"
    if isinstance(folder, Dataset):
        dataset = folder
        chosen = replace(chosen, image_size=dataset.train.image_shape[:2])
    else:
        if adapted and "image_size" not in said:
            own = zoo.preprocessing(model)
            height, width = own.height or 0, own.width or 0  # 0 where it takes any
            chosen = replace(chosen, image_size=(max(height, chosen.image_size[0]), max(width, chosen.image_size[1])))
        dataset = open_dataset(
            os.fspath(folder) if is_tfds(folder) else check_path(folder),
            image_size=chosen.image_size,
            held_out=chosen.held_out or None,
            crop=AUGMENTATIONS.get(chosen.augmentation).crop,
            seed=chosen.seed,
            **data,
        )
        dataset = replace(dataset, name=os.fspath(folder))
    if adapted and "batch" not in said:
        chosen = replace(chosen, batch=min(chosen.batch, max(1, dataset.train.size // STEPS_PER_EPOCH)))
    return chosen, dataset
