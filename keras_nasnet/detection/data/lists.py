"""Lists of the images of a dataset's parts: Pascal VOC's ImageSets, and the pairs of files that Paddle writes."""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from keras_nasnet.common.documents import read_bytes
from keras_nasnet.common.escape import shown
from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.detection.data.checks import ImageEntry
from keras_nasnet.detection.data.dataset import AnnotatedImage, DetectionDataset, Problem
from keras_nasnet.detection.data.names import Tails, part_of, parts_of

_FLAG = re.compile(r"\s+[+-]?[01]$")  # VOC's lists of a class say whether an image shows it


def read_lines(file: Path) -> list[str]:
    """Return the lines of a list, in UTF-8, in the UTF-16 of Windows' PowerShell, or in its older code page."""
    content = read_bytes(file)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace").splitlines()
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace").splitlines()


def find(folder: Path) -> dict[str, Path]:
    """Return the lists of a dataset by the part that they are of: train, val, test, trainval."""
    for place in (folder / "ImageSets" / "Main", folder / "ImageSets", folder):
        files = [file for file in sorted(place.glob("*.txt")) if not is_junk(file.name) and file.is_file()]
        found: dict[str, list[Path]] = {}
        for file in files:
            if (part := part_of(file.name)) is not None:
                found.setdefault(part, []).append(file)
        if chosen(found) is not None:
            return {part: only(some) for part, some in found.items()}
    return {}


def only(paths: Sequence[Path]) -> Path:
    """Return the one path that is of a part.

    Raises:
        ValueError: if there are several.
    """
    if len(paths) > 1:
        raise ValueError(f"{paths[0].parent} has {' and '.join(path.name for path in paths)}: give one of them")
    return paths[0]


def chosen(parts: Mapping[str, object]) -> tuple[str, str] | None:
    """Return which parts are trained on and held out: train and val, train and test, or trainval and test."""
    pairs = (("train", "val"), ("train", "test"), ("trainval", "test"))
    return next(((one, other) for one, other in pairs if one in parts and other in parts), None)


def split(
    dataset: DetectionDataset, entries: Sequence[ImageEntry], files: Mapping[str, Path], folder: Path
) -> tuple[DetectionDataset, DetectionDataset]:
    """Return the parts of a dataset that its lists name.

    Args:
        dataset: all of it.
        entries: of all its images, also of those that were dropped.
        files: the lists; see `find`.
        folder: of the dataset.

    Returns:
        Training and validation. The problems of the dataset and of the lists are the training part's.

    Raises:
        ValueError: if one of the parts has no image.
    """
    names = chosen(files)
    if names is None:
        raise ValueError(f"{folder}: no lists of two parts")
    index = _Index(entries, dataset.images, folder)
    problems: list[Problem] = []
    listed = {part: index.listed(file, problems) for part, file in files.items()}
    both = listed[names[0]] & listed[names[1]]
    if both:
        text = f"{_counted(both)} in {files[names[1]].name} too, and so no measure: {_some(entries, both)}"
        problems.append(Problem("in_two_parts", files[names[0]].name, text))
    rest = {number for number in range(len(entries)) if entries[number].id in index.kept} - set().union(
        *listed.values()
    )
    if rest:
        text = f"{_counted(rest)} in no list: left out: {_some(entries, rest)}"
        problems.append(Problem("unlisted_image", files[names[0]].parent.name, text))
    parts: list[DetectionDataset] = []
    for name in names:
        ids = {entries[number].id for number in listed[name]}
        images = tuple(image for image in dataset.images if image.id in ids)
        if not images:
            raise ValueError(f"{files[name]} names none of the dataset's {len(dataset.images)} images")
        found = (*dataset.problems, *problems) if not parts else ()
        parts.append(DetectionDataset(dataset.class_names, dataset.category_ids, images, found))
    return parts[0], parts[1]


class _Index:
    """All names of a dataset's images and annotations: what a line of a list may be."""

    def __init__(self, entries: Sequence[ImageEntry], images: Sequence[AnnotatedImage], folder: Path):
        self.kept = {image.id: image.path.as_posix() for image in images}
        names: list[str] = []
        self._number: list[int] = []
        for number, entry in enumerate(entries):
            written = entry.name.replace("\\", "/")
            own = {self.kept.get(entry.id, written), written, entry.stem or ""} - {""}
            names += own
            self._number += [number] * len(own)
        self._tails = Tails(names)

    def listed(self, file: Path, problems: list[Problem]) -> set[int]:
        """Return the numbers of the entries that a list names; adds its other lines to `problems`."""
        found: set[int] = set()
        wrong: list[str] = []
        for line in read_lines(file):
            line = line.strip()
            if not line:
                continue
            meant = next((numbers for name in _readings(line) if len(numbers := self._meant(name)) == 1), None)
            if meant is None:
                wrong.append(line)
            else:
                found |= meant
        if wrong:
            some = ", ".join(map(shown, wrong[:3])) + ", ..." * (len(wrong) > 3)
            count = "1 line names" if len(wrong) == 1 else f"{len(wrong)} lines name"
            problems.append(Problem("bad_list", file.name, f"{count} no image of the dataset, or several: {some}"))
        return found

    def _meant(self, name: str) -> set[int]:
        parts = parts_of(name.replace("\\", "/"))
        if not parts:
            return set()
        found = self._tails.named(parts) or self._tails.stemmed(parts)
        return {self._number[number] for number in found}


def _readings(line: str) -> Iterator[str]:
    """The names that a line may give: all of it, without a flag behind, or the image of a pair."""
    yield line
    if _FLAG.search(line):
        yield _FLAG.sub("", line)
    if line.casefold().endswith(".xml"):
        for blank in re.finditer(r"\s+", line):
            yield line[: blank.start()]


def _counted(numbers: set[int]) -> str:
    return "1 image is" if len(numbers) == 1 else f"{len(numbers)} images are"


def _some(entries: Sequence[ImageEntry], numbers: set[int]) -> str:
    names = [entries[number].name or str(entries[number].stem) for number in sorted(numbers)]
    return ", ".join(map(shown, names[:3])) + ", ..." * (len(names) > 3)
