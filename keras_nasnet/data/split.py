"""What a dataset and its splits are, and the rules by which all kinds shuffle and share out batches. NumPy only."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

TFDS = "tfds:"  # in front of the name of a set of tensorflow-datasets
IN_MEMORY_BYTES = 2**30  # larger sets are streamed unless told otherwise

Batch = tuple[Any, Any]  # images uint8 (b, height, width, 3), labels int32 (b,)


class Split(Protocol):
    """A part of a dataset: labelled images of one size. Any class with these members is one.

    Attributes:
        size: number of examples.
        image_shape: (height, width, 3) of every image.

    Example:
        >>> def brightness(split: Split) -> float:
        ...     return float(np.mean([images.mean() for images, labels in split.eval_batches(1)]))
        >>> brightness(ArraySplit(np.full((3, 8, 8, 3), 100, "uint8"), labels=np.arange(3), classes=3))
        100.0
    """

    size: int
    image_shape: tuple[int, int, int]

    def class_counts(self) -> np.ndarray:
        """Return the number of examples of each class, int64 (classes,)."""
        ...

    def train_batches(
        self, batch: int, epoch: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterable[Batch]:
        """Return one epoch's batches in shuffled order; the incomplete last one is dropped.

        All that is random follows from (seed, epoch) and the position in the epoch, so an epoch
        continued at `start` gives the very batches that the uninterrupted one would have given.

        Args:
            batch: examples in a global batch.
            epoch: number of the epoch, from 0.
            seed: from 0 up.
            start: global batches to leave out; they are not decoded.
            shard: (index, count): the batches' slice of worker `index` of `count`.

        Raises:
            ValueError: if the split has less than one batch, or the batch cannot be shared out evenly.
        """
        ...

    def eval_batches(self, batch: int, shard: tuple[int, int] = (0, 1)) -> Iterable[Batch]:
        """Return every example once, in order. The last batch may be smaller.

        Each shard gets the same number of batches, ceil(size / batch): its slice of the last
        one may be empty.
        """
        ...


@dataclass(frozen=True)
class Dataset:
    """A dataset whose three splits share no image.

    Args:
        name: of the dataset, or of its folder or file.
        class_names: in order of label.
        train: what is trained on.
        validation: what is looked at while training; of size 0 where the set has no such
            split and nothing is held out.
        test: what is looked at once, at the end; None where the set has none.
        problems: warnings for the user, a line each: files left out and why.

    Example:
        >>> def noise(count):
        ...     pixels = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), "uint8")
        ...     return ArraySplit(pixels, labels=np.arange(count) % 2, classes=2)
        >>> dataset = Dataset("noise", ("even", "odd"), train=noise(20), validation=noise(6), test=noise(10))
        >>> dataset.train.size
        20
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split | None
    problems: tuple[str, ...] = ()


class Divisible(Split, Protocol):
    """A split whose examples can be chosen by index."""

    labels: np.ndarray  # int32 (n,)

    def subset(self, indices: np.ndarray) -> Split: ...


def assemble(
    name: str,
    class_names: Sequence[str],
    parts: Mapping[str, Divisible],
    held_out: int | None,
    seed: int,
    problems: Iterable[str] = (),
) -> Dataset:
    """Return a dataset of the parts "train", "validation" and "test", of which the latter two may be missing.

    Args:
        name: of the dataset.
        class_names: in order of label.
        parts: by name.
        held_out: how many training images become the validation split; None: a fifth. A
            "validation" part then serves as test split if there is no "test".
        seed: of the choice of what is held out.
        problems: warnings for the user.

    Raises:
        ValueError: if too many are to be held out.
    """
    train, test = parts["train"], parts.get("test")
    if held_out == 0 and "validation" in parts:
        return Dataset(name, tuple(class_names), train, parts["validation"], test, tuple(problems))
    held = held_out_indices(train.labels, held_out, seed)
    rest = np.setdiff1d(np.arange(train.size), held)
    test = parts.get("validation") if test is None else test
    return Dataset(name, tuple(class_names), train.subset(rest), train.subset(held), test, tuple(problems))


def is_tfds(data: object) -> bool:
    """Return whether data is named as a set of tensorflow-datasets: "tfds:NAME"."""
    return isinstance(data, str | os.PathLike) and os.fspath(data).startswith(TFDS)


def epoch_order(size: int, seed: int, epoch: int) -> np.ndarray:
    """Return the order of the examples in an epoch: a permutation, int64 (size,)."""
    return np.random.default_rng((seed, epoch)).permutation(size)


def shard_range(batch: int, shard: tuple[int, int]) -> tuple[int, int]:
    """Return where a worker's slice of a global batch begins and ends.

    Raises:
        ValueError: if there is no such shard, or the batch cannot be shared out evenly.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard is {shard}: it must be (index, count) with an index from 0 to {count - 1}")
    if batch < 1 or batch % count:
        raise ValueError(f"the batch of {batch} cannot be shared out evenly over {count} workers: take a multiple")
    return batch // count * index, batch // count * (index + 1)


def train_positions(size: int, batch: int, start: int = 0, shard: tuple[int, int] = (0, 1)) -> list[range]:
    """Return which positions of an epoch's order make up a worker's batches, from global batch `start` on."""
    low, high = shard_range(batch, shard)
    if size < batch:
        raise ValueError(f"the batch of {batch} is larger than the training set of {size}: take a smaller batch")
    return [range(first + low, first + high) for first in range(start * batch, size // batch * batch, batch)]


def eval_positions(size: int, batch: int, shard: tuple[int, int] = (0, 1)) -> list[range]:
    """Return which examples make up a worker's batches while evaluating; the last range may be empty."""
    low, high = shard_range(batch, shard)
    return [range(min(first + low, size), min(first + high, size)) for first in range(0, size, batch)]


def held_out_indices(labels: np.ndarray, count: int | None, seed: int) -> np.ndarray:
    """Return the examples to hold out of a training set, about the same part of each class.

    Args:
        labels: (n,) of the whole training set.
        count: how many; None: a fifth, at least one of each class and never all of one.
        seed: from 0 up.

    Returns:
        Their indices in rising order, int64.

    Raises:
        ValueError: if `count` leaves no training image.
    """
    generator = np.random.default_rng(seed)
    by_class = [generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    if count is None:
        return np.sort(np.concatenate([members[: max(1, round(len(members) / 5))] for members in by_class]))
    if not 0 <= count < len(labels):
        raise ValueError(f"held_out is {count}: it must be from 0 to {len(labels) - 1}, one less than there are images")
    # Each example's rank within its class, as a fraction: the smallest `count` take evenly from all classes.
    indices = np.concatenate(by_class)
    ranks = np.concatenate([(np.arange(len(members)) + 0.5) / len(members) for members in by_class])
    return np.sort(indices[np.argsort(ranks, kind="stable")[:count]])
