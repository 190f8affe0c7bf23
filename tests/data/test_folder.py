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
    return [number, *os.fsencode(place)]


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
        f"{tmp_path}: left out 2 (cat/notes.txt, dog/labels.csv): no image",
        f"{tmp_path}: left out 2 (stray0.png, stray1.png): in no class folder",
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


@pytest.mark.parametrize(("train", "val", "test"), [("Train", "Valid", "TEST"), ("training", "validation", "testing")])
def test_splits_as_others_call_them(tmp_path, train, val, test):
    for label in ("cat", "dog"):
        fill(tmp_path / train / label, 4)
        fill(tmp_path / val / label, 2)
        fill(tmp_path / test / label, 1)
    dataset = open_small(tmp_path)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [8, 4, 2]


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("pass", "test"), ("invalid", "valid")])
def test_classes_that_are_called_like_splits(tmp_path, names):
    for place in (tmp_path / "flat", tmp_path / "split" / "train", tmp_path / "split" / "val"):
        for name in names:
            fill(place / name, 3)
    assert open_small(tmp_path / "flat").class_names == names
    dataset = open_small(tmp_path / "split")
    assert dataset.class_names == names
    assert (dataset.train.size, dataset.validation.size) == (3 * len(names), 3 * len(names))


def test_a_class_called_like_a_split_with_folders_below(tmp_path):
    for name in ("bus", "car", "train"):
        fill(tmp_path / name, 2)
        fill(tmp_path / name / "2019", 1)
    assert open_small(tmp_path).class_names == ("bus", "car", "train")


def test_classes_that_are_all_called_like_splits_are_doubted(tmp_path):
    fill(tmp_path / "train", 3)
    fill(tmp_path / "test", 3)
    dataset = open_small(tmp_path)
    assert dataset.class_names == ("test", "train")
    assert "its classes are called test, train; if these are splits" in dataset.problems[0]


def test_what_lies_beside_the_splits_is_counted(tmp_path):
    for part in ("train", "val"):
        for label in ("cat", "dog"):
            fill(tmp_path / part / label, 2)
    fill(tmp_path / "test", 4)  # flat: no split
    fill(tmp_path / "more", 1)
    dataset = open_small(tmp_path)
    assert dataset.test is None
    assert dataset.problems == (
        f"{tmp_path}: left out 5 (more/0.png, test/0.png, test/1.png and 2 more): not in a class folder of train, val",
    )


def test_every_format_by_content_also_in_links(tmp_path):
    fill(tmp_path / "store" / "more", 2)
    fill(tmp_path / "photos" / "cat", 2, "{}.jpe")
    fill(tmp_path / "photos" / "dog", 3)
    for number, format in enumerate(("JPEG", "PNG", "WEBP", "GIF")):
        Image.new("RGB", (9, 9), "blue").save(tmp_path / "photos" / "cat" / f"n{number}", format)
    (tmp_path / "photos" / "dog" / "linked").symlink_to(tmp_path / "store")
    (tmp_path / "photos" / "dog" / "loop").symlink_to(tmp_path / "photos")
    fill(tmp_path / "photos" / "@eaDir" / "0.jpg", 2)
    fill(tmp_path / "photos" / "__MACOSX" / "cat", 2)
    dataset = open_small(tmp_path / "photos")
    assert (dataset.train.class_counts() + dataset.validation.class_counts()).tolist() == [6, 5]
    (line,) = dataset.problems
    assert "left out dog/loop: a link to a folder that is taken already" in line


def test_many_images_with_the_same_fault_have_one_line(tmp_path, in_memory):
    fill(tmp_path / "cat", 3)
    fill(tmp_path / "dog", 3)
    for number in range(5):
        (tmp_path / "cat" / f"x{number}.jpg").write_text("a page that says 404")
    (line,) = open_small(tmp_path, in_memory=in_memory).problems
    assert line.startswith(f"{tmp_path}: left out 5 (cat/x0.jpg, cat/x1.jpg, cat/x2.jpg and 2 more): not an image")


# === Names of classes ===


def test_the_name_of_a_class_must_be_text(tmp_path):
    fill(tmp_path / "cat", 2)
    fill(tmp_path / os.fsdecode(b"caf\xe9"), 2)
    assert "the name of this class folder is no text in UTF-8: rename it" in refusal(tmp_path)


def test_names_that_differ_by_how_unicode_writes_them_are_one_class(tmp_path):
    composed, decomposed = "M\u00f6we", "Mo\u0308we"
    fill(tmp_path / "train" / composed, 2)
    fill(tmp_path / "train" / decomposed, 3)
    fill(tmp_path / "train" / "cat", 2)
    fill(tmp_path / "val" / decomposed, 1)
    dataset = open_small(tmp_path)
    assert dataset.class_names == (composed, "cat")
    assert dataset.train.class_counts().tolist() == [5, 2]
    assert dataset.validation.class_counts().tolist() == [1, 0]
    assert f"{tmp_path / 'train'}: 2 folders are class {composed}" in dataset.problems[0]


def test_names_that_differ_by_case_are_two_classes_and_a_problem(tmp_path):
    for name in ("Cat", "cat", "dog"):
        fill(tmp_path / name, 2)
    dataset = open_small(tmp_path)
    assert dataset.class_names == ("Cat", "cat", "dog")
    assert dataset.problems == (f"{tmp_path}: classes Cat, cat differ only in case or blanks; they are 2 classes",)


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
    assert refusal(tmp_path / "cat").startswith(f"{tmp_path / 'cat'}: its images (3) lie in no class folder")
    (tmp_path / "dog").symlink_to("cat")
    assert "(" in refusal(tmp_path) and "dog: a link to a folder that is taken already" in refusal(tmp_path)
    assert refusal("") == "a path is empty: give a file or a folder"
    assert "give the image size" in refusal(tmp_path, image_size=None)


def test_classes_without_enough_images(tmp_path, in_memory):
    fill(tmp_path / "cat", 3)
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    assert refusal(tmp_path, in_memory=in_memory).startswith(f"{tmp_path / 'dog'}: no image in this class folder")
    assert refusal(tmp_path, in_memory=in_memory).endswith(" (left out notes.txt: no image)")
    fill(tmp_path / "dog", 1)
    assert refusal(tmp_path, in_memory=in_memory).startswith(f"{tmp_path / 'dog'}: only one image in this class folder")
    fill(tmp_path / "dog", 2)
    (tmp_path / "dog" / "1.png").write_text("broken")
    assert "only one image that can be read" in refusal(tmp_path, in_memory=in_memory)
    (tmp_path / "dog" / "0.png").write_text("broken")
    said = refusal(tmp_path, in_memory=in_memory)
    assert said.startswith(f"{tmp_path / 'dog'}: no image that can be read in this class folder; add some or remove")
    assert " (0.png: not an image" in said


def test_classes_that_differ(tmp_path):
    for label in ("cat", "dog", "emu"):
        fill(tmp_path / "train" / label, 1)
    fill(tmp_path / "val" / "cat", 1)
    fill(tmp_path / "val" / "dog", 1)
    (tmp_path / "val" / "bee").mkdir()  # without an image it is no class
    dataset = open_small(tmp_path)
    assert dataset.problems == (f"{tmp_path / 'val'}: no image of emu: nothing is measured on it",)
    assert dataset.class_names == ("cat", "dog", "emu")
    assert dataset.validation.class_counts().tolist() == [1, 1, 0]
    fill(tmp_path / "val" / "ant", 1)
    assert refusal(tmp_path).startswith(f"{tmp_path / 'val'}: {tmp_path / 'train'} has no class folder ant")
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
