"""A folder of class folders. NumPy and Pillow only: imports no TensorFlow."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.common.image_folders import NAMED, LeftOut, left_out_lines, list_images, subfolders
from keras_nasnet.common.images import Preprocessing, read_fitted
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.class_folders import SPLIT_NAMES, LabelledPaths, named, read_class_folders, split_folders
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.label_tables import read_label_table
from keras_nasnet.data.split import (
    IN_MEMORY_BYTES,
    Batch,
    Dataset,
    assemble,
    epoch_order,
    eval_positions,
    train_positions,
)

_SPLIT_WORDS = {word for words in SPLIT_NAMES.values() for word in words}


def open_folder(
    folder: Path,
    image_size: tuple[int, int] | None,
    held_out: int | None,
    crop: RandomCrop | None,
    seed: int,
    in_memory: bool | None,
    labels: str | os.PathLike[str] | None = None,
    label_columns: Sequence[str] | None = None,
) -> Dataset:
    """Return a folder of class folders as a dataset; `open_dataset` says what the arguments mean.

    The class folders lie in it, or in its folders train/ (training/), val/ (validation/, valid/) and test/ (testing/),
    of which all but train/ may be missing. A folder is such a split only if it holds class folders itself. Images in
    folders below a class folder belong to the class. What is left out is named in `problems`: files that are no images,
    images that cannot be read, images in no class folder. Every image is read once to find those.

    Raises:
        ValueError: if there is no such folder, fewer than two class folders, a class without an
            image (or with just one where the validation split must come from it), or a class that training lacks.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    if image_size is None:
        raise ValueError(f"{folder}: give the image size to train at; the images of a folder may vary in size")
    problems: list[str] = []
    if labels is None:
        parts = _class_folders(folder, problems)
    else:
        parts = read_label_table(labels, folder, label_columns)
        if "train" not in parts:
            raise ValueError(f"{labels}: it names no training images, only {' and '.join(parts)}")
        if len(parts["train"].class_names) < 2:
            raise ValueError(f"{labels}: only one class, {named(parts['train'].class_names)}; at least two are needed")
    train = parts["train"]
    class_names = train.class_names
    must_split = "validation" not in parts and not held_out
    listed = {}
    for part, images in parts.items():
        problems += images.problems
        images = _with_training_classes(images, train)
        _check_counts(part, images, images.labels, must_split, problems)
        listed[part] = FolderSplit(images.paths, images.labels, len(class_names), image_size, crop)

    if crop is not None:
        in_memory = False  # else the crop would be the same in every epoch
    elif in_memory is None:
        in_memory = sum(split.decoded_bytes for split in listed.values()) <= IN_MEMORY_BYTES
    splits: dict[str, Any] = {}
    for part, split in listed.items():
        unreadable: list[LeftOut] = []
        splits[part] = split.into_memory(unreadable) if in_memory else split.readable(unreadable)
        problems += unreadable_lines(parts[part].place, unreadable)
        readable = splits[part].labels
        if len(readable) < split.size:
            images = _with_training_classes(parts[part], train)
            label_of = dict(zip(images.paths, images.labels.tolist(), strict=True))
            for one in unreadable:
                name = images.class_names[label_of[one.path]]
                images.empty.setdefault(name, f" ({printable(one.path.name)}: {one.reason})")
            _check_counts(part, images, readable, must_split, problems, readable=True)

    try:
        return assemble(
            folder.resolve().name, class_names, splits, None if must_split else held_out or 0, seed, problems
        )
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None


