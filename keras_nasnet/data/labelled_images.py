"""Labelled images, streamed one by one: a folder of class folders, or a set of tensorflow-datasets."""

import io
import itertools
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np
from PIL import Image

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.images import SUFFIXES, read_fitted
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.data.folder import VALIDATION_NAMES, class_folders, visible_files
from keras_nasnet.data.split import Batch

_TFDS = "tfds:"


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
    """

    split: str | None
    class_names: tuple[str, ...]
    size: int

    def __iter__(self) -> Iterator[LabelledImage]: ...


def open_images(data: str | os.PathLike[str], split: str | None, data_dir: str | None) -> LabelledImages:
    """Open labelled images; `keras_nasnet.zoo.evaluate` says what the arguments mean.

    Raises:
        ValueError: if there are none, or a class has none.
    """
    if isinstance(data, str) and data.startswith(_TFDS):
        return _TfdsImages(data.removeprefix(_TFDS), split, data_dir)
    return _FolderImages(Path(data).expanduser(), split)


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
    """Images in class folders, listed class by class."""

    def __init__(self, folder: Path, split: str | None):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; a set of tensorflow-datasets is called {_TFDS}NAME")
        if split is None:
            split = next((name for name in ("test", *VALIDATION_NAMES) if (folder / name).is_dir()), None)
        self.split = split
        self._folder = folder if split is None else folder / split
        if not self._folder.is_dir():
            raise ValueError(f"{folder}: has no folder {split}")
        self.class_names = tuple(class_folders(self._folder))
        if not self.class_names:
            raise ValueError(f"{self._folder}: no class folders; the images of each class belong into a folder")
        beside = [path for path in self._folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
        if beside:
            raise ValueError(f"{min(beside)}: lies in no class folder; put it into one or remove it")
        self.size = sum(self._count(name) for name in self.class_names)

    def __iter__(self) -> Iterator[LabelledImage]:
        for label, name in enumerate(self.class_names):
            for path in sorted(visible_files(self._folder / name)):
                yield LabelledImage(path, os.fspath(path), label)

    def _count(self, name: str) -> int:
        count = 0
        for path in visible_files(self._folder / name):
            if path.suffix.lower() not in SUFFIXES:
                raise ValueError(f"{path}: no image ({', '.join(SUFFIXES)}); remove it from the class folder")
            count += 1
        if count == 0:
            raise ValueError(f"{self._folder / name}: no image in this class folder")
        return count


class _TfdsImages:
    """A split of a prepared set of tensorflow-datasets, in its stored order."""

    def __init__(self, name: str, split: str | None, data_dir: str | None):
        from keras_nasnet.data.tfds import EncodedSplit, class_names, image_and_label_keys, prepared_builder

        if not name:
            raise ValueError(f"{_TFDS}: give the name of a set behind it, for example {_TFDS}cifar10")
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
                raise ValueError(f"{name}: no test or validation split with labels; choose a split of {splits}")
        try:
            self._examples = examples(split)
        except ValueError as error:
            raise ValueError(f"{name}: there is no split {split!r} ({one_line(error)})") from None
        self.split: str | None = split
        self.class_names = class_names(builder, label_key)
        self.size = self._examples.size
        self._name = name
        if self.size == 0:
            raise ValueError(f"{name}: no image in {split}")

    def __iter__(self) -> Iterator[LabelledImage]:
        for number, (encoded, label) in enumerate(self._examples):
            name = f"{self._name}, {self.split}, image {number}"
            if not 0 <= label < len(self.class_names):
                raise ValueError(f"{name}: its label is {label}, not one of 0 to {len(self.class_names) - 1}")
            yield LabelledImage(io.BytesIO(encoded), name, label)
