"""The names of a model's classes: from a file of the user's, and those of ImageNet. Imports no Keras."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from keras_nasnet.common.documents import parse_json, read_text
from keras_nasnet.common.errors import one_line
from keras_nasnet.models import arguments

_IMAGENET = Path(__file__).parent / "catalog" / "imagenet.tsv"
_SAME_THERE = {"tank suit": "maillot"}  # what `keras.applications` calls as another class


def read_class_names(source: str | os.PathLike[str] | Sequence[str]) -> tuple[str, ...]:
    """Return the names of classes in order.

    Args:
        source: the names; or a file of them: a JSON list, or a line for each, of which what follows the last tab is
            the name.

    Raises:
        ValueError: if there is no such file, it holds no names, or a name is no text.
    """
    if not isinstance(source, str | os.PathLike):
        return arguments.class_names(source, None) or ()
    text = read_text(source)
    if text.lstrip().startswith("["):
        names = parse_json(text, os.fspath(source))
    else:
        names = [line.split("\t")[-1].strip() for line in text.splitlines()]
        while names and not names[-1]:
            names.pop()
    try:
        found = arguments.class_names(names, None)
        if not found or not all(found):
            raise ValueError("a name is empty" if found else "there are no names")
    except ValueError as error:
        raise ValueError(f"{os.fspath(source)}: no names of classes ({one_line(error)})") from None
    return found


def imagenet() -> list[tuple[str, str]]:
    """Return ImageNet's classes in order: WordNet number, and name as `keras.applications` writes it."""
    rows = (line.split("\t") for line in _IMAGENET.read_text("utf-8").splitlines())
    return [(number, _SAME_THERE.get(name, re.sub(r" \(.*\)", "", name)).replace(" ", "_")) for number, name in rows]
