"""A small sound COCO dataset for tests, to be broken by them."""

import copy
import json

import numpy as np
from PIL import Image

SIZE = (40, 30)
CONTENT = {
    "images": [
        {"id": 10, "file_name": "a.jpg", "width": 40, "height": 30},
        {"id": 20, "file_name": "b.jpg", "width": 40, "height": 30},
        {"id": 30, "file_name": "c.jpg", "width": 40, "height": 30},
    ],
    "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 7, "bbox": [5, 6, 10, 12.5], "area": 100.5, "iscrowd": 0},
        {"id": 2, "image_id": 10, "category_id": 3, "bbox": [0, 0, 40, 30], "area": 1200, "iscrowd": 1},
        {"id": 3, "image_id": 20, "category_id": 3, "bbox": [1, 2, 3, 4]},
    ],
}
SOUND = [("a.jpg", 5, 6, 10, 12.5, "dog"), ("a.jpg", 0, 0, 40, 30, "cat"), ("b.jpg", 1, 2, 3, 4, "cat")]


def picture(size=SIZE, seed=0, mode="RGB"):
    """Smooth noise, so that JPEG keeps it."""
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)


def write_coco(folder, content=CONTENT, json_name="annotations_coco.json", images="images"):
    """Write the JSON and the images a, b and c; returns the folder."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate("abc"):
        picture(seed=seed).save(folder / images / f"{name}.jpg")
    path = folder / json_name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def changed(**lists):
    """The content with entries appended to its lists."""
    content = copy.deepcopy(CONTENT)
    for name, entries in lists.items():
        content[name] += entries
    return content


def annotation(**changes):
    """A sound one, of an image and a category that are there."""
    return {"id": 9, "image_id": 20, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 0} | changes


def boxes(dataset):
    """All boxes as tuples: image, left, top, width, height, class."""
    return [
        (image.name, box.left, box.top, box.width, box.height, dataset.class_names[box.category])
        for image in dataset.images
        for box in image.boxes
    ]
