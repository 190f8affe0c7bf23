"""Makes a dataset for detection: circles, squares and triangles on noisy grounds, four fifths to train on.

    python scripts/make_shapes.py FOLDER --images 200 --size 128 --seed 0

COCO's layout, or Pascal VOC's with --voc. One seed makes the same files, byte by byte, with one
version of Pillow and NumPy; an image depends on the seed and its number, not on how many there are.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from keras_nasnet.common.files import replacing_folder

CLASS_NAMES = ("circle", "square", "triangle")
MOST_SHAPES = 4  # in an image
SIDES = (1 / 8, 1 / 2)  # of a shape, in parts of the image's side
OVERLAP = 0.1  # of the smaller of two boxes that may be covered by the other
CONTRAST = 90  # least distance of a shape's colour from the ground's
NOISE = 12  # standard deviation of the ground's pixels


@dataclass(frozen=True)
class Shape:
    """A drawn shape: index into `CLASS_NAMES`, its tight box in pixels, and the number of its pixels."""

    category: int
    left: int
    top: int
    width: int
    height: int
    area: int


def draw(seed: int, number: int, size: int) -> tuple[Image.Image, list[Shape]]:
    """Return one image and what is on it.

    Args:
        seed: of the dataset.
        number: of the image.
        size: height and width in pixels.
    """
    random = np.random.default_rng([seed, number])
    ends = random.uniform(0, 255, (2, 3))
    along = np.linspace(0, 1, size)[:, None] if random.random() < 0.5 else np.linspace(0, 1, size)[None, :]
    ground = ends[0] + (ends[1] - ends[0]) * np.broadcast_to(along, (size, size))[..., None]
    pixels = ground + random.normal(0, NOISE, ground.shape)
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    shapes: list[Shape] = []
    wanted = random.integers(1, MOST_SHAPES + 1)
    for _ in range(20 * MOST_SHAPES):  # tries: a full image has no room left
        if len(shapes) == wanted:
            break
        category = int(random.integers(len(CLASS_NAMES)))
        side = int(random.integers(round(SIDES[0] * size), round(SIDES[1] * size) + 1))
        left, top = (int(value) for value in random.integers(0, size - side + 1, 2))
        colour = random.integers(0, 256, 3)
        if np.linalg.norm(colour - ground[top + side // 2, left + side // 2]) < CONTRAST:
            continue
        mask = _mask(category, left, top, side, size)
        left, top, right, bottom = mask.getbbox() or (0, 0, 0, 0)
        shape = Shape(category, left, top, right - left, bottom - top, mask.histogram()[255])
        if all(_overlap(shape, other) <= OVERLAP for other in shapes):
            image.paste(tuple(int(value) for value in colour), mask=mask)
            shapes.append(shape)
    return image, shapes


def _mask(category: int, left: int, top: int, side: int, size: int) -> Image.Image:
    mask = Image.new("L", (size, size))
    pen = ImageDraw.Draw(mask)
    right, bottom = left + side - 1, top + side - 1
    if CLASS_NAMES[category] == "circle":
        pen.ellipse((left, top, right, bottom), fill=255)
    elif CLASS_NAMES[category] == "square":
        pen.rectangle((left, top, right, bottom), fill=255)
    else:
        pen.polygon([((left + right) // 2, top), (left, bottom), (right, bottom)], fill=255)
    return mask


def _overlap(one: Shape, other: Shape) -> float:
    """The part of the smaller box that the other covers."""
    width = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    height = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    return max(width, 0) * max(height, 0) / min(one.width * one.height, other.width * other.height)


def write(folder: Path, images: int, size: int, seed: int, voc: bool = False) -> None:
    """Write a dataset into a new folder.

    Args:
        folder: that is made, whole or not at all.
        images: of which a fifth, rounded, is for validation.
        size: height and width in pixels.
        seed: of everything.
        voc: Pascal VOC's layout instead of COCO's.

    Raises:
        ValueError: if the folder holds something, or a number is too small.
    """
    if images < 5 or size < 32 or seed < 0:
        raise ValueError("a dataset needs 5 images or more, of 32 pixels or more, and a seed of 0 or more")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} holds something: choose another folder")
    held_out = round(images / 5)
    parts = {"train": range(1, images - held_out + 1), "val": range(images - held_out + 1, images + 1)}
    with replacing_folder(folder) as written:
        for part, numbers in parts.items():
            (_write_voc if voc else _write_coco)(written, part, numbers, size, seed)


def _write_coco(folder: Path, part: str, numbers: range, size: int, seed: int) -> None:
    (folder / part).mkdir()
    (folder / "annotations").mkdir(exist_ok=True)
    images, annotations = [], []
    for number in tqdm(numbers, part, leave=False, unit=" images", disable=None):
        image, shapes = draw(seed, number, size)
        name = f"{number:06}.jpg"
        image.save(folder / part / name, quality=95)
        images.append({"id": number, "file_name": name, "width": size, "height": size})
        annotations += [
            {
                "id": number * (MOST_SHAPES + 1) + index,
                "image_id": number,
                "category_id": shape.category + 1,
                "bbox": [shape.left, shape.top, shape.width, shape.height],
                "area": shape.area,
                "iscrowd": 0,
            }
            for index, shape in enumerate(shapes)
        ]
    categories = [{"id": index, "name": name} for index, name in enumerate(CLASS_NAMES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content) + "\n", "utf-8")


def _write_voc(folder: Path, part: str, numbers: range, size: int, seed: int) -> None:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in tqdm(numbers, part, leave=False, unit=" images", disable=None):
        image, shapes = draw(seed, number, size)
        image.save(folder / "JPEGImages" / f"{number:06}.jpg", quality=95)
        objects = "".join(
            f"  <object><name>{CLASS_NAMES[shape.category]}</name><bndbox>"
            f"<xmin>{shape.left + 1}</xmin><ymin>{shape.top + 1}</ymin>"  # 1-based, and inclusive
            f"<xmax>{shape.left + shape.width}</xmax><ymax>{shape.top + shape.height}</ymax></bndbox></object>\n"
            for shape in shapes
        )
        text = (
            f"<annotation>\n  <filename>{number:06}.jpg</filename>\n"
            f"  <size><width>{size}</width><height>{size}</height><depth>3</depth></size>\n{objects}</annotation>\n"
        )
        (folder / "Annotations" / f"{number:06}.xml").write_text(text, "utf-8")
    names = "".join(f"{number:06}\n" for number in numbers)
    (folder / "ImageSets" / "Main" / f"{part}.txt").write_text(names, "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--images", type=int, default=200, help="training and validation (default: 200)")
    parser.add_argument("--size", type=int, default=128, help="height and width in pixels (default: 128)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voc", action="store_true", help="Pascal VOC's layout instead of COCO's")
    options = parser.parse_args(argv)
    try:
        write(options.folder, options.images, options.size, options.seed, options.voc)
    except ValueError as error:
        parser.error(str(error))
    print(f"{options.folder}: {options.images} images of {', '.join(CLASS_NAMES)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
