"""Labels from a table beside the images: a CSV file with a path and a label in each row. Imports no Keras."""

import csv
import io
import itertools
import math
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from keras_nasnet.common import limits
from keras_nasnet.common.documents import read_text
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.common.image_folders import NAMED, LeftOut, left_out_lines, list_images
from keras_nasnet.data.class_folders import SPLIT_NAMES, LabelledPaths, named, similar_names

# What people call the columns, in lower case with "_" for blanks: the first that there is counts.
PATH_COLUMNS = (
    "path",
    "filepath",
    "file_path",
    "filename",
    "file_name",
    "file",
    "image_path",
    "img_path",
    "image",
    "image_name",
    "image_file",
    "img",
    "image_id",
    "img_id",
    "id",
)
LABEL_COLUMNS = ("label", "class", "class_name", "classname", "category", "target", "species", "breed")
SPLIT_COLUMNS = ("split", "subset", "data_set", "partition")

_DELIMITERS = ",;\t|"
_MANY_VALUES = 10  # numbers with a fraction, of which more are no classes


def read_label_table(
    table: str | os.PathLike[str], folder: Path, columns: Sequence[str] | None = None
) -> dict[str, LabelledPaths]:
    """Return the images below a folder with the labels that a table gives them.

    The table's first row names its columns; it is separated by commas, semicolons, tabs or bars. Paths are relative to
    the folder; the suffix may be missing, and so may folders, where the name tells which image is meant. What has no
    row, and rows without an image or a label, are left out and counted.

    Args:
        table: a .csv or .tsv file in UTF-8.
        folder: of the images.
        columns: names of the columns of paths and labels; default: the usual names. Without a column of labels, columns
            of 0 and 1 name the classes. A column "split" tells training, validation and test images apart.

    Returns:
        By split, "train", "validation" or "test"; all as "train" where the table names none. All have the same classes.

    Raises:
        ValueError: if it is no such table, a path leads out of the folder, an image has several labels, or the labels
            are numbers to be predicted rather than classes.
    """
    table = Path(table)
    rows = _Rows(table, columns, images := _Images(folder))
    labels, splits = {}, {}
    missing, unlabelled, twice = [], [], 0
    for number, name, label, split in rows:
        path = images.find(name, f"{table}, line {number}")
        if path is None:
            missing.append(name)
        elif not label:
            unlabelled.append(name)
        elif path not in labels:
            labels[path], splits[path] = label, split
        elif labels[path] == label:
            twice += 1
        else:
            both = f"{printable(labels[path])!r} and {printable(label)!r}"
            raise ValueError(f"{table}: {printable(name)} has several labels, {both}: an image can have only one")
    if not labels:
        first = f", such as {printable(missing[0])}" if missing else ""
        raise ValueError(f"{table}: no row has a label and an image below {folder}{first}")
    names = _class_names(table, labels)
    problems = [
        *left_out_lines(folder, [one for one in images.left_out if not _is_same(one.path, table)]),
        *_rows_left_out(table, missing, f"no such image below {printable(folder)}"),
        *_rows_left_out(table, unlabelled, "no label"),
        *([f"{table}: {twice} rows name an image once more"] if twice else []),
        *left_out_lines(folder, [LeftOut(path, f"not in {table}") for path in images.paths if path not in labels]),
        *similar_names(table, names.values()),
    ]
    classes = _in_order(set(names.values()))
    place = {name: label for label, name in enumerate(classes)}
    parts: dict[str, LabelledPaths] = {}
    for role in ("train", "validation", "test"):
        paths = sorted((path for path in labels if splits[path] == role), key=lambda path: (names[labels[path]], path))
        if paths:
            numbers = np.array([place[names[labels[path]]] for path in paths], np.int32)
            parts[role] = LabelledPaths(folder, classes, paths, numbers, table=table)
    next(iter(parts.values())).problems.extend(problems)
    return parts


