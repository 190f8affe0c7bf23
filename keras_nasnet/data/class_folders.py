"""Folders of class folders: what is a split, what is a class, and which images belong to it. Imports no Keras."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_nasnet.common.escape import printable
from keras_nasnet.common.image_folders import (
    NO_IMAGE,
    LeftOut,
    Listing,
    has_image,
    left_out_lines,
    list_images,
    subfolders,
)

# What people call the folders of splits, in lower case.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid"),
    "test": ("test", "testing"),
}
_MOST_NAMED = 5  # classes that a message names
_MOST_CHARACTERS = 200  # of one name in a message


@dataclass
class LabelledPaths:
    """Images in files, and their classes.

    Attributes:
        place: the folder in which they lie.
        class_names: in order of label.
        paths: of the images, class by class.
        labels: int32 (n,), of the images.
        problems: what was left out, a line each.
        empty: names of class folders without an image, and in words what they hold instead.
        table: that gave the labels; None where the folders did.
    """

    place: Path
    class_names: tuple[str, ...]
    paths: list[Path]
    labels: np.ndarray
    problems: list[str] = field(default_factory=list)
    empty: dict[str, str] = field(default_factory=dict)
    table: Path | None = None

    def none_of(self, name: str, what: str = "no image") -> str:
        """Return the words for a class of which there is no image, or `what` there is."""
        if self.table is not None:
            return f"{self.table}: {what} of class {printable(name)}"
        return f"{printable(self.place / name)}: {what} in this class folder"

    def counts(self) -> np.ndarray:
        """Return the number of images of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    def relabelled(self, class_names: Sequence[str]) -> "LabelledPaths":
        """Return the same images with labels in the order of `class_names`, which have all names that images have."""
        place = {name: label for label, name in enumerate(class_names)}
        of = np.array([place.get(name, -1) for name in self.class_names], np.int32)
        return replace(self, class_names=tuple(class_names), labels=of[self.labels])


def split_folders(folder: Path) -> dict[str, Path]:
    """Return the folders of "train", "validation" and "test", of those that there are.

    A folder is a split if it is called like one and holds class folders itself: folders with an image in them. Without
    them it is a class, as it is where it holds images itself beside other classes that do.

    Raises:
        ValueError: if there is no such folder, or it cannot be listed.
    """
    names = subfolders(folder)
    called = {name.casefold(): name for name in reversed(names)}
    words = {word for role in SPLIT_NAMES.values() for word in role}
    classes = [name for name in names if name.casefold() not in words]
    splits = {}
    for role, candidates in SPLIT_NAMES.items():
        for place in (folder / called[word] for word in candidates if word in called):
            if holds_classes(place) and not (
                _holds(place, True) and any(_holds(folder / name, True) for name in classes)
            ):
                splits[role] = place
                break
    return splits


def folder_labels(folder: Path, images: Iterable[Path]) -> list[str]:
    """Return the classes of images below a folder: the names of their class folders, "" for those that lie in none.

    Raises:
        ValueError: if the name of a class folder is no text.
    """
    splits = {place.name for place in split_folders(folder).values()}
    depth, names, labels = len(folder.parts), {}, []
    for path in images:
        inside = path.parts[depth:-1]
        if splits:
            inside = inside[1:] if inside and inside[0] in splits else ()
        if inside and inside[0] not in names:
            names[inside[0]] = _class_name(path.parent, inside[0])
        labels.append(names[inside[0]] if inside else "")
    return labels


def holds_classes(folder: Path) -> bool:
    """Return whether a folder holds class folders: folders with an image in them."""
    return any(_holds(folder / name) for name in subfolders(folder))


def _holds(folder: Path, direct: bool = False) -> bool:
    try:
        return has_image(folder, direct)
    except ValueError:  # it cannot be listed: whoever lists the images says it
        return False


def read_class_folders(place: Path) -> LabelledPaths:
    """Return the images below the class folders in a folder, in order of class and path.

    Class names are those of the folders in Unicode's composed form (NFC), sorted. Classes without an image are among
    them, and in `empty`.

    Raises:
        ValueError: if there is no class folder, or the name of one is no text.
    """
    listing = list_images(place)
    problems = _problems(listing)
    folders: dict[str, list[str]] = {}
    for name in listing.folders:
        folders.setdefault(_class_name(place, name), []).append(name)
    for name, same in folders.items():
        if len(same) > 1:
            problems.append(f"{place}: {len(same)} folders are class {printable(name)}: Unicode writes the name so")
    names = tuple(sorted(folders))
    if not names:
        if listing.images:
            count = f"its images ({len(listing.images)}) lie in no class folder"
            raise ValueError(
                f"{place}: {count}; put those of each class into a folder of its name, or give a table (--labels)"
            )
        why = listing.why_empty()
        raise ValueError(f"{place}: no class folders; put the images of each class into a folder of its name{why}")
    problems += similar_names(place, names)
    by_class: dict[str, list[Path]] = {name: [] for name in names}
    beside = []
    depth = len(place.parts)
    for path in listing.images:
        inside = path.parts[depth:]
        if len(inside) > 1:
            by_class[_composed(inside[0])].append(path)
        else:
            beside.append(path)
    problems += left_out_lines(place, (LeftOut(path, "in no class folder") for path in beside))
    empty = {name: listing.why_empty(place / folders[name][0]) for name in names if not by_class[name]}
    paths = [path for name in names for path in by_class[name]]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), [len(by_class[name]) for name in names])
    return LabelledPaths(place, names, paths, labels, problems, empty)


def _problems(listing: Listing) -> list[str]:
    """Return lines for what was left out, without files beside the class folders: they belong to none."""
    inside = [one for one in listing.left_out if one.path.parent != listing.place or one.reason != NO_IMAGE]
    return left_out_lines(listing.place, inside)


def _class_name(place: Path, folder: str) -> str:
    try:
        folder.encode()
    except UnicodeEncodeError:
        name = printable(place / folder)
        raise ValueError(f"{name}: the name of this class folder is no text in UTF-8: rename it") from None
    return _composed(folder)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def similar_names(place: Path | str, names: Iterable[str]) -> list[str]:
    """Return a line for each group of classes whose names differ in case and blanks only."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault("".join(name.casefold().split()), []).append(name)
    return [
        f"{place}: classes {named(group)} differ only in case or blanks; they are {len(group)} classes"
        for group in groups.values()
        if len(group) > 1
    ]


def named(names: Iterable[str]) -> str:
    """Return names for a message: the first, of each its beginning, and how many more."""
    names = list(names)
    more = len(names) - _MOST_NAMED
    shown = [name if len(name) <= _MOST_CHARACTERS else f"{name[:_MOST_CHARACTERS]}..." for name in names[:_MOST_NAMED]]
    return ", ".join(map(printable, shown)) + (f" and {more} more" if more > 0 else "")
