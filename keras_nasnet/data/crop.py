"""The Inception crop: a random part of the image while training, the central part for evaluation."""

import math

import numpy as np

# Of TF-slim's Inception preprocessing.
AREA = (0.05, 1.0)  # as a part of the image
ASPECT = (3 / 4, 4 / 3)  # width to height
COVERED = 0.1  # the least part of the image that the crop must hold
ATTEMPTS = 100
EVALUATION = 0.875  # part of the shorter side


def random_box(width: int, height: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Returns (left, top, right, bottom) of a random crop, by the law of tf.image's sample_distorted_bounding_box.

    The aspect is uniform, then the height among those that fit; the whole image where no attempt succeeds.
    """
    for _ in range(ATTEMPTS):
        aspect = generator.uniform(*ASPECT)
        lowest, highest = (math.sqrt(part * width * height / aspect) for part in AREA)
        highest = min(round(highest), int((width + 0.5) / aspect), height)
        crop_height = int(generator.integers(min(round(lowest), highest), highest + 1))
        crop_width = round(crop_height * aspect)
        if crop_width <= width and crop_width * crop_height >= COVERED * width * height:
            left = int(generator.integers(width - crop_width + 1))
            top = int(generator.integers(height - crop_height + 1))
            return left, top, left + crop_width, top + crop_height
    return 0, 0, width, height
