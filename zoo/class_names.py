"""The classes of a data set matched with those of a model."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_IMAGENET = Path(__file__).parent / "catalog" / "imagenet.tsv"


def model_labels(names: Sequence[str], data_names: Sequence[str], data: str) -> np.ndarray:
    """Return the model's label for each label of the data: int64 (classes,).

    Classes are the same if they have the same names, in any order. The data may call those of
    ImageNet by their WordNet numbers (n01440764). A model whose names are only "0", "1" and so
    on takes the labels as they are.

    Args:
        names: of the model's classes.
        data_names: of the data's.
        data: its name, for messages.

    Raises:
        ValueError: if the classes differ, or the names do not tell which is which.
    """
    if tuple(names) == tuple(data_names):
        return np.arange(len(names))
    numbers, imagenet = zip(*(line.split("\t") for line in _IMAGENET.read_text("utf-8").splitlines()), strict=True)
    if tuple(names) == imagenet and not set(numbers).isdisjoint(data_names):
        names = numbers
    for listed, owner in ((names, "the model"), (data_names, data)):
        name, count = Counter(listed).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{owner} calls {count} classes {name!r}: the names do not tell which is which")
    known, found = set(names), set(data_names)
    if tuple(names) == tuple(map(str, range(len(names)))) and known != found:
        if len(data_names) != len(names):
            raise ValueError(f"{data}: has {len(data_names)} classes, the model {len(names)}")
        return np.arange(len(names))
    if missing := [name for name in names if name not in found]:
        extra = next((f", and has {name!r}" for name in data_names if name not in known), "")
        raise ValueError(f"{data}: lacks the model's class {missing[0]!r}{_more(len(missing))}{extra}")
    if unknown := [name for name in data_names if name not in known]:
        raise ValueError(f"{data}: the model does not know its class {unknown[0]!r}{_more(len(unknown))}")
    places = {name: place for place, name in enumerate(names)}
    return np.array([places[name] for name in data_names])


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""
