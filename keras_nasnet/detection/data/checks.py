"""What is demanded of annotations in any format: their images are there and decode, their boxes lie within them."""

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from keras_nasnet.common.escape import shown
from keras_nasnet.common.images import read_fitted
from keras_nasnet.detection.data.dataset import AnnotatedImage, Box, Problem
from keras_nasnet.detection.data.finder import Found, ImageFinder
from keras_nasnet.detection.data.orientation import UPRIGHT, as_stored, is_upright, orientation_of, turned_size

TOLERANCE = 1e-3  # pixels by which a box may leave its image unsaid: rounding
MIN_SIDE = 1e-3  # of a box in pixels; thinner ones vanish in float32


@dataclass(frozen=True)
class BoxEntry:
    """A box as a file gives it: nothing about it has been checked but its category.

    Args:
        where: its name within the image's annotations.
        bbox: left, top, width and height, or what stands in their place.
        category: index of its class.
        fractions: whether the four are fractions of the image's size, as YOLO has them; else pixels.
    """

    where: str
    bbox: Any
    category: int
    crowd: bool = False
    area: Any = None
    id: int | str | None = None
    fractions: bool = False


@dataclass
class ImageEntry:
    """An image as a file gives it.

    Args:
        where: by which problems call it.
        name: of its file.
        id: unique.
        size: width and height that the file claims, or what stands in their place; None where it claims none.
        places: folders in which its file is looked up first.
        context: folders and parts of the dataset that its annotations are of; see `ImageFinder.find`.
        stem: of its file, where there is none of the name.
        lost: how many boxes were dropped by the reader of the file.
    """

    where: str
    name: str
    id: int | str
    size: tuple[Any, Any] | None = None
    boxes: list[BoxEntry] = field(default_factory=list)
    places: tuple[Path, ...] = ()
    context: tuple[str, ...] = ()
    stem: str | None = None
    lost: int = 0


def checked_images(
    entries: Sequence[ImageEntry],
    finder: ImageFinder,
    source: str,
    problems: list[Problem],
    exif: str | None = None,
    named_by_path: bool = False,
) -> tuple[AnnotatedImage, ...]:
    """Return the images that are there, with those boxes that are sound; adds to `problems` what is not.

    Each image is decoded, in as many threads as there are processors; a bar on the terminal counts them.

    Args:
        entries: what was read.
        finder: of the image files.
        source: of the annotations, for problems of them all.
        problems: to which is added.
        exif: "apply" if all boxes are of upright images, "ignore" if they are of the pixels as stored; None: the size
            that the annotations claim decides for each image.
        named_by_path: whether images go by the paths of their files, relative to the finder's folder; else by the
            names that the annotations have.
    """
    paths = _found(entries, finder, source, problems)
    images = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        bar = tqdm(pool.map(_look, paths), "reads", len(paths), leave=False, unit=" images", disable=None)
        for (path, entry), seen in zip(paths.items(), bar, strict=True):
            if isinstance(seen, str):
                problems.append(Problem("broken_image", entry.where, f"{seen}: dropped with its boxes"))
                continue
            size, orientation = seen
            boxes = _checked_boxes(entry, size, orientation, exif, problems)
            count = len(entry.boxes) + entry.lost
            if count and not boxes:
                text = f"{_of_its(count)} left: dropped, as an image of nothing would be learnt from it"
                problems.append(Problem("no_box_left", entry.where, text))
                continue
            name = path.relative_to(finder.folder.path).as_posix() if named_by_path else entry.name
            images.append(AnnotatedImage(path, name, entry.id, *size, boxes, orientation))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest
    return tuple(images)


def _of_its(count: int) -> str:
    return "its only box is not" if count == 1 else f"none of its {count} boxes is"


def _found(
    entries: Sequence[ImageEntry], finder: ImageFinder, source: str, problems: list[Problem]
) -> dict[Path, ImageEntry]:
    """The files of the images, in order of the entries."""
    found: dict[int, Found] = {}
    for number, entry in enumerate(entries):
        try:
            found[number] = finder.find(entry.name, entry.places, entry.context, entry.stem)
        except ValueError as error:
            problems.append(Problem("missing_image", entry.where, f"{error}: dropped with its boxes"))
    meant: dict[Path, list[int]] = {}
    for number, file in found.items():
        meant.setdefault(file.path, []).append(number)
    kept: dict[int, Found] = {}
    for numbers in meant.values():
        literal = [number for number in numbers if not found[number].how]
        if not literal and len({entries[number].name for number in numbers}) > 1:
            for number in numbers:
                text = (
                    f"{len(numbers)} images may be of the file {shown(str(found[number].path))}: dropped with its boxes"
                )
                problems.append(Problem("ambiguous_image", entries[number].where, text))
            continue
        first = (literal or numbers)[0]
        kept[first] = found[first]
        for number in numbers:
            if number != first:
                text = f"is of the same file as {entries[first].where}: dropped with its boxes"
                problems.append(Problem("duplicate_file_name", entries[number].where, text))
    _tell_readings([(entries[number].name, kept[number]) for number in sorted(kept)], finder, source, problems)
    return {kept[number].path: entries[number] for number in sorted(kept)}


