"""The classes of a data set matched with those of a model."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_nasnet.common.escape import printable

_IMAGENET = Path(__file__).parent / "catalog" / "imagenet.tsv"
_NAMED = 5  # classes that a message names


def model_labels(names: Sequence[str], data_names: Sequence[str], data: str) -> np.ndarray:
    """Return the model's label for each label of the data: int64 (classes of the data,).

    Classes are the same if they have the same names, in any order; upper and lower case, blanks, "_", "-" and other
    signs do not count where the names still tell which is which, nor does what follows a comma in the data's. Those of
    ImageNet may be called by their WordNet numbers, also with something behind it (n02085620-Chihuahua). Data whose
    names are all numbers calls classes by the model's labels, from 0 up. A model whose names are only "0", "1" and so
    on takes the labels of as many classes as they are. The data need not have all of the model's classes.

    Args:
        names: of the model's classes.
        data_names: of the data's.
        data: its name, for messages.

    Raises:
        ValueError: if the model does not know a class of the data, or the names do not tell which is which.
    """
    if tuple(names) == tuple(data_names):
        return np.arange(len(names))
    for listed, owner in ((names, "the model"), (data_names, data)):
        name, count = Counter(listed).most_common(1)[0]
        if count > 1:
            raise ValueError(f"{owner} calls {count} classes {name!r}: the names do not tell which is which")
    if are_numbers(names) and not set(data_names) <= set(names):
        if len(data_names) != len(names):
            raise ValueError(f"{data}: has {len(data_names)} classes, the model {len(names)} without names")
        return np.arange(len(names))
    found = _matched(names, data_names)
    if unknown := [name for name in data_names if found[name] is None]:
        raise ValueError(
            f"{data}: the model does not know its {'class' if len(unknown) == 1 else 'classes'} {_some(unknown)}; "
            f"the model has {_some(names)}"
        )
    labels = np.array([found[name] for name in data_names], np.int64)
    label, count = Counter(labels.tolist()).most_common(1)[0]
    if count > 1:
        same = [name for name in data_names if found[name] == label]
        raise ValueError(f"{data}: its classes {_some(same)} are all the model's class {printable(names[label])!r}")
    return labels


def are_numbers(names: Sequence[str]) -> bool:
    """Return whether names are only "0", "1" and so on, as those of a model that was given none."""
    return tuple(names) == tuple(map(str, range(len(names))))


def by_number(names: Sequence[str], data_names: Sequence[str]) -> bool:
    """Return whether the data's names are numbers, by which it calls the classes of a model that has names."""
    return not are_numbers(names) and all(_is_number(name, len(names)) for name in data_names)


def _matched(names: Sequence[str], data_names: Sequence[str]) -> Mapping[str, int | None]:
    exact = {name: label for label, name in enumerate(names)}
    if by_number(names, data_names) and not set(data_names) & set(exact):
        return {name: int(name) for name in data_names}
    counts = Counter(map(_plain, names))
    plain = {_plain(name): label for label, name in enumerate(names) if counts[_plain(name)] == 1}
    numbers, imagenet = zip(*(line.split("\t") for line in _IMAGENET.read_text("utf-8").splitlines()), strict=True)
    wordnet = {number: exact[name] for number, name in zip(numbers, imagenet, strict=True) if name in exact}

    def label(name: str) -> int | None:
        number = re.match(r"n\d{8}(?!\d)", name)
        candidates = (
            exact.get(name),
            wordnet.get(number[0]) if number else None,
            plain.get(_plain(name)),
            plain.get(_plain(name.split(",")[0])),
        )
        return next((candidate for candidate in candidates if candidate is not None), None)

    return {name: label(name) for name in data_names}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFC", name).casefold()).strip()


def _is_number(name: str, below: int) -> bool:
    return len(name) < 8 and name.isascii() and name.isdecimal() and int(name) < below


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(repr(printable(name)) for name in names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
