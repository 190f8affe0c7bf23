"""Writes a dataset of boxes as YOLO reads it: images, labels and a data.yaml."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import yaml

from keras_nasnet.common.files import replacing_folder
from keras_nasnet.detection.data.dataset import AnnotatedImage, DetectionDataset
from keras_nasnet.detection.data.orientation import upright

YAML = "data.yaml"


def write_yolo(parts: Mapping[str, DetectionDataset], folder: str | os.PathLike[str]) -> Path:
    """Write a dataset as YOLO reads it, into a folder that appears when it is whole.

    The folder gets data.yaml, the image files as they are in images/PART, and in labels/PART a file for each image: a
    line for each box, of the number of its class, and the middle, width and height as fractions of the upright
    image. What marks a crowd is left out, as YOLO has no such boxes.

    Args:
        parts: what `read_splits` returned, or others, by name: "train", "val", "test". All have the same class names.
        folder: that is made.

    Returns:
        The path of data.yaml.

    Raises:
        ValueError: if the folder is there, there is nothing to write, or class names differ.
        OSError: if it cannot be written; nothing is left then.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (40, 30)).save("a.jpg")
        >>> content = {
        ...     "images": [{"id": 10, "file_name": "a.jpg"}],
        ...     "annotations": [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [5, 6, 10, 12]}],
        ...     "categories": [{"id": 3, "name": "cat"}],
        ... }
        >>> _ = Path("coco.json").write_text(json.dumps(content))
        >>> file = write_yolo({"train": read_dataset("coco.json")}, "yolo")
        >>> Path("yolo/labels/train/a.txt").read_text().split()
        ['0', '0.25', '0.4', '0.25', '0.4']
        >>> len(read_dataset(file).images)
        1
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} is there: choose another folder")
    all_names = [dataset.class_names for dataset in parts.values()]
    if len(set(all_names)) != 1:
        raise ValueError("there is nothing to write" if not all_names else "the parts have different class names")
    with replacing_folder(folder) as written:
        for part, dataset in parts.items():
            images, labels = written / "images" / part, written / "labels" / part
            for place in (images, labels):
                place.mkdir(parents=True)
            for image, name in zip(dataset.images, _names(dataset), strict=True):
                shutil.copyfile(image.path, images / name)
                (labels / name).with_suffix(".txt").write_text(_lines(image), "utf-8")
        content = {part: f"images/{part}" for part in parts} | {"names": dict(enumerate(all_names[0]))}
        (written / YAML).write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
    return folder / YAML


def _names(dataset: DetectionDataset) -> list[str]:
    """Names for the image files, whose stems differ as well, since labels are called after them."""
    taken: set[str] = set()
    names = []
    for number, image in enumerate(dataset.images, 1):
        stem, suffix = image.path.stem, image.path.suffix
        if stem.casefold() in taken:
            stem = f"{stem}-{number}"
        while stem.casefold() in taken:
            stem += "_"
        taken.add(stem.casefold())
        names.append(stem + suffix)
    return names


def _lines(image: AnnotatedImage) -> str:
    image = upright(image)
    lines = []
    for box in image.boxes:
        if not box.crowd:
            middle = ((box.left + box.width / 2) / image.width, (box.top + box.height / 2) / image.height)
            numbers = (*middle, box.width / image.width, box.height / image.height)
            lines.append(" ".join([str(box.category), *(f"{value:.8g}" for value in numbers)]) + "\n")
    return "".join(lines)
