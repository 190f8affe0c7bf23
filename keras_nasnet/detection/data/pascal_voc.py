"""Pascal VOC's XML, one file an image. The format: host.robots.ox.ac.uk/pascal/VOC, as labelImg writes it too."""

import contextlib
import os
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from keras_nasnet.common.images import SUFFIXES
from keras_nasnet.detection.data.checks import BoxEntry, ImageEntry, ImageFinder, shown
from keras_nasnet.detection.data.dataset import Problem


def find(folder: Path) -> list[Path]:
    """Return the XML files anywhere below a folder, in order of their paths."""
    return sorted(file for file in folder.rglob("*.xml") if file.is_file())


def parse(
    files: list[Path], folder: Path, images: Path | None, problems: list[Problem]
) -> tuple[tuple[str, ...], list[ImageEntry]]:
    """Return the class names in order of the alphabet, and the images; adds to `problems` what is unsound.

    Boxes are 1-based and inclusive: a pixel wide is what goes from 1 to 1. Objects marked as
    difficult are boxes like others.

    Args:
        files: the XML files.
        folder: below which they are; names in problems are relative to it.
        images: where the image files are; default: beside the XML, in JPEGImages or in images.
    """
    entries: list[ImageEntry] = []
    objects: list[tuple[ImageEntry, str, Element]] = []
    for file in files:
        where = file.relative_to(folder).as_posix()
        try:
            root = _tree(file)
        except ValueError as error:
            problems.append(Problem("bad_xml", where, f"{error}: dropped"))
            continue
        entry = ImageEntry(where, _image_name(file, folder, root, images), len(entries) + 1, _size(root))
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
            sound.append((entry, name, label, _bbox(item)))
    class_names = tuple(sorted({label for _, _, label, _ in sound}))
    for entry, name, label, bbox in sound:
        entry.boxes.append(BoxEntry(f"{name} ({shown(label)})", bbox, class_names.index(label)))
    return class_names, entries


def _tree(file: Path) -> Element:
    """Parse a file; a document type is refused, as its entities can grow without bounds or read other files.

    Raises:
        ValueError: if it is no XML, has a document type, or is not <annotation>.
    """

    def refuse(*_: Any) -> None:
        raise ValueError("has a document type (DOCTYPE), which is refused")

    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(file.read_bytes(), True)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except (expat.ExpatError, LookupError) as error:
        raise ValueError(f"not XML ({error})") from None
    root = builder.close()
    if root.tag != "annotation":
        raise ValueError(f"is <{root.tag}>, not <annotation>")
    return root


def _size(root: Element) -> tuple[Any, Any] | None:
    width, height = root.findtext("size/width"), root.findtext("size/height")
    return None if width is None or height is None else (_number(width), _number(height))


def _bbox(item: Element) -> list[Any]:
    """Left, top, width and height; the four texts where one is no number."""
    corners = [_number(item.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")]
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


def _image_name(file: Path, folder: Path, root: Element, images: Path | None) -> str:
    """The image file's path relative to the folder; where none is found, the name that the XML has."""
    name = (root.findtext("filename") or "").strip().replace("\\", "/")
    places = [images] if images is not None else []
    for place in () if images is not None else (file.parent, file.parent.parent, folder):
        places += [place, place / "JPEGImages", place / "images"]
    finder = ImageFinder(places, None)
    # Tools that rename the files leave the old name in the XML.
    for candidate in [name, *(f"{file.stem}{suffix}" for suffix in SUFFIXES)]:
        if candidate:
            with contextlib.suppress(ValueError):
                return Path(os.path.relpath(finder.find(candidate), folder)).as_posix()
    return name or file.stem