def unreadable_lines(place: Path, unreadable: Sequence[LeftOut]) -> list[str]:
    """Return a line for each image that cannot be read; where many share a reason, one for all of them."""
    counts = Counter(one.reason for one in unreadable)
    few = [one for one in unreadable if counts[one.reason] <= NAMED]
    many = [one for one in unreadable if counts[one.reason] > NAMED]
    return [f"{printable(one.path)}: {one.reason}; left out" for one in few] + left_out_lines(place, many)


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

    def readable(self, unreadable: list[LeftOut]) -> "FolderSplit":
        """Return a split of the images that can be read; the others go to `unreadable`."""
        kept = []
        for index, result in enumerate(_read_each(self.paths, lambda image: None)):
            if isinstance(result, ValueError):
                unreadable.append(LeftOut(self.paths[index], reason(result, self.paths[index])))
            else:
                kept.append(index)
        return self.subset(np.array(kept, np.int64))

    def into_memory(self, unreadable: list[LeftOut]) -> ArraySplit:
        """Return a split in memory of the images that can be read; the others go to `unreadable`."""
        images = np.empty((self.size, *self.image_shape), np.uint8)
        kept: list[int] = []
        for index, result in enumerate(_read_each(self.paths, self._central.fit)):
            if isinstance(result, ValueError):
                unreadable.append(LeftOut(self.paths[index], reason(result, self.paths[index])))
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


def reason(error: ValueError, path: Path) -> str:
    """Return what an error of `read_image` says of its file, without the file's name."""
    return one_line(error).removeprefix(f"{printable(path)}: ")


def _class_folders(folder: Path, problems: list[str]) -> dict[str, LabelledPaths]:
    """Return the class folders of each split; says in `problems` what else a folder of splits holds."""
    splits = split_folders(folder)
    if not splits:
        train = read_class_folders(folder)
        if all(name.casefold() in _SPLIT_WORDS for name in train.class_names):
            problems.append(
                f"{folder}: its classes are called {named(train.class_names)}; if these are splits, "
                "put the images of each class into a folder of its name there, or give a table (--labels)"
            )
        if len(train.class_names) == 1:
            why = "".join(f" ({problem})" for problem in train.problems[:1])
            raise ValueError(
                f"{folder}: only one class folder, {named(train.class_names)}; at least two are needed{why}"
            )
        return {"train": train}
    if "train" not in splits:
        other = next(iter(splits.values()))
        raise ValueError(
            f"{folder}: has {other.name}/ but no train/ with class folders; put the training class folders there"
        )
    parts = {role: read_class_folders(place) for role, place in splits.items()}
    if len(parts["train"].class_names) == 1:
        name = named(parts["train"].class_names)
        raise ValueError(f"{splits['train']}: only one class folder, {name}; at least two are needed")
    taken = [place.name for place in splits.values()]
    others = [folder / name for name in subfolders(folder) if name not in taken]
    beside = [image for other in others for image in list_images(other).images]
    if beside:
        problems += left_out_lines(
            folder, [LeftOut(path, f"not in a class folder of {named(taken)}") for path in beside]
        )
    return parts


def _with_training_classes(images: LabelledPaths, train: LabelledPaths) -> LabelledPaths:
    """Return the images of a split, labelled in the order of the training classes."""
    if images.class_names == train.class_names:
        return images
    unknown = [
        name
        for name, count in zip(images.class_names, images.counts(), strict=True)
        if count and name not in train.class_names
    ]
    if unknown:
        raise ValueError(
            f"{images.place}: {train.place} has no class folder {named(unknown)}, and so no network would learn it; "
            f"{train.place} has {named(train.class_names)}"
        )
    return images.relabelled(train.class_names)


def _check_counts(
    part: str,
    images: LabelledPaths,
    labels: np.ndarray,
    must_split: bool,
    problems: list[str],
    readable: bool = False,
) -> None:
    """Raise ValueError for a class that has too few training images; note those that other splits lack."""
    counts = np.bincount(labels, minlength=len(images.class_names))
    can = "that can be read " if readable else ""
    if part != "train":
        lacking = [name for name, count in zip(images.class_names, counts, strict=True) if not count]
        if len(lacking) == len(counts):
            raise ValueError(f"{images.place}: no image {can}in its class folders; add some or remove the folder")
        if lacking:
            problems.append(f"{images.place}: no image {can}of {named(lacking)}: nothing is measured on it")
        return
    for name, count in zip(images.class_names, counts, strict=True):
        if count == 0:
            why = images.empty.get(name, "")
            raise ValueError(f"{images.none_of(name, f'no image {can}'.rstrip())}; add some or remove the class{why}")
        if count == 1 and must_split:
            one = images.none_of(name, f"only one image {can}".rstrip())
            raise ValueError(f"{one}; two are needed, to train and to validate")