def _rows_left_out(table: Path, rows: Sequence[str], reason: str) -> list[str]:
    if not rows:
        return []
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return [f"{table}: left out {len(rows)} rows ({', '.join(map(printable, rows[:NAMED]))}{more}): {reason}"]


def _is_same(path: Path, table: Path) -> bool:
    try:
        return path.samefile(table)
    except OSError:
        return False


class _Images:
    """The images below a folder, to be found by names as people write them."""

    def __init__(self, folder: Path):
        self.folder = folder
        listing = list_images(folder)
        self.paths, self.left_out = listing.images, listing.left_out
        if not self.paths:
            raise ValueError(f"{folder}: no images in this folder{listing.why_empty()}")
        self._root = folder.resolve()
        self._by_name: dict[str, list[tuple[str, ...]]] = {}
        self._of: dict[tuple[str, ...], Path] = {}
        depth = len(folder.parts)
        for path in self.paths:
            inside = tuple(_key(part) for part in path.parts[depth:])
            self._of.setdefault(inside, path)
            for name in {inside[-1], _stem(inside[-1])}:
                self._by_name.setdefault(name, []).append(inside)

    def find(self, name: str, where: str) -> Path | None:
        """Return the image that a row means.

        Raises:
            ValueError: if the path leads out of the folder, or may mean several images.
        """
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() and path.is_relative_to(self._root.as_posix()):
            path = path.relative_to(self._root.as_posix())
        if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name):
            raise ValueError(f"{where}: {printable(name)} leads out of {self.folder}: paths must be relative to it")
        wanted = tuple(map(_key, path.parts))
        if not wanted:
            return None
        if wanted in self._of:
            return self._of[wanted]
        found = self._by_name.get(wanted[-1]) or self._by_name.get(_stem(wanted[-1]), [])
        if not found:
            return None
        common = {inside: _common(inside[:-1], wanted[:-1]) for inside in found}
        best = [inside for inside in found if common[inside] == max(common.values())]
        if len(best) > 1:
            both = " or ".join(printable(self._of[inside]) for inside in best[:2])
            raise ValueError(f"{where}: {printable(name)} may be {both}: write its folder")
        return self._of[best[0]]


def _key(part: str) -> str:
    return unicodedata.normalize("NFC", part).casefold().strip()


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many parts agree, from the end."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


