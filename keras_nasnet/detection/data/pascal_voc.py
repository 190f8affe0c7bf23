"""Pascal VOC's XML, one file an image. The format: host.robots.ox.ac.uk/pascal/VOC, as labelImg writes it too."""

import os
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from keras_nasnet.common import limits
from keras_nasnet.common.documents import read_bytes
from keras_nasnet.common.escape import shown
from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.detection.data.checks import BoxEntry, ImageEntry, are_fractions
from keras_nasnet.detection.data.dataset import Problem
from keras_nasnet.detection.data.finder import USUAL, Folder, ImageFinder


def find(folder: Path) -> list[Path]:
    """Return the XML files anywhere below a folder, in order of their paths."""
    found = []
    for place, folders, files in os.walk(folder):
        depth = len(Path(place).parts) - len(folder.parts)
        folders[:] = [name for name in folders if not is_junk(name) and depth < limits.FOLDER_DEPTH]
        found += [Path(place, file) for file in files if file.casefold().endswith(".xml") and not is_junk(file)]
    return sorted(file for file in found if file.is_file())


def parse(files: list[Path], folder: Path, problems: list[Problem]) -> tuple[tuple[str, ...], list[ImageEntry]]:
    """Return the class names in order of the alphabet, and the images; adds to `problems` what is unsound.

    Boxes are 1-based and inclusive: a pixel wide is what goes from 1 to 1. Objects marked as
    difficult are boxes like others.

    Args:
        files: the XML files.
        folder: below which they are; names in problems are relative to it.
        problems: to which is added.
    """
    entries: list[ImageEntry] = []
    objects: list[tuple[ImageEntry, str, Element]] = []
    places: dict[Path, tuple[Path, ...]] = {}
    for file in files:
        relative = file.relative_to(folder)
        where = relative.as_posix()
        try:
            root = _tree(file)
        except ValueError as error:
            problems.append(Problem("bad_xml", where, f"{error}: dropped"))
            continue
        if file.parent not in places:
            places[file.parent] = _places(file.parent, folder)
        entry = ImageEntry(
            where,
            (root.findtext("filename") or "").strip(),
            len(entries) + 1,
            _size(root),
            places=places[file.parent],
            context=relative.parts[:-1],
            stem=relative.with_suffix("").as_posix(),
        )
        if entry.size is None:
            text = "has no size of width and height: that of the image file counts"
            problems.append(Problem("missing_size", where, text))
        entries.append(entry)
        for number, item in enumerate(root.findall("object"), 1):
            objects.append((entry, f"object {number}", item))
    sound = []
    for entry, name, item in objects:
        label = (item.findtext("name") or "").strip()
        if not label:
            problems.append(Problem("unknown_category", f"{entry.where}, {name}", "has no name: dropped"))
        elif item.find("bndbox") is None:
            problems.append(Problem("missing_bndbox", f"{entry.where}, {name}", "has no bndbox: dropped"))
        else:
            sound.append((entry, name, label, _corners(item)))
            continue
        entry.lost += 1
    if are_fractions([corners for *_, corners in sound]):
        text = f"all {len(sound)} boxes lie within 0 and 1: fractions of their images, where VOC has pixels: dropped"
        problems.append(Problem("fractions", folder.name or str(folder), text))
        for entry, *_ in sound:
            entry.lost += 1
        sound = []
    class_names = tuple(sorted({label for _, _, label, _ in sound}))
    index_of = {name: index for index, name in enumerate(class_names)}
    for entry, name, label, corners in sound:
        entry.boxes.append(BoxEntry(f"{name} ({shown(label)})", _bbox(corners), index_of[label]))
    return class_names, entries


def image_finder(folder: Folder) -> ImageFinder:
    """Return where the images of XML files are looked for, after the places beside each of them."""
    places = [place for place in (folder.path, *(folder.path / usual for usual in USUAL)) if place.is_dir()]
    return ImageFinder(folder, places)


def _places(parent: Path, folder: Path) -> tuple[Path, ...]:
    """Where the images of the XML files in a folder usually are."""
    above = [parent] if parent == folder else [parent, parent.parent]
    return tuple(place for one in above for place in (one, *(one / usual for usual in USUAL)) if place.is_dir())


class _Builder:
    """Builds the tree of a document of some depth and size."""

    def __init__(self) -> None:
        self.builder = TreeBuilder()
        self.depth = self.count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        self.count += 1
        if self.depth > limits.DOCUMENT_DEPTH:
            raise ValueError("its elements lie too deeply within each other")
        if self.count > limits.DOCUMENT_VALUES:
            raise ValueError(f"has more than {limits.DOCUMENT_VALUES:,} elements")
        self.builder.start(tag, attributes)

    def end(self, tag: str) -> None:
        self.depth -= 1
        self.builder.end(tag)


def _tree(file: Path) -> Element:
    """Parse a file; a document type is refused, as its entities can grow without bounds or read other files.

    Raises:
        ValueError: if it is no XML, too large, has a document type, or is not <annotation>.
    """

    def refuse(*_: Any) -> None:
        raise ValueError("has a document type (DOCTYPE), which is refused")

    built = _Builder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = built.start
    parser.EndElementHandler = built.end
    parser.CharacterDataHandler = built.builder.data
    try:
        parser.Parse(read_bytes(file, name="the file"), True)
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"not XML ({error})") from None
    root = built.builder.close()
    if root.tag != "annotation":
        raise ValueError(f"is <{shown(root.tag)[1:-1]}>, not <annotation>")
    return root


def _size(root: Element) -> tuple[Any, Any] | None:
    width, height = root.findtext("size/width"), root.findtext("size/height")
    return None if width is None or height is None else (_number(width), _number(height))


def _corners(item: Element) -> list[Any]:
    return [_number(item.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]


def _bbox(corners: list[Any]) -> list[Any]:
    """Left, top, width and height; the four texts where one is no number."""
    if not all(isinstance(value, int | float) for value in corners):
        return corners
    xmin, ymin, xmax, ymax = corners
    return [xmin - 1, ymin - 1, xmax - xmin + 1, ymax - ymin + 1]


def _number(text: str | None) -> Any:
    """The number that a text is, whole if it can be; else the text."""
    try:
        number = float(text or "")
    except ValueError:
        return text
    return int(number) if number.is_integer() else number
