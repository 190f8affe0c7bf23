"""The images of a search: training images only."""

import numpy as np
import pytest

from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.search.evaluators.data import check_search_data, check_sources, fitting_batch, open_search_data
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


def fill(folder, sizes):
    from PIL import Image

    random = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (folder / label).mkdir(parents=True)
        for number, (width, height) in enumerate(sizes):
            Image.fromarray(random.integers(0, 255, (height, width, 3), np.uint8)).save(
                folder / label / f"{number}.png"
            )


def test_photographs_of_any_size_are_scaled(tmp_path):
    fill(tmp_path / "photos", [(60 + number, 40) for number in range(5)])
    for size, shape in ((None, (32, 32, 3)), (24, (24, 24, 3)), ((8, 16), (8, 16, 3))):
        data = open_search_data(tmp_path / "photos", held_out=0, image_size=size)
        assert data.train.image_shape == data.validation.image_shape == shape
        assert (data.train.size, data.validation.size) == (8, 2)


def test_what_can_be_known_is_checked_before_a_run_begins(tmp_path):
    fill(tmp_path / "photos", [(60, 40)])
    folder = {"data": str(tmp_path / "photos")}
    scaled = f"{tmp_path / 'photos'}: images are scaled to {{}} pixels (image_size, --image-size)"
    assert check_sources([folder, folder]) == [scaled.format(32)]
    assert check_sources([folder | {"image_size": 64}]) == [scaled.format(64)]
    assert check_sources([{"name": "tabular"}, {"data": "digits"}]) == []
    for size, error, word in (
        (7, ValueError, "from 8 to 4096"),
        (10**9, ValueError, "from 8 to 4096"),
        ("24", TypeError, "whole number"),
        (True, TypeError, "whole number"),
    ):
        with pytest.raises(error, match=word):
            check_sources([folder | {"image_size": size}])
    with pytest.raises(ValueError, match="no such file"):
        check_sources([{"data": str(tmp_path / "none.npz")}])
    with pytest.raises(ValueError, match="a path is empty"):
        check_sources([{"data": ""}])


def test_sets_whose_images_vary_in_size_are_told_the_option(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    for name, shape in (("vary", (None, None, 3)), ("same", (8, 8, 3))):
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(num_classes=2)}
            ),
            split_datasets={"train": [(0, {"image": np.zeros((8, 8, 3), np.uint8), "label": 0})]},
            data_dir=tmp_path,
        )
    options = {"data_dir": str(tmp_path)}
    assert check_sources([{"data": "tfds:same"} | options]) == []
    assert check_sources([{"data": "tfds:vary", "image_size": 16} | options]) == []
    assert check_sources([{"data": "tfds:not_prepared_here"} | options]) == []
    with pytest.raises(
        ValueError, match=r"vary: its images vary in size: give the image size \(--image-size, in a plan"
    ):
        check_sources([{"data": "tfds:vary"} | options])


def test_the_batch_fits_few_images():
    assert [fitting_batch(32, images) for images in (3, 20, 31, 32, 100)] == [1, 5, 7, 32, 32]


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
