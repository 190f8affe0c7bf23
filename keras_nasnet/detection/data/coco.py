"""COCO's JSON: found in a folder, and read. The format: cocodataset.org/#format-data."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from keras_nasnet.common.errors import one_line
from keras_nasnet.detection.data.checks import BoxEntry, ImageEntry, ImageFinder, shown
from keras_nasnet.detection.data.dataset import Problem

LISTS = ("images", "annotations", "categories")


def load(path: Path) -> dict[str, list[Any]]:
    """Return the content of a COCO file of detections.

    Raises:
        ValueError: if it is something else; says what.
    """
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise ValueError(f"{path}: not COCO JSON (it is nested too deep)") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON ({one_line(error)})") from None
    for name in LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path}: not COCO JSON of detections: it has no list {name!r}")
    return content


def find(folder: Path) -> Path | None:
    """Return the one COCO file in a folder or in its folder `annotations`; None if there is none.

    Raises:
        ValueError: if there are several, or none but a file that should be one; says which.
    """
    files = sorted(file for place in (folder, folder / "annotations") for file in place.glob("*.json"))
    # Beside its instances, COCO has captions and keypoints of the same images.
    files = [file for file in files if file.name.startswith("instances_")] or files
    if len(files) < 2:
        return files[0] if files else None
    sound, errors = [], []
    for file in files:
        try:
            load(file)
            sound.append(file)
        except ValueError as error:
            errors.append(error)
    if len(sound) > 1:
        names = ", ".join(file.name for file in sound[:4])
        raise ValueError(
            f"{folder} has {len(sound)} COCO files ({names}{', ...' * (len(sound) > 4)}): give one of them"
        )
    if not sound:
        raise ValueError(f"{folder} has {len(files)} JSON files, none of them COCO's: {errors[0]}")
    return sound[0]


def image_finder(path: Path, images: Path | None) -> ImageFinder:
    """Return where the images of a COCO file are looked for: in `images`, else in the places that are usual."""
    if images is not None:
        return ImageFinder([images], images)
    root = path.parent.parent if path.parent.name == "annotations" else path.parent
    name = path.stem.partition("_")[2]  # instances_train2017 is of the images in train2017
    own = [folder for folder in (root / name, root / "images" / name, path.parent / name) if name and folder.is_dir()]
    usual = [path.parent, path.parent / "images", root, root / "images"]
    # With a folder of their own, a file of the same name elsewhere is another image.
    return ImageFinder([*own, *usual], None if own else root)


def parse(
    content: dict[str, list[Any]], path: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[int | str, ...], list[ImageEntry]]:
    """Return class names and category ids in order of the ids, and the images; adds to `problems` what is unsound."""
    category_ids, class_names, index_of = _categories(content["categories"], path.name, problems)
    entries = _images(content["images"], path.name, problems)
    _annotations(content["annotations"], entries, index_of, path.name, problems)
    return class_names, category_ids, list(entries.values())


def _categories(
    items: list[Any], file: str, problems: list[Problem]
) -> tuple[tuple[int | str, ...], tuple[str, ...], dict[int | str, int]]:
    names: dict[int | str, str] = {}
    for number, item in enumerate(items, 1):
        key = _id(item, "id")
        name = item.get("name") if isinstance(item, dict) else None
        where = f"{file}, category {shown(key) if key is not None else f'number {number}'}"
        if key is None or not isinstance(name, str) or not name.strip():
            problems.append(Problem("bad_category", where, f"is {shown(item)}, without an id or a name: dropped"))
        elif key in names:
            text = f"{shown(name)} has the id of {shown(names[key])}: dropped"
            problems.append(Problem("duplicate_category_id", where, text))
        else:
            names[key] = name.strip()
    ordered = _sorted(names)
    first: dict[str, int | str] = {}  # by name
    for key in ordered:
        if names[key] in first:
            text = f"has the name of category {shown(first[names[key]])}, {shown(names[key])}: counted as it"
            problems.append(Problem("duplicate_category_name", f"{file}, category {shown(key)}", text))
        first.setdefault(names[key], key)
    indices = {name: index for index, name in enumerate(first)}
    return tuple(first.values()), tuple(first), {key: indices[names[key]] for key in ordered}


def _sorted(keys: Iterable[int | str]) -> list[int | str]:
    """The ids in order if all are numbers; else as they come."""
    keys = list(keys)
    return sorted(keys) if all(isinstance(key, int) for key in keys) else keys


def _images(items: list[Any], file: str, problems: list[Problem]) -> dict[int | str, ImageEntry]:
    entries: dict[int | str, ImageEntry] = {}
    for number, item in enumerate(items, 1):
        key = _id(item, "id")
        name = item.get("file_name") if isinstance(item, dict) else None
        if key is None or not isinstance(name, str) or not name:
            text = f"is {shown(item)}, without an id or a file name: dropped with its boxes"
            problems.append(Problem("bad_image", f"{file}, image number {number}", text))
            continue
        where = f"{file}, image {shown(key)} ({shown(name)})"
        if key in entries:
            text = f"has the id of {shown(entries[key].name)}, which keeps the boxes of this id: dropped"
            problems.append(Problem("duplicate_image_id", where, text))
            continue
        size = (item.get("width"), item.get("height"))
        entries[key] = ImageEntry(where, name, key, None if size == (None, None) else size)
    return entries


def _annotations(
    items: list[Any],
    entries: dict[int | str, ImageEntry],
    index_of: dict[int | str, int],
    file: str,
    problems: list[Problem],
) -> None:
    """Add the boxes to the images."""
    seen = set()
    for number, item in enumerate(items, 1):
        key = _id(item, "id")
        name = f"annotation {shown(key)}" if key is not None else f"annotation number {number}"
        where = f"{file}, {name}"
        image, category = _id(item, "image_id"), _id(item, "category_id")
        if not isinstance(item, dict):
            problems.append(Problem("bad_annotation", where, f"is {shown(item)}, no JSON object: dropped"))
        elif key is not None and key in seen:
            problems.append(Problem("duplicate_annotation_id", where, "another has this id: dropped"))
        elif image is None or image not in entries:
            text = f"is of image {shown(item.get('image_id'))}, which is not listed: dropped"
            problems.append(Problem("unknown_image", where, text))
        elif category is None or category not in index_of:
            text = f"is of category {shown(item.get('category_id'))}, which is not listed: dropped"
            problems.append(Problem("unknown_category", f"{entries[image].where}, {name}", text))
        else:
            crowd = item.get("iscrowd", 0)
            if not isinstance(crowd, int) or crowd not in (0, 1):
                text = f"iscrowd is {shown(crowd)}, neither 0 nor 1: taken for 0"
                problems.append(Problem("bad_crowd", f"{entries[image].where}, {name}", text))
                crowd = 0
            box = BoxEntry(name, item.get("bbox"), index_of[category], bool(crowd), item.get("area"), key)
            entries[image].boxes.append(box)
        if key is not None:
            seen.add(key)


def _id(item: Any, name: str) -> int | str | None:
    """An id of a JSON object: a whole number or a string; None for anything else."""
    value = item.get(name) if isinstance(item, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
