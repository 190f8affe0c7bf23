"""The digits that come with scikit-learn."""

import numpy as np
import pytest

from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset


def test_all_1797_digits_lie_in_just_one_split():
    dataset = open_dataset("digits", image_size=None, held_out=297)
    sizes = [split.size for split in (dataset.train, dataset.validation, dataset.test)]
    assert sizes == [1140, 297, 360]
    images = np.concatenate([split.images for split in (dataset.train, dataset.validation, dataset.test)])
    assert images.shape == (1797, 8, 8, 3) and images.dtype == np.uint8 and images.max() == 255
    assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797
    for split in (dataset.train, dataset.validation, dataset.test):
        counts = split.class_counts()
        assert counts.max() - counts.min() <= 9  # as in all of them: 174 to 183


def test_the_test_images_are_the_same_whatever_is_held_out():
    first = open_dataset("digits", image_size=None, held_out=100, seed=1)
    second = open_dataset("digits", image_size=None, held_out=300, seed=2)
    np.testing.assert_array_equal(first.test.images, second.test.images)


def test_they_come_at_any_size():
    assert open_dataset("digits", image_size=(32, 32), held_out=10).train.image_shape == (32, 32, 3)
    with pytest.raises(ValueError, match="these are arrays"):
        open_dataset("digits", image_size=None, crop=RandomCrop())
