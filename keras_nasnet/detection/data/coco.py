"""COCO's JSON: found in a folder, and read. The format: cocodataset.org/#format-data."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.documents import read_json
from keras_nasnet.common.escape import shown
from keras_nasnet.common.image_folders import is_junk
from keras_nasnet.detection.data.checks import BoxEntry, ImageEntry, are_fractions
from keras_nasnet.detection.data.dataset import Problem
from keras_nasnet.detection.data.finder import USUAL, Folder, ImageFinder
from keras_nasnet.detection.data.masks import bbox_of

LISTS = ("images", "annotations", "categories")
FOLDERS = {"annotations", "annotation", "labels", "ann", "anns", "json"}  # of annotations, beside those of images


def load(path: Path) -> dict[str, list[Any]]:
    """Return the content of a COCO file of detections; in place of masks, the boxes around those that have no other.

    Raises:
        ValueError: if it is something else; says what.
    """
    content = read_json(path, limits.ANNOTATION_BYTES, _without_mask)
    for name in LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise ValueError(f"{path}: not COCO JSON of detections: it has no list {name!r}")
    return content


def _without_mask(item: dict[str, Any]) -> dict[str, Any]:
    """A JSON object without its mask, which takes most of the memory: as soon as it is read."""
    if "segmentation" in item:
        mask = item.pop("segmentation")
        if _is_empty(item.get("bbox")) and (bbox := bbox_of(mask)) is not None:
            item["bbox"], item[_OF_MASK] = bbox, True
    return item


_OF_MASK = "the bbox is of the mask"


def _is_empty(bbox: Any) -> bool:
    return bbox is None or (isinstance(bbox, list) and not any(bbox))


def candidates(folder: Path) -> list[Path]:
    """Return the files in a folder, or in its folder of annotations, that may be COCO's, in order."""
    places = [folder]
    if folder.is_dir():
        places += sorted(place for place in folder.iterdir() if place.name.casefold() in FOLDERS and place.is_dir())
    files = [
        file for place in places for file in sorted(place.glob("*.json")) if not is_junk(file.name) and file.is_file()
    ]
    # Beside its instances, COCO has captions and keypoints of the same images.
    return [file for file in files if file.name.startswith(("instances_", "_annotations.coco"))] or files


def find(folder: Path) -> Path | None:
    """Return the one COCO file in a folder or in its folder `annotations`; None if there is none.

    Raises:
        ValueError: if there are several, or none but a file that should be one; says which.
    """
    files = candidates(folder)
    if len(files) < 2:
        return files[0] if files else None
    sound, errors = sound_ones(files)
    if len(sound) > 1:
        names = ", ".join(file.name for file in sound[:4])
        raise ValueError(
            f"{folder} has {len(sound)} COCO files ({names}{', ...' * (len(sound) > 4)}): give one of them"
        )
    if not sound:
        raise ValueError(f"{folder} has {len(files)} JSON files, none of them COCO's: {errors[0]}")
    return sound[0]


def sound_ones(files: Iterable[Path]) -> tuple[list[Path], list[ValueError]]:
    """Return those files that are COCO's, and what is wrong with the others."""
    sound, errors = [], []
    for file in files:
        try:
            load(file)
            sound.append(file)
        except ValueError as error:
            errors.append(error)
    return sound, errors


def root_of(folder: Path) -> Path:
    """Return the folder of the dataset of which a folder holds annotations: that above a folder of them."""
    for place in (folder, folder.parent):
        if place.name.casefold() in FOLDERS:
            return place.parent
    return folder


def image_finder(path: Path, folder: Folder) -> ImageFinder:
    """Return where the images of a COCO file are looked for: in the places that are usual, then anywhere below."""
    name = path.stem.partition("_")[2] or path.stem  # instances_train2017 is of the images in train2017
    beside = dict.fromkeys(place.absolute() for place in (path.parent, folder.path, root_of(path.parent)))
    roots = [root for root in beside if folder.place(root) is not None]
    own = [place for root in roots for place in (root / name, *(root / usual / name for usual in USUAL))]
    usual = [place for root in roots for place in (root, *(root / usual for usual in USUAL))]
    own, usual = ([place for place in places if place.is_dir()] for places in (own, usual))
    return ImageFinder(folder, [*own, *usual], name if own else None)


def context(path: Path, folder: Folder) -> tuple[str, ...]:
    """Return the names of the folders that a COCO file lies in, and of the part that it is of."""
    try:
        above = path.absolute().parent.relative_to(folder.path).parts
    except ValueError:  # the images are elsewhere
        above = path.absolute().parent.parts[-1:]
    return (*above, path.stem.partition("_")[2] or path.stem)


