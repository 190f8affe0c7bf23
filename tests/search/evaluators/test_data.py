"""The images of a search: training images only."""

import numpy as np
import pytest

from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.search.evaluators.data import check_search_data, open_search_data
from tests.support.toy import write_npz


def test_digits_without_their_test_images():
    data = open_search_data("digits", held_out=297)
    assert (data.train.size, data.validation.size, data.test) == (1140, 297, None)
    whole = open_dataset("digits", image_size=None)
    seen = {image.tobytes() for split in (data.train, data.validation) for image in split.images}
    assert not any(image.tobytes() in seen for image in whole.test.images)


def test_the_test_arrays_of_a_file_are_left_out(tmp_path):
    data = open_search_data(write_npz(tmp_path / "toy.npz"), held_out=12)
    assert (data.train.size, data.validation.size, data.test) == (36, 12, None)


def test_a_folder_in_memory(tmp_path):
    from PIL import Image

    random = np.random.default_rng(0)
    for part, count in (("train", 6), ("test", 3)):
        for label in ("ant", "bee"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(random.integers(0, 255, (16, 16, 3), np.uint8)).save(folder / f"{number}.png")
    data = open_search_data(tmp_path, held_out=4, image_size=(16, 16))
    assert (data.train.size, data.validation.size, data.test) == (8, 4, None)
    assert data.train.images.dtype == np.uint8


def test_without_a_number_a_fifth_is_held_out_or_the_datas_own_validation_split(tmp_path):
    data = open_search_data("digits", held_out=0)
    assert (data.train.size, data.validation.size) == (1150, 287)
    data = open_search_data(write_npz(tmp_path / "toy.npz"), held_out=0)
    assert data.validation.size == (data.train.size + data.validation.size) // 5


def test_what_cannot_be_searched_on_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no image is held out to judge children on"):
        check_search_data(open_dataset("digits", image_size=None, with_test=False))
    with pytest.raises(ValueError, match="a search must not see test images"):
        check_search_data(open_dataset("digits", image_size=None, held_out=10))
    with pytest.raises(ValueError, match="no such file"):
        open_search_data(tmp_path / "none.npz")
