"""Labelled images for evaluation: which folder is taken, what is left out, and what is refused."""

import os

import pytest
from PIL import Image

from keras_nasnet.data.labelled_images import open_images


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), "red").save(folder / name, "PNG")


def found(folder, split=None, **options):
    images = open_images(folder, split, None, **options)
    listed = [(os.path.relpath(image.name, folder), images.class_names[image.label]) for image in images]
    assert len(listed) == images.size
    return listed


def refusal(*arguments, **options):
    with pytest.raises(ValueError) as error:
        open_images(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_test_images_are_taken_before_validation_images(tmp_path):
    fill(tmp_path, "train/a/1", "Valid/a/2", "testing/a/3")
    assert found(tmp_path) == [("testing/a/3", "a")]
    assert open_images(tmp_path, None, None).split == "testing"
    assert found(tmp_path, "validation") == [("Valid/a/2", "a")]
    assert found(tmp_path, "train") == [("train/a/1", "a")]
    assert refusal(tmp_path, "night", None) == f"{tmp_path}: has no folder night"
    (tmp_path / "more").mkdir()
    fill(tmp_path / "more", "train/a/1")
    assert refusal(tmp_path / "more", None, None) == (
        f"{tmp_path / 'more'}: has no test images, only train/: choose it (--split)"
    )


def test_classes_called_like_splits(tmp_path):
    fill(tmp_path, "pass/1", "test/2", "test/3")
    assert found(tmp_path) == [("pass/1", "pass"), ("test/2", "test"), ("test/3", "test")]


def test_links_loops_and_junk(tmp_path):
    fill(tmp_path, "store/1.jpg", "data/a/2.jpeg", "data/a/@eaDir/3.jpg", "data/@eaDir/4.jpg", "data/a/._2.jpeg")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "a" / "up").symlink_to("..")
    (tmp_path / "data" / "a" / "Thumbs.db").write_bytes(b"x")
    assert found(tmp_path / "data") == [("a/2.jpeg", "a"), ("b/1.jpg", "b")]
    (line,) = open_images(tmp_path / "data", None, None).problems
    assert "left out a/up: a link to a folder that is taken already" in line


def test_what_is_left_out_is_said(tmp_path):
    fill(tmp_path, "a/1.png", "stray.png")
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "README").write_text("x")
    (tmp_path / "b").mkdir()
    images = open_images(tmp_path, None, None)
    assert images.class_names == ("a",)
    assert images.problems == (
        f"{tmp_path}: left out a/notes.txt: no image",
        f"{tmp_path}: left out stray.png: in no class folder",
        f"{tmp_path}: no image of b",
    )


def test_a_table(tmp_path):
    fill(tmp_path, "photos/1.png", "photos/2.png", "photos/3.png")
    table = tmp_path / "labels.csv"
    table.write_text("id,label\n2,cat\n1,dog\n")
    assert found(tmp_path / "photos", labels=table) == [("2.png", "cat"), ("1.png", "dog")]
    table.write_text("id,label,split\n2,cat,train\n1,dog,train\n3,dog,test\n")
    assert found(tmp_path / "photos", labels=table) == [("3.png", "dog")]
    assert open_images(tmp_path / "photos", None, None, table).split == "test"
    assert [path for path, _ in found(tmp_path / "photos", "train", labels=table)] == ["2.png", "1.png"]
    assert "it names no val images, only train and test" in refusal(tmp_path / "photos", "val", None, table)
    assert "it has labels of its own" in refusal("tfds:x", None, None, table)


def test_refusals(tmp_path):
    assert refusal("", None, None) == "a path is empty: give a file or a folder"
    assert refusal(tmp_path / "no", None, None).endswith(
        "no such folder; a set of tensorflow-datasets is called tfds:NAME"
    )
    assert refusal(tmp_path, None, None).startswith(f"{tmp_path}: no class folders")
    (tmp_path / "a").mkdir()
    assert refusal(tmp_path, None, None) == f"{tmp_path}: no image in its class folders"
