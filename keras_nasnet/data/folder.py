"""A folder of class folders. NumPy and Pillow only: imports no TensorFlow."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_nasnet.common.images import SUFFIXES, Preprocessing, read_fitted
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.split import (
    IN_MEMORY_BYTES,
    Batch,
    Dataset,
    assemble,
    epoch_order,
    eval_positions,
    train_positions,
)

VALIDATION_NAMES = ("val", "validation", "valid")


def open_folder(
    folder: Path,
    image_size: tuple[int, int] | None,
    held_out: int,
    crop: RandomCrop | None,
    seed: int,
    in_memory: bool | None,
) -> Dataset:
    """Return a folder of class folders as a dataset; `open_dataset` says what the arguments mean.

    The class folders lie in it, or in its folders train/ and val/ (validation/, valid/) and
    test/, of which all but train/ may be missing. Images in folders below a class folder belong to
    the class. Hidden files are ignored; other files that are no images, and images that cannot be
    read, are left out and named in `problems`. Every image is read once to find those.

    Raises:
        ValueError: if there is no such folder, fewer than two class folders, a class without an
            image (or with just one where the validation split must come from it), or classes that
            differ between the splits.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if image_size is None:
        raise ValueError(f"{folder}: give the image size to train at; the images of a folder may vary in size")
    parts = _parts(folder)
    class_names = _class_names(parts)
    must_split = "validation" not in parts and not held_out
    problems: list[str] = []
    listed = {}
    for part, place in parts.items():
        paths, labels = _list_images(place, class_names, problems)
        _check_counts(place, class_names, labels, must_split and part == "train")
        listed[part] = FolderSplit(paths, labels, len(class_names), image_size, crop)

    if crop is not None:
        in_memory = False  # else the crop would be the same in every epoch
    elif in_memory is None:
        in_memory = sum(split.decoded_bytes for split in listed.values()) <= IN_MEMORY_BYTES
    splits: dict[str, Any] = {}
    for part, split in listed.items():
        splits[part] = split.into_memory(problems) if in_memory else split.readable(problems)
        _check_counts(parts[part], class_names, splits[part].labels, must_split and part == "train", readable=True)

    try:
        return assemble(folder.resolve().name, class_names, splits, None if must_split else held_out, seed, problems)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


