"""Annotations: what is read, and where the images are found."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from tests.support.small_coco import SOUND, boxes, picture, write_coco


def test_a_coco_folder_is_read(tmp_path):
    dataset = read_dataset(write_coco(tmp_path), strict=True)
    assert (dataset.class_names, dataset.category_ids) == (("cat", "dog"), (3, 7))  # in order of the ids
    assert boxes(dataset) == SOUND
    first, second, third = dataset.images
    assert (first.id, first.width, first.height, first.path) == (10, 40, 30, tmp_path / "images" / "a.jpg")
    assert [(box.area, box.crowd, box.id) for box in first.boxes] == [(100.5, False, 1), (1200, True, 2)]
    assert (second.boxes[0].area, second.boxes[0].crowd) == (12, False)  # of the box, where none is given
    assert third.boxes == ()  # an image that shows nothing is kept, and no problem
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("json_name", "images"),
    [
        ("any.json", "."),
        ("any.json", "images"),
        ("annotations/any.json", "images"),
        ("annotations/any.json", "."),
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("instances_train.json", "train"),
        ("any.json", "deep/er/below"),
    ],
)
def test_images_are_found_where_they_usually_are(tmp_path, json_name, images):
    write_coco(tmp_path, json_name=json_name, images=images)
    assert boxes(read_dataset(tmp_path, strict=True)) == SOUND
    assert boxes(read_dataset(tmp_path / json_name, strict=True)) == SOUND  # the file itself


def test_images_may_be_elsewhere(tmp_path):
    write_coco(tmp_path / "data", images="../pictures")
    assert boxes(read_dataset(tmp_path / "data", images=tmp_path / "pictures", strict=True)) == SOUND
    with pytest.raises(ValueError, match="no such folder of images"):
        read_dataset(tmp_path / "data", images=tmp_path / "nothing")


def test_an_image_of_another_split_is_not_taken_for_a_missing_one(tmp_path):
    write_coco(tmp_path, json_name="annotations/instances_train.json", images="train")
    (tmp_path / "val").mkdir()
    (tmp_path / "train" / "b.jpg").rename(tmp_path / "val" / "b.jpg")
    dataset = read_dataset(tmp_path)
    assert [problem.kind for problem in dataset.problems] == ["missing_image"]
    assert [image.name for image in dataset.images] == ["a.jpg", "c.jpg"]


def test_captions_beside_the_instances_are_left_alone(tmp_path):
    write_coco(tmp_path, json_name="annotations/instances_train.json", images="train")
    (tmp_path / "annotations" / "captions_train.json").write_text(json.dumps({"images": [], "annotations": []}))
    (tmp_path / "package.json").write_text("{}")
    assert boxes(read_dataset(tmp_path)) == SOUND


def test_two_coco_files_are_one_too_many(tmp_path):
    write_coco(tmp_path, json_name="one.json")
    write_coco(tmp_path, json_name="two.json")
    with pytest.raises(ValueError, match=r"2 COCO files \(one.json, two.json\): give one"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "1"])
def test_images_of_any_mode_are_read(tmp_path, mode):
    write_coco(tmp_path)
    picture(mode=mode).save(tmp_path / "images" / "a.jpg", {"L": "JPEG", "CMYK": "JPEG"}.get(mode, "PNG"))
    assert boxes(read_dataset(tmp_path, strict=True)) == SOUND


def test_classes_of_a_model_count_the_boxes(tmp_path):
    dataset = read_dataset(write_coco(tmp_path), class_names=["dog", "bird"])
    assert boxes(dataset) == SOUND[:1]
    assert (dataset.class_names, dataset.category_ids) == (("dog", "bird"), (7, "bird"))
    assert [problem.kind for problem in dataset.problems] == ["unknown_category"] * 2
    assert "'cat', which is none of the 2 classes" in str(dataset.problems[0])


# === Real data ===


@pytest.mark.parametrize(
    ("name", "images", "held_out", "count", "classes"), [("raccoon", 160, 40, 217, 1), ("coco128", 102, 26, 939, 80)]
)
def test_real_datasets_are_read_without_a_problem(name, images, held_out, count, classes):
    data = os.environ.get("KERAS_NASNET_TEST_DATA")
    if data is None:
        pytest.skip("KERAS_NASNET_TEST_DATA, the folder with raccoon and coco128, is not set")
    parts = read_splits(Path(data) / name, strict=True)
    assert [len(part.images) for part in parts] == [images, held_out]
    assert sum(len(image.boxes) for part in parts for image in part.images) == count
    assert len(parts[0].class_names) == classes


def test_reading_imports_neither_tensorflow_nor_keras(tmp_path):
    write_coco(tmp_path)
    code = (
        "import sys; from keras_nasnet.detection.data.annotations import read_splits; read_splits(sys.argv[1]); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
