"""Random crops: a random part of the image while training, the central part for evaluation."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RandomCrop:
    """A crop of images as they are read: a random part while training, the central part for evaluation.

    The defaults are those of TF-slim's Inception preprocessing, with which networks for ImageNet are trained.

    Args:
        area: the least and the greatest part of the image's area.
        aspect: the least and the greatest ratio of width to height.
        covered: the least part of the image that the crop holds; a smaller one is drawn again.
        attempts: crops drawn before the whole image is taken.
        evaluation: the part of the shorter side that the central crop keeps in evaluation.

    Example:
        >>> crop = RandomCrop(area=(0.5, 1.0))
        >>> left, top, right, bottom = crop.box(640, 480, np.random.default_rng(0))
        >>> 0 <= left < right <= 640 and 0 <= top < bottom <= 480
        True
        >>> crop.evaluation
        0.875
    """

    area: tuple[float, float] = (0.05, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    covered: float = 0.1
    attempts: int = 100
    evaluation: float = 0.875

    def box(self, width: int, height: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
        """Return (left, top, right, bottom) of a random crop, in pixels.

        Follows the law of tf.image's sample_distorted_bounding_box: the aspect is uniform, then the height among
        those that fit; the whole image where no attempt succeeds.

        Args:
            width: of the image, in pixels.
            height: likewise.
            generator: of the random numbers.
        """
        for _ in range(self.attempts):
            aspect = generator.uniform(*self.aspect)
            lowest, highest = (math.sqrt(part * width * height / aspect) for part in self.area)
            highest = min(round(highest), int((width + 0.5) / aspect), height)
            crop_height = int(generator.integers(min(round(lowest), highest), highest + 1))
            crop_width = round(crop_height * aspect)
            if crop_width <= width and crop_width * crop_height >= self.covered * width * height:
                left = int(generator.integers(width - crop_width + 1))
                top = int(generator.integers(height - crop_height + 1))
                return left, top, left + crop_width, top + crop_height
        return 0, 0, width, height