def parse(
    content: dict[str, list[Any]], path: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], tuple[int | str, ...], list[ImageEntry]]:
    """Return class names and category ids in order of the ids, and the images; adds to `problems` what is unsound."""
    items = _without_root(content["categories"], content["annotations"], path.name, problems)
    category_ids, class_names, index_of = _categories(items, path.name, problems)
    entries = _images(content["images"], path.name, problems)
    _annotations(content["annotations"], entries, index_of, path.name, problems)
    boxes = [box.bbox for entry in entries.values() for box in entry.boxes]
    if are_fractions(boxes):
        text = f"all {len(boxes)} boxes lie within 0 and 1: fractions of their images, where COCO has pixels: dropped"
        problems.append(Problem("fractions", path.name, text))
        for entry in entries.values():
            entry.lost += len(entry.boxes)
            entry.boxes.clear()
    return class_names, category_ids, list(entries.values())


def _without_root(items: list[Any], annotations: list[Any], file: str, problems: list[Problem]) -> list[Any]:
    """The categories without that which Roboflow puts above all others, if nothing is annotated as it."""
    parents = {item.get("supercategory") for item in items if isinstance(item, dict) and _text(item, "supercategory")}
    roots = [
        item
        for item in items
        if isinstance(item, dict)
        and _text(item, "name") in parents
        and _text(item, "supercategory") in (None, "none", "")
    ]
    if len(roots) != 1 or len(items) < 2:
        return items
    root, key = roots[0], _id(roots[0], "id")
    others = {_id(item, "id") for item in items if item is not root}
    annotated = {_id(item, "category_id") for item in annotations}
    if key is None or key in others or {key, _other(key)} & annotated:
        return items
    text = f"{shown(root['name'])} stands for all others, and has no boxes: dropped"
    problems.append(Problem("root_category", f"{file}, category {shown(key)}", text))
    return [item for item in items if item is not root]


def _text(item: dict[str, Any], name: str) -> str | None:
    value = item.get(name)
    return value if isinstance(value, str) else None


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
    of_masks = []
    for number, item in enumerate(items, 1):
        key = _id(item, "id")
        name = f"annotation {shown(key)}" if key is not None else f"annotation number {number}"
        where = f"{file}, {name}"
        image, category = _known(item, "image_id", entries), _known(item, "category_id", index_of)
        lost = True
        if not isinstance(item, dict):
            problems.append(Problem("bad_annotation", where, f"is {shown(item)}, no JSON object: dropped"))
        elif key is not None and key in seen:
            problems.append(Problem("duplicate_annotation_id", where, "another has this id: dropped"))
        elif image is None:
            text = f"is of image {shown(item.get('image_id'))}, which is not listed: dropped"
            problems.append(Problem("unknown_image", where, text))
        elif category is None:
            text = f"is of category {shown(item.get('category_id'))}, which is not listed: dropped"
            problems.append(Problem("unknown_category", f"{entries[image].where}, {name}", text))
        else:
            lost = False
            crowd = item.get("iscrowd", 0)
            if not isinstance(crowd, int) or crowd not in (0, 1):
                text = f"iscrowd is {shown(crowd)}, neither 0 nor 1: taken for 0"
                problems.append(Problem("bad_crowd", f"{entries[image].where}, {name}", text))
                crowd = 0
            if item.get(_OF_MASK) is True:
                of_masks.append(name)
            box = BoxEntry(name, item.get("bbox"), index_of[category], bool(crowd), item.get("area"), key)
            entries[image].boxes.append(box)
        if lost and image is not None:
            entries[image].lost += 1
        if key is not None:
            seen.add(key)
    if of_masks:
        count = "1 annotation has" if len(of_masks) == 1 else f"{len(of_masks)} annotations have"
        text = f"{count} no bbox: that of the mask counts ({of_masks[0]}{', ...' * (len(of_masks) > 1)})"
        problems.append(Problem("bbox_of_mask", file, text))


def _id(item: Any, name: str) -> int | str | None:
    """An id of a JSON object: a whole number or a string; None for anything else."""
    value = item.get(name) if isinstance(item, dict) else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _known(item: Any, name: str, known: Mapping[int | str, Any]) -> int | str | None:
    """The id that a JSON object refers to, as it is written there: some write 7, and "7" where they refer to it."""
    key = _id(item, name)
    return next((one for one in (key, _other(key)) if one is not None and one in known), None)


def _other(key: int | str | None) -> int | str | None:
    """The number that a string is, or the string that is a number."""
    if isinstance(key, int):
        return str(key)
    if key is not None and key.isdecimal() and key.isascii() and len(key) <= limits.INTEGER_DIGITS:
        return int(key)
    return None
