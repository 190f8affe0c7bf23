"""Boxes on photographs that lie turned in their files: EXIF says how they are turned upright.

The numbers are EXIF's: 1 is upright, 2 to 4 are mirrored or upside down, 5 to 8 lie on their side. A box is turned as
the pixels are.
"""

from dataclasses import replace

from PIL import Image

from keras_nasnet.common.decoding import ORIENTATION
from keras_nasnet.detection.data.dataset import AnnotatedImage

UPRIGHT = 1
_SIDEWAYS = (5, 6, 7, 8)
_BACK = {6: 8, 8: 6}  # the others undo themselves

Numbers = tuple[float, float, float, float]  # left, top, width, height


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation of the file of an image that was just read, 1 to 8."""
    found = image.info.get(ORIENTATION, UPRIGHT)
    return found if found in range(1, 9) else UPRIGHT


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return width and height after turning."""
    return size[::-1] if orientation in _SIDEWAYS else size


def turned(box: Numbers, size: tuple[int, int], orientation: int) -> Numbers:
    """Return a box as it lies once its image is turned upright.

    Args:
        box: left, top, width and height on the pixels as stored.
        size: width and height of the image as stored.
        orientation: of the file, 1 to 8.

    Example:
        >>> turned((30, 16, 20, 16), size=(60, 40), orientation=6)  # a quarter clockwise
        (8, 30, 16, 20)
    """
    left, top, width, height = box
    right, bottom = size[0] - left - width, size[1] - top - height  # what is beside and below the box
    return {
        2: (right, top, width, height),
        3: (right, bottom, width, height),
        4: (left, bottom, width, height),
        5: (top, left, height, width),
        6: (bottom, left, height, width),
        7: (bottom, right, height, width),
        8: (top, right, height, width),
    }.get(orientation, box)


def as_stored(box: Numbers, size: tuple[int, int], orientation: int) -> Numbers:
    """Return a box on the pixels as stored of one that was drawn on the upright image; `size` is that as stored."""
    return turned(box, turned_size(size, orientation), _BACK.get(orientation, orientation))


def is_upright(claimed: object, size: tuple[int, int], orientation: int) -> bool | None:
    """Return whether the size that annotations claim is that of the upright image, not as stored; None for both."""
    upright = turned_size(size, orientation)
    if upright == size or claimed not in (upright, size):
        return None
    return claimed == upright


def upright(image: AnnotatedImage) -> AnnotatedImage:
    """Return an image as it is seen: its size and boxes after EXIF orientation is applied.

    Example:
        >>> from pathlib import Path
        >>> box = Box(left=30, top=16, width=20, height=16, category=0, crowd=False, area=320)
        >>> image = AnnotatedImage(Path("a.jpg"), "a.jpg", 1, width=60, height=40, boxes=(box,), orientation=6)
        >>> seen = upright(image)
        >>> seen.width, seen.height, seen.boxes[0].left, seen.boxes[0].top
        (40, 60, 8, 30)
    """
    size = (image.width, image.height)
    boxes = []
    for box in image.boxes:
        left, top, width, height = turned((box.left, box.top, box.width, box.height), size, image.orientation)
        boxes.append(replace(box, left=left, top=top, width=width, height=height))
    width, height = turned_size(size, image.orientation)
    return replace(image, width=width, height=height, boxes=tuple(boxes), orientation=UPRIGHT)
