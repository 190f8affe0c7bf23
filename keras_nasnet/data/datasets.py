"""Datasets by name: a file, a folder, a set of tensorflow-datasets, or the digits of scikit-learn."""

import os
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_nasnet.common.files import replacing
from keras_nasnet.common.image_folders import user_path
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data.arrays import ArraySplit, into_memory
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.digits import NAME as DIGITS
from keras_nasnet.data.digits import open_digits
from keras_nasnet.data.folder import open_folder
from keras_nasnet.data.npz_files import read_npz
from keras_nasnet.data.split import IN_MEMORY_BYTES, TFDS, Dataset, Split, assemble, is_tfds


def open_dataset(
    name_or_folder: str | Path,
    *,
    image_size: tuple[int, int] | None,
    held_out: int | None = 0,
    crop: RandomCrop | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    in_memory: bool | None = None,
    with_test: bool = True,
    labels: str | os.PathLike[str] | None = None,
    label_columns: Sequence[str] | None = None,
) -> Dataset:
    """Return a dataset for training: from a folder, a file, tensorflow-datasets or scikit-learn.

    Args:
        name_or_folder: an .npz file (see `write_npz`), a folder of class folders, "digits" (1,797 images
            of 8x8 pixels that come with scikit-learn), or the name of a prepared image classification set of
            tensorflow-datasets such as "tfds:cifar10", also without "tfds:" where no folder is so called.
        image_size: (height, width) in pixels that all images get; None: the size they have, which
            a folder needs told.
        held_out: how many training images become the validation split, kept out of training.
            Where the set has a validation split of its own, that becomes `test` then if there
            is no other. None: a fifth, where there is no validation split; in a folder so does 0.
        crop: taken of each training image anew in each epoch, so that images are never held in memory;
            evaluation takes the central part that it says. None: the largest central crop of the wanted
            shape, resized, always.
        seed: of the choice of what is held out in folders and files.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        in_memory: True holds the decoded images in memory; None does where they take less than 1 GiB.
        with_test: False leaves the test images out: the dataset's `test` is None.
        labels: a table (CSV) with a path and a label in each row, for images that lie flat in a folder; what has no
            row, and rows without image or label, are left out and counted. A column "split" tells training,
            validation and test images apart.
        label_columns: names of its columns of paths and labels; default: the usual ones, such as "filename", "label".

    Raises:
        ValueError: if there is no such dataset, or it cannot be trained on; says why in one line.
        TypeError: if `crop` is something else.

    Example:
        >>> import os
        >>> from PIL import Image
        >>> for color in ("red", "blue"):
        ...     os.makedirs(f"photos/{color}")
        ...     for number in range(5):
        ...         Image.new("RGB", (40, 30), color).save(f"photos/{color}/{number}.png")
        >>> dataset = open_dataset("photos", image_size=(32, 32))
        >>> dataset.class_names, dataset.train.size, dataset.validation.size
        (('blue', 'red'), 8, 2)
        >>> images, labels = next(iter(dataset.train.train_batches(4, epoch=0, seed=0)))
        >>> images.shape, images.dtype
        ((4, 32, 32, 3), dtype('uint8'))
    """
    if crop is not None and not isinstance(crop, RandomCrop):
        raise TypeError(f"crop is {crop!r}: it must be a RandomCrop or None")
    if held_out is not None and held_out < 0:
        raise ValueError(f"held_out is {held_out}: it must be 0 or more images")
    path = user_path(name_or_folder)
    if labels is not None and not path.is_dir():
        raise ValueError(f"{labels}: a table of labels is for images in a folder, not for {name_or_folder}")
    if path.suffix == ".npz" or name_or_folder == DIGITS:
        if crop is not None:
            raise ValueError(f"{path}: a random crop needs a folder or tensorflow-datasets, these are arrays")
        if name_or_folder == DIGITS:
            dataset = open_digits(image_size, held_out, seed)
        else:
            dataset = _open_npz(path, image_size, held_out, seed, with_test)
        return dataset if with_test else replace(dataset, test=None)
    is_path = isinstance(name_or_folder, Path) or path.is_absolute() or str(name_or_folder).startswith(".")
    if not is_tfds(name_or_folder) and (path.is_dir() or is_path):
        dataset = open_folder(path, image_size, held_out, crop, seed, in_memory, labels, label_columns)
        return dataset if with_test else replace(dataset, test=None)
    from keras_nasnet.data.tfds import open_tfds

    dataset = open_tfds(str(name_or_folder).removeprefix(TFDS), image_size, held_out, crop, data_dir, with_test)
    if crop is not None or in_memory is False:
        return dataset
    if in_memory is None and _decoded_bytes(dataset) > IN_MEMORY_BYTES:
        return dataset
    classes = len(dataset.class_names)
    return replace(
        dataset,
        train=into_memory(dataset.train, classes),
        validation=into_memory(dataset.validation, classes),
        test=None if dataset.test is None else into_memory(dataset.test, classes),
    )


def write_npz(dataset: Dataset, path: str | Path) -> None:
    """Write a dataset as an .npz file that `open_dataset` opens with NumPy alone.

    The file holds uint8 `train_images` (n, height, width, 3), int32 `train_labels` (n,), the same
    for `validation` and `test` where the dataset has them, and `class_names`. Its compression
    (LZMA) is slow: CIFAR-10 takes a few minutes, and 140 MB instead of 184. It appears when it is whole.

    Args:
        dataset: to be written.
        path: of the file, whose name ends in .npz.

    Example:
        >>> split = ArraySplit(np.zeros((4, 8, 8, 3), "uint8"), labels=np.arange(4) % 2, classes=2)
        >>> write_npz(Dataset("black", ("a", "b"), train=split, validation=split, test=None), "black.npz")
        >>> open_dataset("black.npz", image_size=None).train.size
        4
    """
    arrays: dict[str, np.ndarray] = {"class_names": np.array(dataset.class_names)}
    for part, split in _parts(dataset).items():
        read = into_memory(split, len(dataset.class_names))
        arrays |= {f"{part}_images": read.images, f"{part}_labels": read.labels}
    # np.savez_compressed knows only Deflate, which leaves CIFAR-10 at 169 MB.
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as archive:
        for key, array in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _parts(dataset: Dataset) -> dict[str, Split]:
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {part: split for part, split in parts.items() if split is not None and split.size}


def _decoded_bytes(dataset: Dataset) -> int:
    return sum(split.size * int(np.prod(split.image_shape)) for split in _parts(dataset).values())


def _open_npz(
    path: Path, image_size: tuple[int, int] | None, held_out: int | None, seed: int, with_test: bool
) -> Dataset:
    arrays = read_npz(path, with_test)
    try:
        parts = {
            part: _array_split(images, labels, len(arrays.class_names), image_size)
            for part, (images, labels) in arrays.parts.items()
        }
        return assemble(path.stem, arrays.class_names, parts, _count(held_out, parts), seed, arrays.problems)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _count(held_out: int | None, parts: Mapping[str, Split]) -> int:
    """Return how many images are held out: where no number is given a fifth, unless there is a validation split."""
    if held_out is not None:
        return held_out
    return 0 if "validation" in parts else parts["train"].size // 5


def _array_split(
    images: np.ndarray, labels: np.ndarray, classes: int, image_size: tuple[int, int] | None
) -> ArraySplit:
    split = ArraySplit(images, labels, classes)
    if image_size is None or split.image_shape[:2] == image_size:
        return split
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        resized = list(pool.map(Preprocessing(*image_size).fit, split.images))
    return ArraySplit(np.stack(resized), labels, classes)
