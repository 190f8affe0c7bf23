"""Levels of the pyramid follow from the sizes of the boxes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.detection.anchors import ANCHOR_SIZE, box_sides, pyramid_levels
from keras_nasnet.detection.data.dataset import AnnotatedImage, Box, DetectionDataset


@given(st.lists(st.floats(1, 1000), max_size=20), st.sampled_from(range(64, 1344, 32)))
def test_levels_divide_the_size_and_cover_most_boxes(sides, size):
    lowest, highest = pyramid_levels(sides, size)
    assert 2 <= lowest < highest <= 6
    assert size % 2**highest == 0 or highest == lowest + 1
    if sides and np.percentile(sides, 5) >= ANCHOR_SIZE * 4:
        assert ANCHOR_SIZE * 2**lowest <= 2 * np.percentile(sides, 5)


@pytest.mark.parametrize(
    ("sides", "size", "levels"), [([100, 120, 150], 256, (3, 5)), ([8, 10, 200], 256, (2, 5)), ([400], 640, (3, 6))]
)
def test_small_boxes_need_level_2_and_large_ones_level_6(sides, size, levels):
    assert pyramid_levels(sides, size) == levels


def test_a_level_that_does_not_divide_the_size_is_left_out():
    assert pyramid_levels([400], 608) == (3, 5)


def test_sides_are_in_pixels_of_the_networks_input():
    boxes = (Box(0, 0, 20, 5, 0, False, 100), Box(0, 0, 40, 40, 0, False, 1600))
    images = (AnnotatedImage(Path("a.jpg"), "a.jpg", 1, 100, 50, boxes), AnnotatedImage(Path(), "b.jpg", 2, 9, 9, ()))
    assert box_sides(DetectionDataset(("ant",), (1,), images), 200) == [20, 80]
