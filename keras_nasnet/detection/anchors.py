"""Which levels of a feature pyramid, and so which anchors, suit the boxes of a dataset."""

import math
from collections.abc import Sequence

import numpy as np

from keras_nasnet.detection.data.dataset import DetectionDataset

ANCHOR_SIZE = 4.0  # of the smallest anchor, in strides of its level
NUM_SCALES = 2  # anchors of 1 and sqrt(2) times that
_DEEPEST = 6


def box_sides(dataset: DetectionDataset, size: int) -> list[float]:
    """Return the square root of each box's area, in pixels of a network's square input of side `size`."""
    return [
        math.sqrt(box.width * box.height) * size / max(image.width, image.height)
        for image in dataset.images
        for box in image.boxes
    ]


def pyramid_levels(sides: Sequence[float], size: int) -> tuple[int, int]:
    """Return the lowest and the highest level whose anchors cover most boxes.

    A level's anchors fit boxes of 4 to 8 strides. Of the boxes, a twentieth may be smaller than the
    smallest anchors by more than half, and a twentieth larger than twice the largest.

    Args:
        sides: square roots of the boxes' areas in pixels of the network's input; see `box_sides`.
        size: height and width of the network's input.
    """
    small, large = np.percentile(np.asarray(sides, float), [5, 95]) if len(sides) else (size / 8, size / 2)
    lowest = 2 if small < ANCHOR_SIZE * 2**3 / 2 else 3
    highest = max(lowest + 1, min(_DEEPEST, math.ceil(math.log2(max(large, 1) / (2 * ANCHOR_SIZE)))))
    while highest > lowest + 1 and size % 2**highest:
        highest -= 1
    return lowest, highest