def _tell_readings(
    found: Sequence[tuple[str, Found]], finder: ImageFinder, source: str, problems: list[Problem]
) -> None:
    """Add a problem for each way in which names were read, with the first of them: not one for each name."""
    ways: dict[tuple[str, ...], list[tuple[str, Found]]] = {}
    for name, file in found:
        if file.how:
            ways.setdefault(file.how, []).append((name, file))
    for how, files in ways.items():
        name, file = files[0]
        count = "1 file name is" if len(files) == 1 else f"{len(files)} file names are"
        path = file.path.relative_to(finder.folder.path).as_posix()
        text = f"{count} not what the files are called, and read with {', '.join(how)}: {shown(name)} as {shown(path)}"
        problems.append(Problem("name_differs", source, text + ", ..." * (len(files) > 1)))


def _look(path: Path) -> tuple[tuple[int, int], int] | str:
    """Return width and height of an image that decodes, and its EXIF orientation; else what is wrong with it."""
    try:
        return read_fitted(path, lambda image: (image.size, orientation_of(image)), upright=False)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")


def _checked_boxes(
    entry: ImageEntry, stored: tuple[int, int], orientation: int, exif: str | None, problems: list[Problem]
) -> tuple[Box, ...]:
    """The sound boxes of an image on its pixels as stored, whichever way they are annotated."""
    upright = orientation != UPRIGHT and exif != "ignore"
    if upright and exif is None:
        decided = is_upright(entry.size, stored, orientation)
        upright = decided is not False
        if decided is None and entry.boxes:
            text = (
                f"lies turned in its file (EXIF orientation {orientation}), and whether its boxes are those of the "
                "upright image cannot be told: taken for upright (--exif apply or ignore decides)"
            )
            problems.append(Problem("turned_image", entry.where, text))
    size = turned_size(stored, orientation) if upright else stored
    if entry.size is not None and entry.size != size:
        claimed = " x ".join(map(shown, entry.size))
        text = f"its file is {size[0]} x {size[1]}, not {claimed} as annotated: the file's size counts"
        problems.append(Problem("size_differs", entry.where, text))
    boxes = [_checked_box(box, size, entry.where, problems) for box in entry.boxes]
    found = [box for box in boxes if box is not None]
    if upright:
        found = [_back(box, stored, orientation) for box in found]
    return tuple(found)


def _back(box: Box, size: tuple[int, int], orientation: int) -> Box:
    left, top, width, height = as_stored((box.left, box.top, box.width, box.height), size, orientation)
    return replace(box, left=left, top=top, width=width, height=height)


def _checked_box(entry: BoxEntry, size: tuple[int, int], image: str, problems: list[Problem]) -> Box | None:
    """Return the part of a box that is within its image; None if there is none to be had."""
    where = f"{image}, {entry.where}"
    bbox = _in_pixels(entry.bbox, size) if entry.fractions else entry.bbox
    defect = _defect(bbox, size)
    if defect is not None:
        problems.append(Problem(defect[0], where, f"{defect[1]}: dropped"))
        return None
    left, top, width, height = map(float, bbox)
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


def _in_pixels(bbox: Sequence[float], size: tuple[int, int]) -> list[float]:
    return [value * side for value, side in zip(bbox, (*size, *size), strict=True)]


def are_fractions(boxes: Sequence[Any]) -> bool:
    """Return whether boxes, of which there are some, are all within 0 and 1 and not all whole: fractions of images."""
    numbers = [[finite(value) for value in box] for box in boxes if isinstance(box, list | tuple) and len(box) == 4]
    sound = [value for box in numbers if None not in box for value in box if value is not None]
    return bool(sound) and all(0 <= value <= 1 for value in sound) and any(value % 1 for value in sound)


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