class _Rows:
    """The rows of a table: line, path, label ("" without one) and split."""

    def __init__(self, table: Path, columns: Sequence[str] | None, images: _Images):
        self.table = table
        self._rows = _read(table)
        header = self._rows[0]
        self._keys = ["_".join(name.casefold().replace("-", " ").split()) for name in header]
        self._names = [name.strip() for name in header]
        self._classes: list[int] = []  # columns of 0 and 1
        self._split: int | None = None
        self._first = 1
        if columns is not None:
            if len(columns) != 2:
                raise ValueError(f"columns are {columns!r}: give two names, of the paths and of the labels")
            self._path, self._label = (self._column(name) for name in columns)
        else:
            path = self._known(PATH_COLUMNS)
            if path is None and len(header) == 2 and images.find(header[0], f"{table}, line 1") is not None:
                self._path, self._label, self._first = 0, 1, 0  # no header
                return
            if path is None:
                raise ValueError(f"{table}: no column {PATH_COLUMNS[0]} or {PATH_COLUMNS[3]}; {self._remedy()}")
            self._path = path
            label = self._known(LABEL_COLUMNS)
            if label is None:
                self._classes = self._columns_of_classes()
            self._label = -1 if label is None else label
        self._split = self._known(SPLIT_COLUMNS)

    def __iter__(self) -> Iterator[tuple[int, str, str, str]]:
        for number, row in enumerate(self._rows[self._first :], self._first + 1):
            if any(cell.strip() for cell in row):
                row = [cell.strip() for cell in row] + [""] * (len(self._names) - len(row))
                label = self._only_class(row) if self._classes else row[self._label]
                if len(label) > limits.NAME_CHARACTERS:
                    raise ValueError(f"{self.table}, line {number}: its label has {len(label):,} characters")
                yield number, row[self._path], unicodedata.normalize("NFC", label), self._role(row, number)

    def _known(self, names: Sequence[str]) -> int | None:
        return next((self._keys.index(name) for name in names if name in self._keys), None)

    def _column(self, name: str) -> int:
        if name.strip() not in self._names:
            raise ValueError(f"{self.table}: no column {printable(name)}; it has {named(self._names)}")
        return self._names.index(name.strip())

    def _remedy(self) -> str:
        return f"it has {named(self._names)}: name those of paths and labels (--label-columns PATH,LABEL)"

    def _columns_of_classes(self) -> list[int]:
        others = [
            place for place in range(len(self._names)) if place != self._path and self._keys[place] not in SPLIT_COLUMNS
        ]
        rows = [row for row in self._rows[1:] if any(cell.strip() for cell in row)]
        values = {row[place].strip() for row in rows for place in others if place < len(row)}
        if len(others) < 2 or not rows or not values <= {"0", "1", "0.0", "1.0", ""}:
            raise ValueError(f"{self.table}: no column {' or '.join(LABEL_COLUMNS[:2])}; {self._remedy()}")
        return others

    def _only_class(self, row: Sequence[str]) -> str:
        marked = [self._names[place] for place in self._classes if row[place] in ("1", "1.0")]
        if len(marked) > 1:
            raise ValueError(
                f"{self.table}: {printable(row[self._path])} has several labels, {named(marked)}: "
                "an image can have only one"
            )
        return marked[0] if marked else ""

    def _role(self, row: Sequence[str], number: int) -> str:
        if self._split is None:
            return "train"
        word = row[self._split].casefold()
        for role, words in SPLIT_NAMES.items():
            if word in words:
                return role
        raise ValueError(f"{self.table}, line {number}: the split is {printable(word)!r}, not train, val or test")


def _read(table: Path) -> list[list[str]]:
    text = read_text(table, limits.TABLE_BYTES)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise ValueError(f"{table}: an empty file, not a table of labels")
    delimiter = max(_DELIMITERS, key=first.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [row for row in reader if row]
    except csv.Error as error:
        raise ValueError(f"{table}: not a table of text ({one_line(error, 200)})") from None


def _class_names(table: Path, labels: Mapping[Path, str]) -> dict[str, str]:
    """Return the name of the class of each label.

    Raises:
        ValueError: if labels are lists of several, or numbers to be predicted.
    """
    found = set(labels.values())
    for separator in ("|", ";", ",", " "):
        parts = {label: [part.strip() for part in label.split(separator)] for label in found if separator in label}
        several = [label for label, split in parts.items() if len(split) > 1 and found.issuperset(split)]
        if several or (separator in "|;" and parts) or any(label.startswith("[") for label in found):
            label = min(several or parts or found)
            raise ValueError(f"{table}: {printable(label)!r} stands for several labels: an image can have only one")
    numbers = {label: number for label in found if (number := _number(label)) is not None}
    if len(numbers) < len(found):
        return {label: label for label in found}
    fractions = any(number != round(number) for number in numbers.values())
    half = len(labels) / 2
    if (fractions and (len(found) > _MANY_VALUES or len(found) > half)) or len(found) > max(2 * _MANY_VALUES, half):
        raise ValueError(
            f"{table}: the labels are {len(found)} different numbers, such as {min(found)}: "
            "networks here learn classes, they predict no numbers (regression)"
        )
    # What pandas writes of whole numbers where some are missing.
    return {label: label if fractions else str(round(number)) for label, number in numbers.items()}


def _number(label: str) -> float | None:
    try:
        number = float(label)
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 2**63 else None


def _in_order(names: set[str]) -> tuple[str, ...]:
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=int))
    return tuple(sorted(names))
