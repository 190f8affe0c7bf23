"""What is demanded of annotations in any format: their images are there and decode, their boxes lie within them."""

import math
import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_nasnet.common.images import read_fitted
from keras_nasnet.detection.data.dataset import AnnotatedImage, Box, Problem

TOLERANCE = 1e-3  # pixels by which a box may leave its image unsaid: rounding
MIN_SIDE = 1e-3  # of a box in pixels; thinner ones vanish in float32

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 100


def shown(value: Any) -> str:
    """Return any value of a file as it may be put into a line: short, quoted if it is a string."""
    return _shortened.repr(value)


@dataclass(frozen=True)
class BoxEntry:
    """A box as a file gives it: nothing about it has been checked but its category.

    Args:
        where: its name within the image's annotations.
        bbox: left, top, width and height, or what stands in their place.
        category: index of its class.
    """

    where: str
    bbox: Any
    category: int
    crowd: bool = False
    area: Any = None
    id: int | str | None = None


@dataclass
class ImageEntry:
    """An image as a file gives it.

    Args:
        where: by which problems call it.
        name: of its file.
        id: unique.
        size: width and height that the file claims, or what stands in their place; None where it claims none.
    """

    where: str
    name: str
    id: int | str
    size: tuple[Any, Any] | None = None
    boxes: list[BoxEntry] = field(default_factory=list)


class ImageFinder:
    """Finds image files by the names in annotations.

    Args:
        folders: where they are looked up, in this order.
        root: below which a name that is in none of them may be anywhere, if there once only; None forbids that.
    """

    def __init__(self, folders: Iterable[Path], root: Path | None):
        self.folders = tuple(dict.fromkeys(folders))
        self.root = root
        self._below: Mapping[str, list[Path]] | None = None

    def find(self, name: str) -> Path:
        """Return the path of the file.

        Raises:
            ValueError: if there is none, or there are several below the root; says where it was looked for.
        """
        for folder in self.folders:
            if _is_file(folder / name):
                return folder / name
        found = self._anywhere().get(os.path.basename(name), [])
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"{len(found)} files have this name: {', '.join(map(str, found[:3]))}")
        raise ValueError(f"there is no such file in {', '.join(map(str, self.folders))}")

    def _anywhere(self) -> Mapping[str, list[Path]]:
        if self._below is None:
            self._below = {}
            for folder, folders, files in os.walk(self.root) if self.root is not None else ():
                folders.sort()
                for file in sorted(files):
                    self._below.setdefault(file, []).append(Path(folder, file))
        return self._below


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or one that holds what no name can
        return False


def checked_images(
    entries: Sequence[ImageEntry], finder: ImageFinder, problems: list[Problem]
) -> tuple[AnnotatedImage, ...]:
    """Return the images that are there, with those boxes that are sound; adds to `problems` what is not.

    Each image is decoded, in as many threads as there are processors; a bar on the terminal counts them.
    """
    paths: dict[Path, ImageEntry] = {}
    for entry in entries:
        try:
            path = finder.find(entry.name)
        except ValueError as error:
            problems.append(Problem("missing_image", entry.where, f"{error}: dropped with its boxes"))
            continue
        path = Path(os.path.normpath(path))
        if path in paths:
            text = f"is of the same file as {paths[path].where}: dropped with its boxes"
            problems.append(Problem("duplicate_file_name", entry.where, text))
        else:
            paths[path] = entry
    images = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        bar = tqdm(pool.map(_true_size, paths), "reads", len(paths), leave=False, unit=" images", disable=None)
        for (path, entry), size in zip(paths.items(), bar, strict=True):
            if isinstance(size, str):
                problems.append(Problem("broken_image", entry.where, f"{size}: dropped with its boxes"))
                continue
            if entry.size is not None and entry.size != size:
                claimed = " x ".join(map(shown, entry.size))
                text = f"its file is {size[0]} x {size[1]}, not {claimed} as annotated: the file's size counts"
                if entry.size == size[::-1]:
                    text += " (swapped: its EXIF orientation, which is not applied?)"
                problems.append(Problem("size_differs", entry.where, text))
            boxes = [_checked_box(box, size, entry.where, problems) for box in entry.boxes]
            found = tuple(box for box in boxes if box is not None)
            images.append(AnnotatedImage(path, entry.name, entry.id, size[0], size[1], found))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
    return tuple(images)


def _true_size(path: Path) -> tuple[int, int] | str:
    """Return width and height of an image that decodes, else what is wrong with it."""
    try:
        return read_fitted(path, lambda image: image.size, upright=False)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")


def _checked_box(entry: BoxEntry, size: tuple[int, int], image: str, problems: list[Problem]) -> Box | None:
    """Return the part of a box that is within its image; None if there is none to be had."""
    where = f"{image}, {entry.where}"
    defect = _defect(entry.bbox, size)
    if defect is not None:
        problems.append(Problem(defect[0], where, f"{defect[1]}: dropped"))
        return None
    left, top, width, height = map(float, entry.bbox)
    inner = _within(left, top, width, height, size)
    if max(abs(value - before) for value, before in zip(inner, (left, top, width, height), strict=True)) > TOLERANCE:
        text = f"{_text(left, top, width, height)} is partly outside its image of {size[0]} x {size[1]}: clipped"
        problems.append(Problem("box_clipped", where, text))
    area = inner_area = inner[2] * inner[3]
    if entry.area is not None:
        area = finite(entry.area) or 0.0
        if area <= 0:
            text = f"area is {shown(entry.area)}, no positive number: that of the box counts"
            problems.append(Problem("bad_area", where, text))
            area = inner_area
    # What is clipped has no more area than what is left.
    return Box(*inner, entry.category, entry.crowd, min(area, inner_area), entry.id)


def _defect(bbox: Any, size: tuple[int, int]) -> tuple[str, str] | None:
    """Return why a box is of no use, as kind and text; None for one that is."""
    if not isinstance(bbox, list | tuple) or len(bbox) != 4:
        return "bad_bbox", f"bbox is {shown(bbox)}, not four numbers"
    numbers = [value for value in map(finite, bbox) if value is not None]
    if len(numbers) < 4:
        return "bad_coordinate", f"bbox is {shown(bbox)}: not all are finite numbers"
    left, top, width, height = numbers
    text = _text(left, top, width, height)
    if width < 0 or height < 0:
        return "negative_size", f"{text} has a negative size"
    if width < MIN_SIDE or height < MIN_SIDE:
        return "zero_area", f"{text} has no area"
    if min(_within(left, top, width, height, size)[2:]) < MIN_SIDE:
        return "box_outside", f"{text} is wholly outside its image of {size[0]} x {size[1]}"
    return None


def _text(left: float, top: float, width: float, height: float) -> str:
    return f"box of {width:g} x {height:g} pixels at ({left:g}, {top:g})"


def _within(
    left: float, top: float, width: float, height: float, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A box clipped to an image; its width or height is below 0 where it is outside."""
    inner_left, inner_top = max(left, 0.0), max(top, 0.0)
    right, bottom = min(left + width, size[0]), min(top + height, size[1])
    # A box within keeps its numbers as they are.
    return (
        inner_left,
        inner_top,
        width if (inner_left, right) == (left, left + width) else right - inner_left,
        height if (inner_top, bottom) == (top, top + height) else bottom - inner_top,
    )


def finite(value: Any) -> float | None:
    """Return a number as a float, anything else and what is not finite as None."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
