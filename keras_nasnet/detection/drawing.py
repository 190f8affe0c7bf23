"""Draws detections on an image: boxes in the colour of their class, labelled with its name and the score."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from keras_nasnet.common.escape import printable
from keras_nasnet.common.images import to_rgb
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.palette import class_colour, text_colour

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Box = tuple[int, int, int, int]  # left, top, right, bottom; the last two are outside, as in Pillow

SMALLEST_FONT = 9


def draw(image: Image.Image, detections: Detections) -> Image.Image:
    """Return a copy of an image in mode RGB with labelled boxes.

    Lines and letters grow with the image. A label stands on its box; where there is no room, or another
    label is, inside its upper edge or below it; never beyond the image, for which a long name is shortened.
    The more certain box is in front.
    The letters are those of Pillow's own font, which has Latin script only.

    Args:
        image: upright, of the size to which the detections refer.
        detections: all are drawn; see `Detections.above`.

    Example:
        >>> from PIL import Image
        >>> photo = Image.new("RGB", (320, 240))
        >>> found = Detections([[40, 60, 160, 120]], scores=[0.9], classes=[0], class_names=("cat",))
        >>> draw(photo, found).size
        (320, 240)
    """
    picture = to_rgb(image)  # always a new one
    width, height = picture.size
    line = max(1, round(math.sqrt(width * height) / 220))
    boxes = [_inside(box, picture.size) for box in detections.boxes]
    colours = [class_colour(int(number)) for number in detections.classes]
    labels: list[tuple[Box, str, Font]] = []
    for box, label in zip(boxes, map(printable, detections.labels()), strict=True):
        text, font = _fit(label, picture.size)
        labels.append((_place(box, _label_size(text, font), picture.size, [place for place, *_ in labels]), text, font))
    pen = ImageDraw.Draw(picture)
    for box, colour in reversed(list(zip(boxes, colours, strict=True))):
        _frame(pen, box, line, colour)
    for (place, text, font), colour in reversed(list(zip(labels, colours, strict=True))):
        left, top, right, bottom = place
        pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
        pen.text(((left + right) / 2, (top + bottom) / 2), text, fill=text_colour(colour), font=font, anchor="mm")
    return picture


def _inside(box: np.ndarray, size: tuple[int, int]) -> Box:
    """The pixels of a box: at least one, none beyond the image."""
    left, top = (min(max(round(float(value)), 0), most - 1) for value, most in zip(box[:2], size, strict=True))
    right, bottom = (min(round(float(value)), most) for value, most in zip(box[2:], size, strict=True))
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _frame(pen: ImageDraw.ImageDraw, box: Box, line: int, colour: tuple[int, int, int]) -> None:
    left, top, right, bottom = box
    # A thin edge of the other lightness inside: the frame is seen on a ground of its own colour too.
    edge = max(1, line // 3)
    if min(right - left, bottom - top) > 4 * (line + edge):
        pen.rectangle((left, top, right - 1, bottom - 1), outline=text_colour(colour), width=line + edge)
    pen.rectangle((left, top, right - 1, bottom - 1), outline=colour, width=line)


def _fit(text: str, size: tuple[int, int]) -> tuple[str, Font]:
    """Return a label, shortened where it must be, and a font in which it is no wider than the image."""
    width, height = size
    points = max(SMALLEST_FONT, round(math.sqrt(width * height) / 38))
    wide, _ = _label_size(text, ImageFont.load_default(points))
    if wide <= width:
        return text, ImageFont.load_default(points)
    font = ImageFont.load_default(max(SMALLEST_FONT, math.floor(points * width / wide)))
    name, score = text.rsplit(" ", 1)
    while name and _label_size(text, font)[0] > width:
        name = name[:-1]
        text = f"{name}… {score}"
    return text, font


def _label_size(text: str, font: Font) -> tuple[int, int]:
    left, _, right, _ = font.getbbox(text)
    _, top, _, bottom = font.getbbox("Ág")  # the same height for each text
    margin = max(2, round((bottom - top) / 4))
    return math.ceil(right - left) + 2 * margin, math.ceil(bottom - top) + margin


def _place(box: Box, label: tuple[int, int], size: tuple[int, int], taken: list[Box]) -> Box:
    """Where a label stands: the first place that is inside the image and free, or else inside its box."""
    (left, top, _, bottom), (wide, high), (width, height) = box, label, size
    left = max(0, min(left, width - wide))
    places = [(left, y, left + wide, y + high) for y in (top - high, top, bottom, bottom - high)]
    for place in places:
        if place[1] >= 0 and place[3] <= height and not any(_overlap(place, other) for other in taken):
            return place
    y = max(0, min(top, height - high))
    return left, y, left + wide, y + high


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
