"""The images of a search: what children are trained on and what they are judged on, never the test images."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.image_folders import user_path
from keras_nasnet.data.arrays import into_memory
from keras_nasnet.data.class_folders import split_folders
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.digits import NAME as DIGITS
from keras_nasnet.data.split import TFDS, Dataset, is_tfds
from keras_nasnet.training.augmentation import AUGMENTATIONS

FOLDER_SIZE = 32  # pixels, that of the paper's search
SMALLEST = 8  # pixels, of which two remain at the end of a child
PAPER_HELD_OUT = 5000  # of CIFAR-10's 50,000 training images


def open_search_data(
    name: str | os.PathLike[str],
    held_out: int = PAPER_HELD_OUT,
    seed: int = 0,
    data_dir: str | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Dataset:
    """Open a dataset for a search, all of it in memory.

    Args:
        name: "digits", a folder, an .npz file, or a set of tensorflow-datasets, with or without "tfds:" in front.
        held_out: training images that become the validation split, on which children are judged; 0: the data's own
            validation split, or a fifth where it has none.
        seed: of their choice.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        image_size: side, or (height, width), in pixels to which images are cropped and scaled; None: as the images are,
            and `FOLDER_SIZE` in a folder, where they may vary.

    Returns:
        A `Dataset` of `ArraySplit`s whose `test` is None: test images are not even read.

    Raises:
        ValueError: if there is no such dataset, or no image to judge children on.
    """
    if image_size is None and is_folder(name):
        image_size = FOLDER_SIZE
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    options: dict[str, Any] = {"image_size": size, "seed": seed, "data_dir": data_dir}
    options |= {"in_memory": True, "with_test": False}
    dataset = open_dataset(os.fspath(name), held_out=held_out or None, **options)
    check_search_data(dataset)
    classes = len(dataset.class_names)
    train, validation = (into_memory(split, classes) for split in (dataset.train, dataset.validation))
    return replace(dataset, train=train, validation=validation)


def is_folder(data: str | os.PathLike[str]) -> bool:
    """Return whether data is a folder of images, whose sizes may vary."""
    if is_tfds(data) or os.fspath(data) == DIGITS or Path(data).suffix == ".npz":
        return False
    return user_path(data).is_dir()


def check_image_size(size: object) -> None:
    """Raise ValueError or TypeError for an image size that no child takes."""
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int):
        raise TypeError(f"image_size is {size!r}: it must be a whole number of pixels")
    if not SMALLEST <= size <= limits.IMAGE_SIDE:
        raise ValueError(f"image_size is {size}: it must be from {SMALLEST} to {limits.IMAGE_SIDE} pixels")


def check_sources(evaluators: Iterable[Mapping[str, Any]]) -> list[str]:
    """Check what can be known of the data of evaluators without opening it, before a run begins.

    Sets of tensorflow-datasets that are not prepared on this machine are left to the machines that evaluate.

    Returns:
        Lines for the user: to which size the images of folders are scaled.

    Raises:
        ValueError: if a file or folder is not there, or the images of a set vary in size and no size is given.
    """
    lines: list[str] = []
    for config in evaluators:
        data, size = config.get("data"), config.get("image_size")
        check_image_size(size)
        if not isinstance(data, str | os.PathLike) or os.fspath(data) == DIGITS:
            continue
        path = user_path(data)
        if is_folder(data):
            split_folders(path)  # it can be listed
            lines.append(f"{data}: images are scaled to {size or FOLDER_SIZE} pixels (image_size, --image-size)")
        elif path.suffix == ".npz":
            if not path.is_file():
                raise ValueError(f"{path}: no such file")
        elif size is None:
            _check_one_size(os.fspath(data).removeprefix(TFDS), config.get("data_dir"))
    return list(dict.fromkeys(lines))


def _check_one_size(name: str, data_dir: str | None) -> None:
    """Raise ValueError for a prepared set whose images vary in size."""
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder(name, data_dir=data_dir)
        shapes = [
            feature.shape for feature in builder.info.features.values() if isinstance(feature, tfds.features.Image)
        ]
        vary = builder.is_prepared() and bool(shapes) and all(None in shape for shape in shapes)
    except Exception:  # whatever a builder raises: whoever opens the set says it
        return
    if vary:
        raise ValueError(f"{name}: its images vary in size: give the image size (--image-size, in a plan image_size)")


def check_search_data(dataset: Dataset) -> None:
    """Raise ValueError for a dataset with test images, which a search must not see, or without images to judge on."""
    if dataset.test is not None:
        raise ValueError(f"{dataset.name}: a search must not see test images: open the dataset with with_test=False")
    if not dataset.validation.size:
        raise ValueError(f"{dataset.name}: no image is held out to judge children on: set held_out to 1 or more")


def fitting_batch(batch: int, images: int) -> int:
    """Return a batch for so many training images: the wanted one, or a quarter of the images where they are fewer."""
    return batch if batch <= images else max(1, images // 4)


def check_augmentation(name: str) -> None:
    """Raise ValueError for an augmentation that a search, whose images are in memory, cannot use."""
    if not AUGMENTATIONS.get(name).in_memory:
        raise ValueError(f"augmentation {name!r} reads each image anew from its file: choose another")
