"""The images of a search: what children are trained on and what they are judged on, never the test images."""

import os
from dataclasses import replace
from typing import Any

from keras_nasnet.data.arrays import into_memory
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.split import Dataset
from keras_nasnet.training.augmentation import AUGMENTATIONS

PAPER_HELD_OUT = 5000  # of CIFAR-10's 50,000 training images
_TFDS = "tfds:"


def open_search_data(
    name: str | os.PathLike[str],
    held_out: int = PAPER_HELD_OUT,
    seed: int = 0,
    data_dir: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> Dataset:
    """Open a dataset for a search, all of it in memory.

    Args:
        name: "digits", a folder, an .npz file, or a set of tensorflow-datasets, with or without "tfds:" in front.
        held_out: training images that become the validation split, on which children are judged; 0: the data's own
            validation split, or a fifth where it has none.
        seed: of their choice.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        image_size: (height, width) in pixels; None: as the images are.

    Returns:
        A `Dataset` of `ArraySplit`s whose `test` is None: test images are not even read.

    Raises:
        ValueError: if there is no such dataset, or no image to judge children on.
    """
    options: dict[str, Any] = {"image_size": image_size, "seed": seed, "data_dir": data_dir}
    options |= {"in_memory": True, "with_test": False}
    source = os.fspath(name).removeprefix(_TFDS)
    dataset = open_dataset(source, held_out=held_out, **options)
    if not held_out and not dataset.validation.size:
        dataset = open_dataset(source, held_out=dataset.train.size // 5, **options)
    check_search_data(dataset)
    classes = len(dataset.class_names)
    train, validation = (into_memory(split, classes) for split in (dataset.train, dataset.validation))
    return replace(dataset, train=train, validation=validation)


def check_search_data(dataset: Dataset) -> None:
    """Raise ValueError for a dataset with test images, which a search must not see, or without images to judge on."""
    if dataset.test is not None:
        raise ValueError(f"{dataset.name}: a search must not see test images: open the dataset with with_test=False")
    if not dataset.validation.size:
        raise ValueError(f"{dataset.name}: no image is held out to judge children on: set held_out to 1 or more")


def check_augmentation(name: str) -> None:
    """Raise ValueError for an augmentation that a search, whose images are in memory, cannot use."""
    if not AUGMENTATIONS.get(name).in_memory:
        raise ValueError(f"augmentation {name!r} reads each image anew from its file: choose another")
