"""YOLO's data.yaml, and the labels that lie beside its images. The format: docs.ultralytics.com/datasets/detect."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_nasnet.common.documents import read_text, read_yaml
from keras_nasnet.common.escape import shown
from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.common.image_formats import sniff
from keras_nasnet.detection.data.checks import BoxEntry, ImageEntry, finite
from keras_nasnet.detection.data.dataset import Problem
from keras_nasnet.detection.data.finder import Folder, ImageFinder
from keras_nasnet.detection.data.lists import read_lines
from keras_nasnet.detection.data.masks import bbox_of
from keras_nasnet.detection.data.names import fold, parts_of, readings

SUFFIXES = (".yaml", ".yml")
PARTS = ("train", "val", "test")
_IMAGES = {"images", "jpegimages", "imgs", "img", "image"}  # folders beside which there is one of labels
_MOST_FILES = 10  # that are looked at for a data.yaml of another name
_ROUNDING = 1e-5  # of an image's side, by which a box may leave it unsaid


@dataclass(frozen=True)
class Description:
    """What a data.yaml says.

    Args:
        file: it itself.
        class_names: in order of the labels' numbers.
        parts: the folders and lists of images of train, val and test, as they are written.
    """

    file: Path
    class_names: tuple[str, ...]
    parts: dict[str, tuple[str, ...]]


def find(folder: Path) -> Path | None:
    """Return the data.yaml in a folder, by whatever name; None if there is none.

    Raises:
        ValueError: if there are several, none of them called data.yaml.
    """
    files = [file for suffix in SUFFIXES for file in sorted(folder.glob(f"*{suffix}")) if not is_junk(file.name)]
    named = [file for file in files if file.stem == "data"]
    found = []
    for file in named[:1] or files[:_MOST_FILES]:
        try:
            content = read_yaml(file)
        except ValueError:
            if named:
                raise
            continue
        if isinstance(content, dict) and "names" in content and any(part in content for part in (*PARTS, "valid")):
            found.append(file)
    if len(found) > 1:
        raise ValueError(f"{folder} has {' and '.join(file.name for file in found[:4])}: give one of them")
    return found[0] if found else None


def describe(file: Path) -> Description:
    """Return what a data.yaml says.

    Raises:
        ValueError: if it is something else.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or "names" not in content:
        raise ValueError(f"{file}: not the YAML of a YOLO dataset: it has no names")
    names = content["names"]
    if isinstance(names, dict):
        keys = {str(key): name for key, name in names.items()}
        names = [keys.get(str(number)) for number in range(len(keys))]
    if not isinstance(names, list) or not names:
        raise ValueError(f"{file}: its names are {shown(names)}: they must be a list of names")
    wrong = [
        name for name in names if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip()
    ]
    if wrong:
        raise ValueError(f"{file}: {shown(wrong[0])} among its names is none: give names 0 to {len(names) - 1} as text")
    above = content.get("path")
    parts = {}
    for part in PARTS:
        value = content.get(part, content.get("valid") if part == "val" else None)
        values = value if isinstance(value, list) else [value] if value else []
        if not all(isinstance(one, str) and one for one in values):
            raise ValueError(f"{file}: its {part} is {shown(value)}: it must be a folder or a list of folders")
        if values:
            prefix = f"{above}/" if isinstance(above, str) and above else ""
            parts[part] = tuple(f"{prefix}{one}" if not one.startswith("/") else one for one in values)
    if not parts:
        raise ValueError(f"{file}: it names no images: neither train, val nor test")
    return Description(file, tuple(str(name).strip() for name in names), parts)


def parse(
    description: Description, parts: Sequence[str], finder: ImageFinder, problems: list[Problem]
) -> tuple[tuple[str, ...], list[ImageEntry]]:
    """Return the class names and the images of some parts; adds to `problems` what is unsound.

    An image without a file of labels shows nothing, as YOLO has it; how many there are is a problem.
    """
    file, folder = description.file, finder.folder
    index_of: dict[str, int] = {}
    for number, name in enumerate(description.class_names):
        if name in index_of:
            text = f"class {number} has the name of another, {shown(name)}: counted as it"
            problems.append(Problem("duplicate_category_name", file.name, text))
        index_of.setdefault(name, len(index_of))
    categories = [index_of[name] for name in description.class_names]
    entries: list[ImageEntry] = []
    without: list[str] = []
    seen: set[Path] = set()
    for part in parts:
        for value in description.parts[part]:
            for name, path in _images(value, part, description, finder):
                entry = ImageEntry(f"{file.name}, {part}, image {shown(name)}", name, len(entries) + 1)
                entries.append(entry)
                labels = _labels(path, folder)
                if labels is None:
                    without.append(name)
                else:
                    seen.add(labels)
                    _add_boxes(entry, labels, categories, folder, problems)
    if without:
        count = "1 image has" if len(without) == 1 else f"{len(without)} images have"
        text = f"{count} no file of labels, and so show{'s' * (len(without) == 1)} nothing: {_some(without)}"
        problems.append(Problem("no_labels", file.name, text))
    orphans = [
        path.relative_to(folder.path).as_posix()
        for place in sorted({labels.parent for labels in seen})
        for path in sorted(place.glob("*.txt"))
        if path not in seen and not is_junk(path.name) and path.stem not in ("classes", *PARTS)
    ]
    if orphans:
        count = "1 file of labels is" if len(orphans) == 1 else f"{len(orphans)} files of labels are"
        problems.append(Problem("missing_image", file.name, f"{count} of no image: {_some(orphans)}"))
    return tuple(index_of), entries


