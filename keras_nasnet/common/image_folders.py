"""Folders of images: one walk for all commands, which says what it left out. Imports no Keras."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from keras_nasnet.common import limits
from keras_nasnet.common.escape import printable
from keras_nasnet.common.image_formats import FORMATS_TEXT, sniff

NAMED = 3  # files that a line names; it counts the others

# Files so called are meant to be images: what is wrong with one is for its reader to say. Of all others the content
# decides.
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif")
)

# What systems and programs keep beside people's files, in lower case: never images or classes, as hidden files are not.
_JUNK = frozenset(
    (
        "__macosx",
        "@eadir",
        "#recycle",
        "@recycle",
        "@recently-snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "icon\r",
    )
)

NO_IMAGE = "no image"
_TAKEN = "a link to a folder that is taken already"
_CHUNK = 256  # files that a thread looks into at a time


@dataclass(frozen=True)
class LeftOut:
    """A file or folder that was not taken, and why, in a few words."""

    path: Path
    reason: str


@dataclass
class Listing:
    """What lies below a folder.

    Attributes:
        place: the folder.
        images: in order of path.
        left_out: the other files in order of path, without those that are hidden or of the system.
        folders: names of the folders in it, in order.
        hidden: number of files and folders that are hidden or of the system.
    """

    place: Path
    images: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    hidden: int = 0

    def problems(self) -> list[str]:
        """Return a line for each reason for which files were left out."""
        return left_out_lines(self.place, self.left_out)

    def why_empty(self, folder: Path | None = None) -> str:
        """Return in words what there is instead of images, in all or in one of its folders; "" if there is nothing."""
        inside = [one for one in self.left_out if folder is None or folder in (one.path, *one.path.parents)]
        said = [line.split(": ", 1)[1] for line in left_out_lines(folder or self.place, inside)]
        if self.hidden and folder is None:
            said.append(f"{self.hidden} hidden or of the system")
        return f" ({'; '.join(said)})" if said else ""


def is_junk(name: str) -> bool:
    """Return whether a file or folder of this name is hidden, or one of those that systems keep beside people's files.

    Example:
        >>> [is_junk(name) for name in ("cat", ".git", "__MACOSX", "@eaDir", "Thumbs.db", "._cat.jpg")]
        [False, True, True, True, True, True]
    """
    return name.startswith(".") or name.casefold() in _JUNK


def left_out_lines(place: Path, left_out: Iterable[LeftOut]) -> list[str]:
    """Return a line for each reason: how many there are, and the first names."""
    by_reason: dict[str, list[Path]] = {}
    for one in left_out:
        by_reason.setdefault(one.reason, []).append(one.path)
    return [f"{printable(place)}: left out {_some(place, paths)}: {reason}" for reason, paths in by_reason.items()]


def _some(place: Path, paths: list[Path]) -> str:
    inside = [path.relative_to(place) if path.is_relative_to(place) and path != place else path for path in paths]
    names = ", ".join(printable(path) for path in inside[:NAMED])
    if len(paths) == 1:
        return names
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{len(paths)} ({names}{more})"


def check_path(path: str | os.PathLike[str]) -> Path:
    """Return a path, whether there is something or not.

    Raises:
        ValueError: if it is empty, which pathlib takes for the current folder, or the system takes no such path.
    """
    if not os.fspath(path):
        raise ValueError("a path is empty: give a file or a folder")
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # too long, a loop of links, a folder that may not be entered
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise ValueError(f"{printable(path)}: a path cannot hold a zero byte") from None
    return Path(path)


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path as `check_path` does, with the user's home for "~"."""
    with contextlib.suppress(RuntimeError):  # no such user: it is a name
        return check_path(check_path(path).expanduser())
    return Path(path)


def find_images(path: str | os.PathLike[str]) -> Listing:
    """Return a file as it is, or the images below a folder; see `list_images`.

    Raises:
        ValueError: if there is no such path, or no image in the folder; says what there is instead.
    """
    path = check_path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder")
    if not path.is_dir():
        return Listing(path.parent, [path])
    found = list_images(path)
    if not found.images:
        raise ValueError(f"{path}: no images in this folder ({FORMATS_TEXT}){found.why_empty()}")
    return found


def list_images(folder: str | os.PathLike[str]) -> Listing:
    """Return the images below a folder, at any depth, and what was left out.

    An image is what begins like one; a file whose name ends like an image's is taken too, so that whoever reads it
    says what is wrong with it. Hidden files and folders, and those of `is_junk`, are never taken. Links are followed:
    a link to a file is an image of its own; a folder that is reached twice is taken once, where it lies itself if it
    lies below the folder.

    Raises:
        ValueError: if there is no such folder, or it cannot be listed.
    """
    walk = _Walk(Path(folder))
    return walk.listing


