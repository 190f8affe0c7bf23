"""Folders of class folders: their layouts, what is wrong with some, and real photographs."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common import reading
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data import folder
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset

SHARED = os.environ.get("KERAS_NASNET_TEST_DATA")


def fill(place, count, name="{}.png"):
    place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = np.random.default_rng(hash_of(place, number)).integers(0, 256, (10, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / name.format(number))


def hash_of(place, number):
    return [number, *str(place).encode()]


def open_small(place, **options):
    return open_dataset(place, **{"image_size": (8, 8)} | options)


@pytest.fixture(params=[True, False], ids=["in memory", "streamed"])
def in_memory(request):
    return request.param


# === Layouts ===


def test_without_splits_a_fifth_validates(tmp_path):
    fill(tmp_path / "cat", 10)
    fill(tmp_path / "dog", 3)
    dataset = open_small(tmp_path)
    assert (dataset.name, dataset.class_names, dataset.test) == (tmp_path.name, ("cat", "dog"), None)
    assert dataset.train.class_counts().tolist() == [8, 2]
    assert dataset.validation.class_counts().tolist() == [2, 1]
    images = [image.tobytes() for split in (dataset.train, dataset.validation) for image in split.images]
    assert len(set(images)) == 13
    again, other = open_small(tmp_path), open_small(tmp_path, seed=1)
    np.testing.assert_array_equal(dataset.validation.images, again.validation.images)
    assert not np.array_equal(dataset.validation.images, other.validation.images)
    assert open_small(tmp_path, held_out=5).validation.size == 5


@pytest.mark.parametrize("name", ["val", "validation", "valid"])
def test_with_splits(tmp_path, name):
    for label in ("cat", "dog"):
        fill(tmp_path / "train" / label, 4)
        fill(tmp_path / name / label, 2)
    dataset = open_small(tmp_path)
    assert [dataset.train.size, dataset.validation.size, dataset.test] == [8, 4, None]
    for label in ("cat", "dog"):
        fill(tmp_path / "test" / label, 1)
    assert open_small(tmp_path).test.size == 2
    shutil.rmtree(tmp_path / name)
    dataset = open_small(tmp_path)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [6, 2, 2]


def test_images_in_folders_below_belong_to_the_class(tmp_path, in_memory):
    fill(tmp_path / "cat", 2)
    fill(tmp_path / "cat" / "more" / "of them", 3)
    fill(tmp_path / "dog" / "only here", 2)
    dataset = open_small(tmp_path, in_memory=in_memory)
    assert (dataset.train.class_counts() + dataset.validation.class_counts()).tolist() == [5, 2]
    assert dataset.problems == ()


def test_hidden_files_are_ignored_and_others_are_counted(tmp_path, in_memory):
    fill(tmp_path / "cat", 3)
    fill(tmp_path / "dog", 3)
    fill(tmp_path / ".git", 1)
    fill(tmp_path / "cat" / ".ipynb_checkpoints", 1)
    (tmp_path / "cat" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "cat" / "._1.png").write_bytes(b"x")
    (tmp_path / "README.txt").write_text("about these images")
    assert open_small(tmp_path, in_memory=in_memory).problems == ()
    (tmp_path / "cat" / "notes.txt").write_text("about cats")
    (tmp_path / "dog" / "labels.csv").write_text("about dogs")
    fill(tmp_path, 2, "stray{}.png")
    dataset = open_small(tmp_path, in_memory=in_memory)
    assert dataset.problems == (
        f"{tmp_path}: 2 files in class folders are no images, such as {tmp_path / 'cat' / 'notes.txt'}; left out",
        f"{tmp_path}: 2 images lie in no class folder, such as {tmp_path / 'stray0.png'}; left out",
    )
    assert dataset.train.size + dataset.validation.size == 6


def test_unreadable_images_are_named_and_left_out(tmp_path, in_memory):
    fill(tmp_path / "train" / "cat", 3)
    fill(tmp_path / "train" / "dog", 3)
    shutil.copytree(tmp_path / "train", tmp_path / "val")
    content = (tmp_path / "train" / "cat" / "1.png").read_bytes()
    (tmp_path / "train" / "cat" / "1.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "val" / "dog" / "0.png").write_text("not an image")
    dataset = open_small(tmp_path, in_memory=in_memory)
    assert len(dataset.problems) == 2
    assert dataset.problems[0].startswith(f"{tmp_path / 'train' / 'cat' / '1.png'}: cannot be read")
    assert dataset.problems[1].startswith(f"{tmp_path / 'val' / 'dog' / '0.png'}: not an image")
    assert dataset.train.class_counts().tolist() == [2, 3]
    expected = Preprocessing(8, 8).fit(tmp_path / "train" / "cat" / "2.png")
    images = np.concatenate([images for images, _ in dataset.train.eval_batches(2)])
    np.testing.assert_array_equal(images[1], expected)
    assert len(images) == 5


# === Problems ===


def refusal(place, **options):
    with pytest.raises(ValueError) as error:
        open_small(place, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_folder_or_no_classes(tmp_path):
    assert refusal(tmp_path / "missing") == f"{tmp_path / 'missing'}: no such folder"
    assert refusal("./missing") == "missing: no such folder"
    assert refusal(tmp_path).startswith(f"{tmp_path}: no class folders")
    fill(tmp_path / "cat", 3)
    assert refusal(tmp_path) == f"{tmp_path}: only one class folder, cat; at least two are needed"
    assert "give the image size" in refusal(tmp_path, image_size=None)


def test_classes_without_enough_images(tmp_path, in_memory):
    fill(tmp_path / "cat", 3)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    assert refusal(tmp_path, in_memory=in_memory).startswith(f"{tmp_path / 'dog'}: no image in this class folder")
    fill(tmp_path / "dog", 1)
    assert refusal(tmp_path, in_memory=in_memory).startswith(f"{tmp_path / 'dog'}: only one image in this class folder")
    fill(tmp_path / "dog", 2)
    (tmp_path / "dog" / "1.png").write_text("broken")
    assert "only one image that can be read" in refusal(tmp_path, in_memory=in_memory)
    (tmp_path / "dog" / "0.png").write_text("broken")
    assert "no image that can be read" in refusal(tmp_path, in_memory=in_memory)


def test_classes_that_differ(tmp_path):
    for label in ("cat", "dog", "emu"):
        fill(tmp_path / "train" / label, 1)
    fill(tmp_path / "val" / "cat", 1)
    fill(tmp_path / "val" / "dog", 1)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'train' / 'emu'}: {tmp_path / 'val'} has no class folder")
    fill(tmp_path / "val" / "emu", 1)
    fill(tmp_path / "val" / "ant", 1)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'val' / 'ant'}: {tmp_path / 'train'} has no class folder")
    shutil.rmtree(tmp_path / "train")
    assert refusal(tmp_path).startswith(f"{tmp_path}: has val/ but no train/")


def test_too_many_held_out(tmp_path):
    fill(tmp_path / "cat", 3)
    fill(tmp_path / "dog", 3)
    assert refusal(tmp_path, held_out=6).startswith(f"{tmp_path}: held_out is 6: it must be from 0 to 5")
    assert refusal(tmp_path, held_out=-1).startswith("held_out is -1")


def test_an_image_that_vanishes_while_training_is_named(tmp_path):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 5)
    train = open_small(tmp_path, in_memory=False).train
    train.paths[0].unlink()
    with pytest.raises(ValueError, match=f"{train.paths[0]}: no such file"):
        list(train.train_batches(4, 0, 0))


# === Streaming ===


def test_only_what_is_asked_for_is_decoded(tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 20)
    train = open_small(tmp_path, in_memory=False).train
    read = []
    fit = Preprocessing.fit
    monkeypatch.setattr(Preprocessing, "fit", lambda self, path: read.append(path) or fit(self, path))
    assert len(list(train.train_batches(4, 0, 0, start=5, shard=(1, 2)))) == 3
    assert len(read) == 3 * 2
    read.clear()
    next(iter(train.train_batches(4, 0, 0)))
    assert len(read) <= 4 * reading.BATCHES


def test_large_folders_are_streamed(tmp_path, monkeypatch):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 5)
    assert hasattr(open_small(tmp_path).train, "images")
    monkeypatch.setattr(folder, "IN_MEMORY_BYTES", 10 * 8 * 8 * 3 - 1)
    assert not hasattr(open_small(tmp_path).train, "images")
    assert hasattr(open_small(tmp_path, in_memory=True).train, "images")
    assert not hasattr(open_small(tmp_path, in_memory=True, crop=RandomCrop()).train, "images")


# === Real photographs ===


@pytest.mark.skipif(not SHARED, reason="needs the photographs of KERAS_NASNET_TEST_DATA")
def test_ants_and_bees():
    place = Path(str(SHARED)) / "hymenoptera"
    dataset = open_dataset(place, image_size=(40, 48))
    assert dataset.class_names == ("ants", "bees")
    assert dataset.train.class_counts().tolist() == [
        len(list((place / "train" / name).iterdir())) for name in ("ants", "bees")
    ]
    assert dataset.validation.size == 153
    streamed = open_dataset(place, image_size=(40, 48), in_memory=False)
    for batches in (lambda split: split.train_batches(61, 3, 5), lambda split: split.eval_batches(100)):
        pairs = list(zip(batches(dataset.train), batches(streamed.train), strict=True))
        assert pairs
        for (images, labels), (other_images, other_labels) in pairs:
            np.testing.assert_array_equal(images, other_images)
            np.testing.assert_array_equal(labels, other_labels)
    first = sorted((place / "train" / "ants").iterdir())[0]
    np.testing.assert_array_equal(dataset.train.images[0], Preprocessing(40, 48).fit(first))
    cropped = open_dataset(place, image_size=(40, 48), crop=RandomCrop()).validation
    first = sorted((place / "val" / "ants").iterdir())[0]
    np.testing.assert_array_equal(
        next(iter(cropped.eval_batches(1)))[0][0], Preprocessing(40, 48, crop_fraction=0.875).fit(first)
    )
