"""Boxes and labels on a picture."""

import itertools

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.drawing import draw
from keras_nasnet.detection.palette import COLOURS, class_colour, text_colour

GREY = (96, 96, 96)
NAMES = tuple(f"class {number}" for number in range(30))


def one(box, number=0, score=0.5):
    return Detections([box], [score], [number], NAMES)


def pixels(image):
    return np.asarray(image).astype(int)


def coloured(image, number):
    """Where a picture has the colour of a class."""
    return (pixels(image) == class_colour(number)).all(axis=-1)


def changed(picture):
    return (pixels(picture) != GREY).any(axis=-1)


def luminance(colour):
    share = np.array(colour) / 255
    return np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92) @ (0.2126, 0.7152, 0.0722)


# === Boxes ===


def test_the_frame_is_the_box():
    picture = draw(Image.new("RGB", (200, 160), GREY), one([50, 60, 150, 140]))
    frame = coloured(picture, 0)
    for row, column in ((100, 50), (100, 149), (139, 100)):
        assert frame[row, column]
    assert not frame[100, 49] and not frame[100, 150] and not frame[140, 100]
    rows, columns = np.nonzero(changed(picture)[61:])
    assert (rows.min() + 61, columns.min()) == (61, 50)
    assert (rows.max() + 61, columns.max()) == (139, 149)
    np.testing.assert_array_equal(pixels(picture)[90:110, 80:120], np.full((20, 40, 3), 96))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_the_image_is_not_changed(mode):
    image = Image.new("RGB", (64, 48), GREY).convert(mode)
    before = image.tobytes()
    picture = draw(image, one([5, 5, 40, 40]))
    assert image.tobytes() == before
    assert (picture.mode, picture.size) == ("RGB", (64, 48))


def test_nothing_found_is_a_copy():
    image = Image.new("RGB", (64, 48), GREY)
    picture = draw(image, one([5, 5, 40, 40]).above(0.9))
    assert picture is not image
    assert picture.tobytes() == image.tobytes()


def test_lines_and_letters_grow_with_the_image():
    small, large = (
        draw(Image.new("RGB", (side, side), GREY), one([side / 4, side / 4, side * 3 / 4, side * 3 / 4]))
        for side in (300, 1500)
    )
    for row, factor in ((200, 0), (1000, 1)):
        line = coloured(large if factor else small, 0)[row][: row * 3 // 4].sum()
        assert line == (7 if factor else 1)
    heights = [np.flatnonzero(coloured(picture, 0).any(axis=1)).min() for picture in (small, large)]
    assert (375 - heights[1]) == pytest.approx(5 * (75 - heights[0]), rel=0.25)


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (500, 3), (16, 16)])
@pytest.mark.parametrize("box", [[0, 0, 1, 1], [-9, -9, 900, 900], [0.2, 0.2, 0.3, 0.3], [899, 899, 900, 900]])
def test_any_size_and_box(size, box):
    picture = draw(Image.new("RGB", size, GREY), one(box))
    assert picture.size == size
    assert changed(picture).any()


def test_the_more_certain_box_is_in_front():
    found = Detections([[20, 50, 120, 150], [20, 50, 120, 150]], [0.4, 0.8], [1, 2], NAMES)
    picture = draw(Image.new("RGB", (200, 200), GREY), found)
    assert coloured(picture, 2)[120, 20]


# === Labels ===


@pytest.mark.parametrize("left", [0, 150, 300])
@pytest.mark.parametrize("top", [0, 100, 200])
def test_a_label_is_whole_wherever_the_box_is(left, top):
    """What is drawn has as many pixels everywhere as in the middle, but for those of the frame behind the label."""
    size = (400, 300)
    middle = changed(draw(Image.new("RGB", size, GREY), one([150, 100, 250, 200]))).sum()
    there = changed(draw(Image.new("RGB", size, GREY), one([left, top, left + 100, top + 100]))).sum()
    assert there >= 0.8 * middle


@pytest.mark.parametrize("box", [[0, 0, 400, 300], [395, 0, 400, 5], [0, 295, 5, 300], [395, 295, 400, 300]])
def test_a_label_is_whole_at_the_border(box):
    size = (400, 300)
    expected = coloured(draw(Image.new("RGB", size, GREY), one([200, 150, 205, 155])), 0).sum()
    assert coloured(draw(Image.new("RGB", size, GREY), one(box)), 0).sum() >= 0.9 * expected


def test_a_long_name_is_made_to_fit():
    """Whether the letters are made smaller or the name is shortened: the border of the label is seen on the right."""
    for name in ("a long name", "a rather long name of a class, as some have them"):
        found = Detections([[0, 40, 50, 60]], [0.5], [0], (name,))
        label = coloured(draw(Image.new("RGB", (100, 400), GREY), found), 0)[:40]
        assert label[:, -1].sum() in (0, label.any(axis=1).sum())


def test_labels_of_one_box_do_not_hide_each_other():
    image = Image.new("RGB", (400, 300), GREY)
    box = [100, 100, 300, 250]
    both = draw(image, Detections([box, box], [0.9, 0.8], [1, 2], NAMES))
    for number in (1, 2):
        alone = coloured(draw(image, one([100, 100, 102, 102], number)), number).sum()
        assert coloured(both, number).sum() >= 0.9 * alone


# === Colours ===


def test_a_class_has_one_colour_in_all_pictures():
    for size in ((100, 100), (300, 200)):
        picture = draw(Image.new("RGB", size, GREY), one([10, 30, 90, 90], 5))
        assert coloured(picture, 5).any()
        assert not coloured(picture, 6).any()


def test_colours_differ():
    first = [class_colour(number) for number in range(20)]
    assert min(np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(first, 2)) > 60
    assert len({class_colour(number) for number in range(COLOURS)}) == COLOURS
    assert class_colour(COLOURS) == class_colour(0)


def test_text_can_be_read_on_each_colour():
    """A contrast ratio of 4.5, as WCAG 2 asks for."""
    for number in range(COLOURS):
        dark, light = sorted(luminance(colour) for colour in (class_colour(number), text_colour(class_colour(number))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5