class FolderSplit:
    """Images in files, decoded by threads a few batches ahead.

    Args:
        paths: of the images.
        labels: int32 (n,).
        classes: number of classes.
        image_size: (height, width) of the images it yields.
        crop: of training images; None takes the central crop always.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        labels: np.ndarray,
        classes: int,
        image_size: tuple[int, int],
        crop: RandomCrop | None,
    ):
        self.paths = list(paths)
        self.labels = labels
        self.classes = classes
        self.crop = crop
        self.size = len(self.paths)
        self.image_shape = (*image_size, 3)
        self._central = Preprocessing(*image_size, crop_fraction=1.0 if crop is None else crop.evaluation)

    @property
    def decoded_bytes(self) -> int:
        return self.size * int(np.prod(self.image_shape))

    def class_counts(self) -> np.ndarray:
        return np.bincount(self.labels, minlength=self.classes)

    def subset(self, indices: np.ndarray) -> "FolderSplit":
        """Return a split of the examples with these indices."""
        paths = [self.paths[index] for index in indices]
        return FolderSplit(paths, self.labels[indices], self.classes, self.image_shape[:2], self.crop)

    def readable(self, problems: list[str]) -> "FolderSplit":
        """Return a split of the images that can be read; what is wrong with the others goes to `problems`."""
        kept = []
        for index, result in enumerate(_read_each(self.paths, lambda image: None)):
            if isinstance(result, ValueError):
                problems.append(f"{result}; left out")
            else:
                kept.append(index)
        return self.subset(np.array(kept, np.int64))

    def into_memory(self, problems: list[str]) -> ArraySplit:
        """Return a split in memory of the images that can be read; what is wrong with the others goes to `problems`."""
        images = np.empty((self.size, *self.image_shape), np.uint8)
        kept: list[int] = []
        for index, result in enumerate(_read_each(self.paths, self._central.fit)):
            if isinstance(result, ValueError):
                problems.append(f"{result}; left out")
            else:
                images[len(kept)] = result
                kept.append(index)
        return ArraySplit(images[: len(kept)], self.labels[kept], self.classes)

    def train_batches(
        self, batch: int, epoch: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterable[Batch]:
        ranges = train_positions(self.size, batch, start, shard)
        order = epoch_order(self.size, seed, epoch)

        def read(position: int) -> np.ndarray:
            path = self.paths[order[position]]
            if self.crop is None:
                return self._central.fit(path)
            return self._random_crop(path, self.crop, np.random.default_rng((seed, epoch, position)))

        return self._batches(ranges, order, read)

    def eval_batches(self, batch: int, shard: tuple[int, int] = (0, 1)) -> Iterable[Batch]:
        ranges = eval_positions(self.size, batch, shard)
        return self._batches(ranges, np.arange(self.size), lambda position: self._central.fit(self.paths[position]))

    def _random_crop(self, path: Path, crop: RandomCrop, generator: np.random.Generator) -> np.ndarray:
        height, width, _ = self.image_shape

        def cut(image: Image.Image) -> np.ndarray:
            box = crop.box(*image.size, generator)
            return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))

        return read_fitted(path, cut)

    def _batches(
        self, ranges: Iterable[range], order: np.ndarray, read: Callable[[int], np.ndarray]
    ) -> Iterator[Batch]:
        """Yield the batches of these positions in `order`, reading ahead."""
        for positions, images in read_ahead(ranges, read):
            pixels = np.array(images, np.uint8).reshape(-1, *self.image_shape)
            yield pixels, self.labels[order[np.asarray(positions, np.int64)]]


def _read_each(paths: Iterable[Path], make: Callable[[Image.Image], Any]) -> Iterator[Any]:
    """Yield what is made of each image, in order, or the ValueError that says why it cannot be read."""

    def attempt(path: Path) -> Any:
        try:
            return read_fitted(path, make)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(attempt, paths)


def _parts(folder: Path) -> dict[str, Path]:
    """Return the folders that hold the class folders of "train" and, where they exist, "validation" and "test"."""
    train, test = folder / "train", folder / "test"
    validation = next((folder / name for name in VALIDATION_NAMES if (folder / name).is_dir()), None)
    if not train.is_dir():
        for other in (validation, test):
            if other is not None and other.is_dir():
                raise ValueError(f"{folder}: has {other.name}/ but no train/; put the training class folders there")
        return {"train": folder}
    parts = {"train": train}
    if validation is not None:
        parts["validation"] = validation
    if test.is_dir():
        parts["test"] = test
    return parts


def class_folders(place: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted; hidden ones are ignored."""
    return sorted(path.name for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _class_names(parts: dict[str, Path]) -> tuple[str, ...]:
    named = {place: class_folders(place) for place in parts.values()}
    train = parts["train"]
    if not named[train]:
        raise ValueError(f"{train}: no class folders; put the images of each class into a folder of its name")
    if len(named[train]) == 1:
        raise ValueError(f"{train}: only one class folder, {named[train][0]}; at least two are needed")
    for place, names in named.items():
        if names != named[train]:
            name = min(set(names) ^ set(named[train]))
            only, other = (place, train) if name in names else (train, place)
            raise ValueError(f"{only / name}: {other} has no class folder of this name; both must have the same ones")
    return tuple(named[train])


def _list_images(place: Path, class_names: Sequence[str], problems: list[str]) -> tuple[list[Path], np.ndarray]:
    """Return the images below the class folders in order of class and path, and their labels."""
    paths: list[Path] = []
    labels: list[int] = []
    others: list[Path] = []
    for label, name in enumerate(class_names):
        files = sorted(visible_files(place / name))
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        others += [file for file in files if file.suffix.lower() not in SUFFIXES]
        paths += images
        labels += [label] * len(images)
    if others:
        problems.append(f"{place}: {len(others)} files in class folders are no images, such as {others[0]}; left out")
    beside = [file for file in place.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()]
    beside = [file for file in beside if not file.name.startswith(".")]
    if beside:
        problems.append(f"{place}: {len(beside)} images lie in no class folder, such as {min(beside)}; left out")
    return paths, np.array(labels, np.int32)


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, in no order; hidden ones are ignored."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in files if not name.startswith("."))


def _check_counts(
    place: Path, class_names: Sequence[str], labels: np.ndarray, must_split: bool, readable: bool = False
) -> None:
    counts = np.bincount(labels, minlength=len(class_names))
    can = "that can be read " if readable else ""
    for name, count in zip(class_names, counts, strict=True):
        if count == 0:
            raise ValueError(f"{place / name}: no image {can}in this class folder; add some or remove the folder")
        if count == 1 and must_split:
            raise ValueError(
                f"{place / name}: only one image {can}in this class folder; two are needed, to train and to validate"
            )
