"""scikit-learn's 1,797 handwritten digits of 8x8 pixels: real images that need no download. NumPy only."""

import numpy as np

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.split import Dataset, assemble, held_out_indices

NAME = "digits"
CLASS_NAMES = tuple(str(digit) for digit in range(10))
_TEST = 360  # a fifth; chosen once, so that the test images are the same whatever is held out


def open_digits(image_size: tuple[int, int] | None, held_out: int | None, seed: int) -> Dataset:
    """Return the digits as a dataset; `open_dataset` says what the arguments mean.

    1,437 training and 360 test images, about as many of each digit; grey values 0 to 16 become 0 to 255,
    three times over.

    Source: the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998,
    as `sklearn.datasets.load_digits` has it.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    if image_size not in (None, images.shape[1:3]):
        images = np.stack([Preprocessing(*image_size).fit(image) for image in images])
    everything = ArraySplit(images, digits.target, len(CLASS_NAMES))
    test = held_out_indices(everything.labels, _TEST, seed=0)
    train = np.setdiff1d(np.arange(everything.size), test)
    parts = {"train": everything.subset(train), "test": everything.subset(test)}
    return assemble(NAME, CLASS_NAMES, parts, len(train) // 5 if held_out is None else held_out, seed)
