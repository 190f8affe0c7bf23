"""Finds the image files of annotations, in the dataset's folder and nowhere else."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from keras_nasnet.common import limits
from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.common.image_formats import sniff
from keras_nasnet.detection.data.names import Tails, differences, fold, part_of, parts_of, readings

USUAL = ("JPEGImages", "images", "Images", "imgs", "img", "image")  # folders of images beside annotations
_OTHERS = (".xml", ".json", ".txt", ".yaml", ".yml", ".csv", ".md", ".html", ".py", ".zip", ".cache", ".npy")
_MOST_ALIKE = 1000  # files of one name that are told apart by anything but the end of their paths


class Found(NamedTuple):
    """An image file.

    Args:
        path: of the file.
        how: its name was read otherwise than written; nothing where it was not.
    """

    path: Path
    how: tuple[str, ...] = ()


class Folder:
    """A folder of files, of which nothing outside is read.

    Args:
        path: of the folder.
        links: whether links in it may lead outside. The user's own folder of images may have such links, a dataset
            that comes from anywhere may not.
    """

    def __init__(self, path: Path, links: bool = False):
        self.path = Path(os.path.abspath(path))
        self.links = links
        self.skipped: list[str] = []  # links and folders that were not followed
        self._real = os.path.realpath(path)
        self._held: dict[str, bool] = {}

    def holds(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a path lies in the folder, and does not leave it by a link, if that is forbidden."""
        whole = os.path.normpath(os.path.join(self.path, path))
        if not _is_below(whole, str(self.path)):
            return False
        if self.links:
            return True
        if os.path.islink(whole):
            return _is_below(os.path.realpath(whole), self._real)
        parent = os.path.dirname(whole) if whole != str(self.path) else whole
        if parent not in self._held:  # once for all files of a folder
            self._held[parent] = _is_below(os.path.realpath(parent), self._real)
        return self._held[parent]

    def place(self, path: str | os.PathLike[str]) -> Path | None:
        """Return a path without `..` if there is a file or folder in this folder; None if there is not."""
        try:
            whole = Path(os.path.normpath(self.path / path))
            return whole if self.holds(whole) and whole.exists() else None
        except (OSError, ValueError):  # a name too long, or one that holds what no name can
            return None

    def file(self, path: str | os.PathLike[str]) -> Path | None:
        """Return a path without `..` if there is a file in the folder; None if there is not."""
        place = self.place(path)
        return place if place is not None and place.is_file() else None

    @cached_property
    def tails(self) -> Tails:
        """All files below that may be images, in order of their paths."""
        return Tails(sorted(self._walk()))

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all folders below that hold such files."""
        folders = {path.rpartition("/")[0] for path in self.tails.paths}
        return frozenset(fold(part) for folder in folders for part in folder.split("/"))

    @cached_property
    def parts(self) -> frozenset[str]:
        """The parts of a dataset after which such folders are called."""
        return frozenset(part for part in map(part_of, self.names) if part is not None)

    def _walk(self) -> Iterator[str]:
        waiting, seen = [(str(self.path), "", 0)], set()
        while waiting:
            folder, prefix, depth = waiting.pop()
            try:
                status = os.stat(folder)
                if (status.st_dev, status.st_ino) in seen:  # a loop of links
                    continue
                seen.add((status.st_dev, status.st_ino))
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                self.skipped.append(prefix or ".")
                continue
            for entry in entries:
                if is_junk(entry.name) or entry.name.casefold().endswith(_OTHERS):
                    continue
                relative = f"{prefix}{entry.name}"
                try:
                    kind = entry.stat().st_mode
                except OSError:  # a link to nothing
                    continue
                if entry.is_symlink() and not self.holds(entry.path):
                    self.skipped.append(relative)
                elif stat.S_ISREG(kind):
                    yield relative
                elif stat.S_ISDIR(kind):
                    if depth >= limits.FOLDER_DEPTH:
                        self.skipped.append(relative)
                    else:  # links last: what they lead to may be found without them
                        waiting.insert(
                            0 if entry.is_symlink() else len(waiting), (entry.path, f"{relative}/", depth + 1)
                        )


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


class ImageFinder:
    """Finds image files by the names in annotations.

    Args:
        folder: outside of which nothing is read.
        places: where names are looked up as they are, in this order.
        own: name of the folder that the images are in; a file of the same name elsewhere is another image.
    """

    def __init__(self, folder: Folder, places: Iterable[Path], own: str | None = None):
        self.folder = folder
        self.places = tuple(dict.fromkeys(Path(os.path.abspath(place)) for place in places))
        self.own = own
        self._relative = {os.path.relpath(place, folder.path).replace(os.sep, "/") for place in self.places}

    def find(
        self, name: str, places: Sequence[Path] = (), context: tuple[str, ...] = (), stem: str | None = None
    ) -> Found:
        """Return the file that a name means.

        Args:
            name: as the annotations have it.
            places: where it is looked up first.
            context: folders and parts of the dataset to which the annotations belong: of files of one name, that in
                such a folder is meant, and never one in the folder of another part.
            stem: path without a suffix of the file where there is none of this name.

        Raises:
            ValueError: if there is none, or there are several; says where it was looked for.
        """
        for place in dict.fromkeys((*places, *self.places)):
            if name and (path := self.folder.file(place / name)) is not None:
                return Found(path)
        read = list(readings(name))
        found = self._matching(read[0].path, context, by_stem=False)
        if len(found) == 1 and not differences(read[0], found[0]):
            return Found(self.folder.path / found[0])
        if stem is not None:
            found = self._matching(stem, context, by_stem=True, in_folder=False)
            if len(found) == 1:
                return Found(self.folder.path / found[0])
        for by_stem in (False, True):
            for reading in read:
                found = self._matching(reading.path, context, by_stem)
                if len(found) == 1:
                    return Found(self.folder.path / found[0], differences(reading, found[0]))
                if found:
                    more = ", ..." * (len(found) > 3)
                    raise ValueError(f"{len(found)} files have this name: {', '.join(found[:3])}{more}")
        raise ValueError(self._missing(name))

    def _matching(self, name: str, context: tuple[str, ...], by_stem: bool, in_folder: bool = True) -> list[str]:
        """Paths of the files that are meant, relative to the folder: one, or several that cannot be told apart.

        With `in_folder`, a file is not meant whose folder is called otherwise, where there is one of that name.
        """
        parts = parts_of(name)
        if not parts:
            return []
        tails = self.folder.tails
        numbers = tails.stemmed(parts) if by_stem else tails.named(parts)
        if len(numbers) > _MOST_ALIKE:
            return [tails.paths[number] for number in numbers]
        found = [tails.paths[number] for number in numbers]
        found = [path for path in found if not self._is_elsewhere(path, parts[-2:-1] if in_folder else (), context)]
        if by_stem:
            found = [path for path in found if sniff(self.folder.path / path) is not None]
        rules: tuple[Callable[[str], int], ...] = (
            lambda path: path.endswith("/".join(parts)),
            lambda path: path.rpartition("/")[2] == parts[-1],
            lambda path: _agreement(path, context),
            lambda path: (path.rpartition("/")[0] or ".") in self._relative,
        )
        for preferred in rules:
            if len(found) > 1:
                best = max(map(preferred, found))
                found = [path for path in found if preferred(path) == best]
        return found

    def _is_elsewhere(self, path: str, parent: tuple[str, ...], context: tuple[str, ...]) -> bool:
        """Whether a file lies in another folder than its annotation names, though there is such a folder."""
        folders = [fold(part) for part in parts_of(path)[:-1]]
        named = {fold(part) for part in (*parent, *([self.own] if self.own else []))}
        if any(name in self.folder.names and name not in folders for name in named):
            return True
        wanted = {part for part in map(part_of, context) if part is not None}
        there = {part for part in map(part_of, folders) if part is not None}
        return bool(there and wanted & self.folder.parts) and not wanted & there

    def _missing(self, name: str) -> str:
        text = f"there is no such file in {self.folder.path}"
        if self.folder.skipped:
            left = ", ".join(self.folder.skipped[:3]) + ", ..." * (len(self.folder.skipped) > 3)
            return f"{text}, where {left} leads outside or cannot be read: give the folder of images (--images)"
        if name.startswith(("/", "..")):
            return f"{text}, and nothing outside is read: give the folder of images (--images)"
        return text


def _agreement(path: str, context: tuple[str, ...]) -> int:
    """How many parts of the context are folders of a path, or of the same part of a dataset."""
    folders = [fold(part) for part in parts_of(path)[:-1]]
    kinds = {part_of(folder) for folder in folders} - {None}
    return sum(fold(part) in folders or part_of(part) in kinds for part in context)
