"""Real images, on which exports are compared and calibrated."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from keras_nasnet.common.image_folders import list_images
from keras_nasnet.common.images import Preprocessing, read_image

MAX_CALIBRATION_IMAGES = 300  # more change the ranges little


class ImageFolder:
    """Preprocessed images of a folder, read when they are asked for, one at a time.

    Args:
        folder: of images, also in folders below; of more than 300, 300 evenly spaced in order of name are taken.
        preprocessing: of the network, of a fixed size.

    Raises:
        ValueError: if there is no such folder, or no image in it.
    """

    def __init__(self, folder: str | os.PathLike[str], preprocessing: Preprocessing):
        if not Path(folder).is_dir():
            raise ValueError(f"{folder}: no such folder of images to calibrate on")
        listing = list_images(folder)
        found = listing.images
        if not found:
            raise ValueError(f"{folder}: no images in this folder to calibrate on{listing.why_empty()}")
        count = min(len(found), MAX_CALIBRATION_IMAGES)
        self.paths = [found[place * len(found) // count] for place in range(count)]
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self.paths:
            yield self.preprocessing(path)


def photographs() -> list[Image.Image]:
    """Return four real images: the two photographs that come with scikit-learn, and the middle of each."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None  # a dependency
    images = []
    for name in ("china.jpg", "flower.jpg"):
        image = read_image(Path(package.origin).parent / "datasets" / "images" / name)
        width, height = image.size
        images += [image, image.crop((width // 4, height // 4, width * 3 // 4, height * 3 // 4))]
    return images
