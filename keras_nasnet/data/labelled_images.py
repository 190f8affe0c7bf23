"""Labelled images, streamed one by one: a folder of class folders, or a set of tensorflow-datasets."""

import io
import itertools
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from PIL import Image

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.image_folders import user_path
from keras_nasnet.common.images import read_fitted
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.data.class_folders import SPLIT_NAMES, named, read_class_folders, split_folders
from keras_nasnet.data.label_tables import read_label_table
from keras_nasnet.data.split import TFDS, Batch, is_tfds


class LabelledImage(NamedTuple):
    """An image that is not decoded yet: its path or open file, its name for messages, and its label."""

    file: Path | BinaryIO
    name: str
    label: int


class LabelledImages(Protocol):
    """Images with labels, none of which is held in memory.

    Attributes:
        split: what is taken of the data; None where the data has no splits.
        class_names: in order of label.
        size: number of images.
        problems: what was left out, a line each.
    """

    split: str | None
    class_names: tuple[str, ...]
    size: int
    problems: tuple[str, ...]

    def __iter__(self) -> Iterator[LabelledImage]: ...


def open_images(
    data: str | os.PathLike[str],
    split: str | None,
    data_dir: str | None,
    labels: str | os.PathLike[str] | None = None,
    label_columns: Sequence[str] | None = None,
) -> LabelledImages:
    """Open labelled images; `keras_nasnet.zoo.evaluate` says what the arguments mean.

    Raises:
        ValueError: if there are none.
    """
    if is_tfds(data):
        if labels is not None:
            raise ValueError(f"{data}: it has labels of its own; {labels} is for images in a folder")
        return _TfdsImages(os.fspath(data).removeprefix(TFDS), split, data_dir)
    return _FolderImages(user_path(data), split, labels, label_columns)


def open_all_splits(data: str, data_dir: str | None) -> list[LabelledImages]:
    """Open each split of "tfds:NAME", in the order in which the set has them."""
    from keras_nasnet.data.tfds import prepared_builder

    name = data.removeprefix(TFDS)
    return [
        _TfdsImages(name, split, data_dir, labelled=False) for split in prepared_builder(name, data_dir).info.splits
    ]


def read_batches(
    images: LabelledImages, fit: Callable[[Image.Image], np.ndarray], batch: int
) -> Generator[Batch, None, None]:
    """Yield all images in order, fitted and in batches, of which the last may be smaller.

    Threads read a few batches ahead; no more are in memory.

    Args:
        images: what to read.
        fit: makes uint8 pixels (height, width, 3) of an image, all of one size.
        batch: images in one.

    Raises:
        ValueError: if an image cannot be read.
    """
    upcoming = iter(images)
    chosen = iter(lambda: list(itertools.islice(upcoming, batch)), [])
    for items, pixels in read_ahead(chosen, lambda item: read_fitted(item.file, fit, item.name)):
        yield np.stack(pixels), np.array([item.label for item in items])


class _FolderImages:
    """Images in class folders, or with labels from a table, class by class."""

    def __init__(
        self,
        folder: Path,
        split: str | None,
        labels: str | os.PathLike[str] | None,
        label_columns: Sequence[str] | None,
    ):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; a set of tensorflow-datasets is called {TFDS}NAME")
        if labels is None:
            self.split, place = _split_of(folder, split)
            images = read_class_folders(place)
        else:
            parts = read_label_table(labels, folder, label_columns)
            role = _role(split) or next(role for role in ("test", "validation", "train") if role in parts)
            if role not in parts:
                raise ValueError(f"{labels}: it names no {split} images, only {' and '.join(parts)}")
            self.split, images = role if split or len(parts) > 1 else None, parts[role]
        if not images.paths:
            raise ValueError(f"{images.place}: no image in its class folders")
        there = [name for name, count in zip(images.class_names, images.counts(), strict=True) if count]
        lacking = [name for name in images.class_names if name not in there]
        if lacking:
            images.problems.append(f"{images.place}: no image of {named(lacking)}")
        self._images = images.relabelled(there)
        self.class_names = self._images.class_names
        self.problems = tuple(images.problems)
        self.size = len(images.paths)

    def __iter__(self) -> Iterator[LabelledImage]:
        for path, label in zip(self._images.paths, self._images.labels.tolist(), strict=True):
            yield LabelledImage(path, os.fspath(path), label)


def _role(split: str | None) -> str | None:
    """Return which of `SPLIT_NAMES` a split's name is."""
    words = (split or "").casefold()
    return next((role for role, names in SPLIT_NAMES.items() if words in names), None)


def _split_of(folder: Path, split: str | None) -> tuple[str | None, Path]:
    """Return the name of the folder that holds the class folders, and its path; None and the whole without splits."""
    splits = split_folders(folder)
    if split is not None:
        place = folder / split
        if not split or not place.is_dir():
            place = splits.get(_role(split) or "", place)
        if not split or not place.is_dir():
            raise ValueError(f"{folder}: has no folder {split}")
        return place.name, place
    place = splits.get("test") or splits.get("validation") or folder
    if place == folder and splits:
        raise ValueError(
            f"{folder}: has no test images, only {named(place.name for place in splits.values())}/: choose it (--split)"
        )
    return (None if place == folder else place.name), place


class _TfdsImages:
    """A split of a prepared set of tensorflow-datasets, in its stored order."""

    def __init__(self, name: str, split: str | None, data_dir: str | None, labelled: bool = True):
        from keras_nasnet.data.tfds import EncodedSplit, class_names, image_and_label_keys, prepared_builder

        builder = prepared_builder(name, data_dir)
        image_key, label_key = image_and_label_keys(builder, name)

        def examples(split: str) -> EncodedSplit:
            return EncodedSplit(builder, split, image_key, label_key)

        if split is None:
            # The test images of ImageNet and some others come without labels.
            found = [key for key in ("test", "validation") if key in builder.info.splits]
            split = next((key for key in found if examples(key).has_labels()), None)
            if split is None:
                splits = ", ".join(builder.info.splits)
                raise ValueError(
                    f"{name}: no test or validation split with labels; choose a split of {splits} (--split)"
                )
        try:
            self._examples = examples(split)
        except ValueError as error:
            raise ValueError(f"{name}: there is no split {split!r} ({one_line(error)})") from None
        self.split: str | None = split
        self.class_names = class_names(builder, label_key)
        self.size = self._examples.size
        self._name = name
        self._labelled = labelled
        self.problems: tuple[str, ...] = ()
        if self.size == 0:
            raise ValueError(f"{name}: no image in {split}")

    def __iter__(self) -> Iterator[LabelledImage]:
        for number, (encoded, label) in enumerate(self._examples):
            name = f"{self._name}, {self.split}, image {number}"
            if self._labelled and not 0 <= label < len(self.class_names):
                raise ValueError(f"{name}: its label is {label}, not one of 0 to {len(self.class_names) - 1}")
            yield LabelledImage(io.BytesIO(encoded), name, label)
