"""What a path has: annotations of one kind, in one dataset or in parts that are trained on and held out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.detection.data import coco, lists, pascal_voc, yolo
from keras_nasnet.detection.data.names import part_of

_WANTED = "give a COCO JSON file, or a folder with COCO or Pascal VOC"


@dataclass(frozen=True)
class Source:
    """Annotations that are read together.

    Args:
        root: folder of the dataset that they are of.
        coco_file: of COCO, or
        description: of a data.yaml, and its
        parts: that are read, or
        xml: Pascal VOC's files.
    """

    root: Path
    coco_file: Path | None = None
    description: yolo.Description | None = None
    parts: tuple[str, ...] = ()
    xml: tuple[Path, ...] = ()


def find(path: Path, root: Path | None = None) -> Source:
    """What a path has.

    Args:
        path: a file or a folder.
        root: folder of the dataset, where the path is a part of it.

    Raises:
        ValueError: if that is nothing, or several files of which one must be given.
    """
    if not os.path.isdir(path):
        if not os.path.exists(path):
            raise ValueError(f"{path}: no such file or folder: {_WANTED}")
        if path.suffix.casefold() in yolo.SUFFIXES:
            description = yolo.describe(path)
            return Source(root or path.parent, description=description, parts=tuple(description.parts))
        return Source(root or coco.root_of(path.parent), coco_file=path)
    file = coco.find(path)
    if file is not None:
        return Source(root or coco.root_of(path), coco_file=file)
    description_file = yolo.find(path)
    if description_file is not None:
        description = yolo.describe(description_file)
        return Source(root or path, description=description, parts=tuple(description.parts))
    xml = pascal_voc.find(path)
    if xml:
        return Source(root or coco.root_of(path), xml=tuple(xml))
    parts = [folder.name for folder in _folders(path) if _has_annotations(folder)]
    if parts:
        raise ValueError(f"{path} has the parts {', '.join(parts)}: give one of them")
    raise ValueError(
        f"{path}: no dataset: neither COCO JSON, in it or in annotations/, nor Pascal VOC XML below, "
        "nor YOLO's data.yaml"
    )


def inner(path: Path) -> Path:
    """Return the one folder in a folder, such as an archive makes, if the dataset is laid out in it; else the path."""
    if not os.path.isdir(path):
        return path
    entries = [entry for entry in path.iterdir() if not is_junk(entry.name)]
    if len(entries) != 1 or not entries[0].is_dir() or part_of(entries[0].name) is not None:
        return path
    one = entries[0]
    if coco.candidates(path) or not (coco.candidates(one) or yolo.find(one) or _folders(one) or lists.find(one)):
        return path
    return one


def find_two(path: Path) -> tuple[Source, Source] | None:
    """What is trained on and what is held out, of a dataset that comes in parts; None for any other."""
    if not os.path.isdir(path):
        found: Mapping[str, Source] = _yolo_parts(find(path)) if path.suffix.casefold() in yolo.SUFFIXES else {}
    else:
        found = _coco_parts(path) or _folder_parts(path) or _yolo_parts(_yolo_source(path)) or _voc_parts(path)
    names = lists.chosen(found)
    return (found[names[0]], found[names[1]]) if names else None


def _coco_parts(folder: Path) -> dict[str, Source]:
    """COCO files that are called after parts."""
    files: dict[str, list[Path]] = {}
    for file in coco.candidates(folder):
        if (part := part_of(file.name)) is not None:
            files.setdefault(part, []).append(file)
    return {part: Source(folder, coco_file=lists.only(_sound(files[part]))) for part in lists.chosen(files) or ()}


def _sound(files: list[Path]) -> list[Path]:
    """Of several files, those that are COCO's, if there are any."""
    return (coco.sound_ones(files)[0] if len(files) > 1 else []) or files


def _folder_parts(folder: Path) -> dict[str, Source]:
    """Folders that are called after parts, with a dataset each."""
    found: dict[str, list[Path]] = {}
    for place in _folders(folder):
        if _has_annotations(place):
            found.setdefault(part_of(place.name) or "", []).append(place)
    return {part: find(lists.only(found[part]), folder) for part in lists.chosen(found) or ()}


def _yolo_source(folder: Path) -> Source | None:
    file = yolo.find(folder)
    return None if file is None else find(file)


def _yolo_parts(source: Source | None) -> dict[str, Source]:
    """The parts that a data.yaml names."""
    return {part: replace(source, parts=(part,)) for part in source.parts} if source is not None else {}


def _voc_parts(folder: Path) -> dict[str, Source]:
    """Pascal VOC files in folders that are called after parts, at any depth."""
    files: dict[str, list[Path]] = {}
    for file in pascal_voc.find(folder):
        parts = [part for part in map(part_of, file.relative_to(folder).parts[:-1]) if part is not None]
        files.setdefault(parts[0] if parts else "", []).append(file)
    return {part: Source(folder, xml=tuple(some)) for part, some in files.items()} if "" not in files else {}


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder that are called after parts."""
    return [
        place
        for place in sorted(folder.iterdir())
        if not is_junk(place.name) and part_of(place.name) is not None and place.is_dir()
    ]


def _has_annotations(folder: Path) -> bool:
    return bool(coco.candidates(folder) or yolo.find(folder) or pascal_voc.find(folder))