def has_image(folder: Path, direct: bool = False) -> bool:
    """Return whether there is an image below a folder; with `direct` in it, not in a folder below.

    Raises:
        ValueError: if the folder cannot be listed.
    """
    return _Walk(folder, first=True, deep=not direct).found_one


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, and of links to folders, in order, without those of `is_junk`.

    Raises:
        ValueError: if there is no such folder, or it cannot be listed.
    """
    names = []
    for entry in _entries(folder):
        if not is_junk(entry.name) and _kind(entry) == "folder":
            names.append(entry.name)
    return sorted(names)


class _Walk:
    """Walks through a folder: first those that lie in it, then what links lead to."""

    def __init__(self, place: Path, first: bool = False, deep: bool = True):
        self.listing = Listing(place)
        self.found_one = False
        self._first, self._deep = first, deep
        self._unsure: list[Path] = []
        self._stack: list[tuple[Path, int, bool]] = []  # folder, depth, whether a link leads to it
        self._links: list[tuple[Path, int, bool]] = []
        entries = _entries(place)
        # A link to one of these would lead back to here.
        self._seen = {_identity(parent) for parent in (place.resolve(), *place.resolve().parents)}
        self._list(place, entries, 0, False)
        while (self._stack or self._links) and not self._enough():
            if not self._stack:
                self._links.sort(reverse=True)
                self._stack.append(self._links.pop())
            self._visit(*self._stack.pop())
        self._sort_out()

    def _enough(self) -> bool:
        return self._first and self.found_one

    def _visit(self, folder: Path, depth: int, linked: bool) -> None:
        try:
            identity = _identity(folder)
            if linked and identity in self._seen:
                self._leave(folder, _TAKEN)
                return
            self._seen.add(identity)
            if depth > limits.FOLDER_DEPTH:
                self._leave(folder, f"more than {limits.FOLDER_DEPTH} folders within each other")
                return
            with os.scandir(folder) as entries:
                self._list(folder, entries, depth, linked)
        except OSError as error:
            self._leave(folder, f"cannot be listed ({error.strerror})")
        else:
            if depth == 1:
                self.listing.folders.append(folder.name)

    def _list(self, folder: Path, entries: Iterable["os.DirEntry[str]"], depth: int, linked: bool) -> None:
        for entry in entries:
            if is_junk(entry.name):
                self.listing.hidden += 1
                continue
            path = folder / entry.name
            kind = _kind(entry)
            if kind == "folder":
                if self._deep:
                    link = entry.is_symlink()
                    (self._links if link else self._stack).append((path, depth + 1, linked or link))
            elif kind != "file":
                self._leave(path, kind)
            elif path.suffix.lower() in SUFFIXES:
                self.listing.images.append(path)
                self.found_one = True
            elif self._first:
                self.found_one = self.found_one or sniff(path) is not None
            else:
                self._unsure.append(path)
            if self._enough():
                return

    def _leave(self, path: Path, reason: str) -> None:
        self.listing.left_out.append(LeftOut(path, reason))

    def _sort_out(self) -> None:
        for path, image in zip(self._unsure, _are_images(self._unsure), strict=True):
            if image:
                self.listing.images.append(path)
            else:
                self._leave(path, NO_IMAGE)
        self.listing.images.sort()
        self.listing.left_out.sort(key=lambda one: one.path)
        self.listing.folders.sort()


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{folder}: no such folder") from None
    except OSError as error:
        raise ValueError(f"{folder}: cannot be listed ({error.strerror})") from None


def _identity(folder: Path) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _kind(entry: "os.DirEntry[str]") -> str:
    """Return "file", "folder", or why it is neither. Nothing is opened."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "a link to nothing" if entry.is_symlink() and not os.path.exists(entry.path) else "a pipe or a device"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _are_images(paths: list[Path]) -> Iterator[bool]:
    """Yield of each file whether it begins like an image. Threads, as each file of a network's disk takes its time."""

    def look(chunk: list[Path]) -> list[bool]:
        return [sniff(path) is not None for path in chunk]

    with ThreadPoolExecutor(min(16, (os.cpu_count() or 1) * 4)) as pool:
        chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
        yield from itertools.chain.from_iterable(pool.map(look, chunks))