def image_finder(folder: Folder) -> ImageFinder:
    """Return where the images are looked for that a list names."""
    return ImageFinder(folder, [folder.path])


def _some(names: list[str]) -> str:
    return ", ".join(map(shown, names[:3])) + ", ..." * (len(names) > 3)


def _images(value: str, part: str, description: Description, finder: ImageFinder) -> Iterator[tuple[str, str]]:
    """Names of the images in a folder or a list, and where they lie below the dataset's folder."""
    folder = finder.folder
    place = _place(value, description.file, folder)
    if place is None:
        text = f"its {part} is {shown(value)}, which is not in {folder.path}: give the folder of the dataset (--images)"
        raise ValueError(f"{description.file}: {text}")
    if place.is_dir():
        prefix = "" if place == folder.path else f"{place.relative_to(folder.path).as_posix()}/"
        for path in folder.tails.paths:
            if path.startswith(prefix) and sniff(folder.path / path) is not None:
                yield path, path
        return
    for line in read_lines(place):
        if line.strip():
            yield line.strip(), _where(line.strip(), finder)


def _where(name: str, finder: ImageFinder) -> str:
    try:
        return finder.find(name).path.relative_to(finder.folder.path).as_posix()
    except ValueError:  # the image will be said to be missing
        return name


def _place(value: str, file: Path, folder: Folder) -> Path | None:
    """The folder or list that is meant: that of the path as written, or of the longest end of it."""
    for reading in readings(value):
        parts = parts_of(reading.path)
        ends = [Path(*parts[start:]) for start in range(len(parts))]
        for path in (file.absolute().parent / reading.path, *ends):
            if (place := folder.place(path)) is not None:
                return place
    return None


def _labels(name: str, folder: Folder) -> Path | None:
    """The file of labels of an image."""
    parts = list(parts_of(name.replace("\\", "/")))
    if not parts:
        return None
    file = Path(parts[-1]).with_suffix(".txt")
    above = parts[:-1]
    places = [above]
    for number in reversed(range(len(above))):
        if fold(above[number]) in _IMAGES:
            places.insert(0, [*above[:number], "labels", *above[number + 1 :]])
            break
    return next((path for place in places if (path := folder.file(Path(*place, file))) is not None), None)


def _add_boxes(entry: ImageEntry, labels: Path, categories: list[int], folder: Folder, problems: list[Problem]) -> None:
    where = labels.relative_to(folder.path).as_posix()
    try:
        lines = read_text(labels, name="the file").splitlines()
    except ValueError as error:
        problems.append(Problem("bad_label", where, f"{error}: dropped"))
        entry.lost += 1
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        category, *numbers = map(_number, line.split())
        if not isinstance(category, float) or category % 1 or None in numbers or not _is_box(numbers):
            text = f"is {shown(line)}, neither a class and a box of four numbers nor a class and a polygon: dropped"
            problems.append(Problem("bad_label", f"{where}, line {number}", text))
        elif not 0 <= category < len(categories):
            text = f"is of class {category:g}, which has no name: dropped"
            problems.append(Problem("unknown_category", f"{where}, line {number}", text))
        else:
            box = BoxEntry(f"line {number}", _bbox(numbers), categories[int(category)], fractions=True)
            entry.boxes.append(box)
            continue
        entry.lost += 1


def _number(text: str) -> float | None:
    try:
        return finite(float(text))
    except ValueError:
        return None


def _is_box(numbers: list[Any]) -> bool:
    return len(numbers) == 4 or (len(numbers) >= 6 and len(numbers) % 2 == 0)


def _bbox(numbers: list[Any]) -> list[float]:
    """Left, top, width and height, as fractions; what leaves the image by rounding alone ends at its edge."""
    if len(numbers) == 4:
        x, y, width, height = numbers
        left, top = x - width / 2, y - height / 2
    else:
        left, top, width, height = bbox_of([numbers]) or (0.0, 0.0, 0.0, 0.0)
    if width <= 0 or height <= 0:
        return [left, top, width, height]
    right, bottom = _snapped(left + width), _snapped(top + height)
    left, top = _snapped(left), _snapped(top)
    return [left, top, right - left, bottom - top]


def _snapped(value: float) -> float:
    if -_ROUNDING < value < 0:
        return 0.0
    return 1.0 if 1 < value < 1 + _ROUNDING else value
