"""Broken annotations: each is named, and the rest is kept."""

import copy
import json
from pathlib import Path

import pytest

from keras_nasnet.detection.data.annotations import read_dataset
from keras_nasnet.detection.data.dataset import KINDS
from tests.support.small_coco import CONTENT, SOUND, annotation, boxes, changed, picture, write_coco

# Entries added to the sound content; the kind that is named, what its line says, and the boxes that are left of it.
BROKEN = {
    "partly outside": (
        {"annotations": [annotation(bbox=[-5, 20, 15, 20])]},
        "box_clipped",
        "image 20 ('b.jpg'), annotation 9: box of 15 x 20 pixels at (-5, 20) is partly outside its image of 40 x 30: ",
        [("b.jpg", 0, 20, 10, 10, "cat")],
    ),
    "wholly outside": (
        {"annotations": [annotation(bbox=[40, 5, 5, 5])]},
        "box_outside",
        "annotation 9: box of 5 x 5 pixels at (40, 5) is wholly outside its image of 40 x 30: dropped",
        [],
    ),
    "no area": (
        {"annotations": [annotation(bbox=[4, 4, 0, 7])]},
        "zero_area",
        "annotation 9: box of 0 x 7 pixels at (4, 4) has no area: dropped",
        [],
    ),
    "negative": (
        {"annotations": [annotation(bbox=[4, 4, 3, -7])]},
        "negative_size",
        "box of 3 x -7 pixels at (4, 4) has a negative size: dropped",
        [],
    ),
    "nan": (
        {"annotations": [annotation(bbox=[4, float("nan"), 3, 7])]},
        "bad_coordinate",
        "annotation 9: bbox is [4, nan, 3, 7]: not all are finite numbers: dropped",
        [],
    ),
    "text": (
        {"annotations": [annotation(bbox=["4", 4, 3, 7])]},
        "bad_coordinate",
        "bbox is ['4', 4, 3, 7]: not all are finite numbers: dropped",
        [],
    ),
    "three numbers": (
        {"annotations": [annotation(bbox=[4, 4, 3])]},
        "bad_bbox",
        "annotation 9: bbox is [4, 4, 3], not four numbers: dropped",
        [],
    ),
    "no bbox": (
        {"annotations": [{"id": 9, "image_id": 20, "category_id": 3}]},
        "bad_bbox",
        "bbox is None, not four numbers: dropped",
        [],
    ),
    "category": (
        {"annotations": [annotation(category_id=4)]},
        "unknown_category",
        "image 20 ('b.jpg'), annotation 9: is of category 4, which is not listed: dropped",
        [],
    ),
    "image": (
        {"annotations": [annotation(image_id=99)]},
        "unknown_image",
        "annotations_coco.json, annotation 9: is of image 99, which is not listed: dropped",
        [],
    ),
    "annotation id": (
        {"annotations": [annotation(id=3)]},
        "duplicate_annotation_id",
        "annotation 3: another has this id: dropped",
        [],
    ),
    "no object": (
        {"annotations": [[9]]},
        "bad_annotation",
        "annotations_coco.json, annotation number 4: is [9], no JSON object: dropped",
        [],
    ),
    "area": (
        {"annotations": [annotation(area="big")]},
        "bad_area",
        "annotation 9: area is 'big', no positive number: that of the box counts",
        [("b.jpg", 1, 1, 5, 5, "cat")],
    ),
    "crowd": (
        {"annotations": [annotation(iscrowd=2)]},
        "bad_crowd",
        "annotation 9: iscrowd is 2, neither 0 nor 1: taken for 0",
        [("b.jpg", 1, 1, 5, 5, "cat")],
    ),
    "image id": (
        {"images": [{"id": 10, "file_name": "c.jpg", "width": 40, "height": 30}]},
        "duplicate_image_id",
        "image 10 ('c.jpg'): has the id of 'a.jpg', which keeps the boxes of this id: dropped",
        [],
    ),
    "file name": (
        {"images": [{"id": 40, "file_name": "a.jpg"}], "annotations": [annotation(image_id=40)]},
        "duplicate_file_name",
        "image 40 ('a.jpg'): is of the same file as annotations_coco.json, image 10 ('a.jpg'): dropped with its boxes",
        [],
    ),
    "missing file": (
        {"images": [{"id": 40, "file_name": "d.jpg"}], "annotations": [annotation(image_id=40)]},
        "missing_image",
        "image 40 ('d.jpg'): there is no such file in ",
        [],
    ),
    "broken file": (
        {"images": [{"id": 40, "file_name": "broken.jpg"}], "annotations": [annotation(image_id=40)]},
        "broken_image",
        "image 40 ('broken.jpg'): cannot be read (",
        [],
    ),
    "no image": (
        {"images": [{"id": 40, "file_name": "text.jpg"}], "annotations": [annotation(image_id=40)]},
        "broken_image",
        "image 40 ('text.jpg'): not an image (JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC): dropped with its boxes",
        [],
    ),
    "size": (
        {"images": [{"id": 40, "file_name": "wide.png", "width": 30, "height": 40}]}
        | {"annotations": [annotation(image_id=40, bbox=[30, 0, 10, 10])]},
        "size_differs",
        "image 40 ('wide.png'): its file is 50 x 20, not 30 x 40 as annotated: the file's size counts",
        [("wide.png", 30, 0, 10, 10, "cat")],
    ),
    "no file name": (
        {"images": [{"id": 40, "file_name": None}]},
        "bad_image",
        "image number 4: is {'file_name': None, 'id': 40}, without an id or a file name: dropped with its boxes",
        [],
    ),
    "category's id": (
        {"categories": [{"id": 3, "name": "bird"}]},
        "duplicate_category_id",
        "category 3: 'bird' has the id of 'cat': dropped",
        [],
    ),
    "category's name": (
        {"categories": [{"id": 8, "name": "cat"}], "annotations": [annotation(category_id=8)]},
        "duplicate_category_name",
        "category 8: has the name of category 3, 'cat': counted as it",
        [("b.jpg", 1, 1, 5, 5, "cat")],
    ),
    "category without name": (
        {"categories": [{"id": 8}]},
        "bad_category",
        "category 8: is {'id': 8}, without an id or a name: dropped",
        [],
    ),
}


def broken_folder(folder, lists):
    write_coco(folder, changed(**lists))
    whole = (folder / "images" / "a.jpg").read_bytes()
    (folder / "images" / "broken.jpg").write_bytes(whole[: len(whole) - 50])
    (folder / "images" / "text.jpg").write_text("not an image")
    picture((50, 20)).save(folder / "images" / "wide.png")
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named_and_the_rest_is_kept(tmp_path, name):
    lists, kind, text, left = BROKEN[name]
    dataset = read_dataset(broken_folder(tmp_path, lists))
    (problem,) = dataset.problems
    assert problem.kind == kind
    assert text in str(problem) and "\n" not in str(problem)
    assert sorted(boxes(dataset)) == sorted(SOUND + left)
    with pytest.raises(ValueError, match="1 problem: ") as error:
        read_dataset(tmp_path, strict=True)
    assert text in str(error.value)


def test_all_that_is_broken_at_once_is_named(tmp_path):
    lists = {"images": [], "annotations": [], "categories": []}
    number = 100
    for broken, kind, _, _ in BROKEN.values():
        for entry in copy.deepcopy(broken).get("annotations", []):
            if kind not in ("duplicate_annotation_id", "bad_annotation"):
                number += 1
                entry["id"] = number
            if kind in ("missing_image", "broken_image", "size_differs", "duplicate_file_name"):
                continue
            lists["annotations"].append(entry)
        for entry in copy.deepcopy(broken).get("images", []):
            if kind != "duplicate_image_id":
                number += 1
                entry["id"] = number
            lists["images"].append(entry)
        lists["categories"] += broken.get("categories", [])
    dataset = read_dataset(broken_folder(tmp_path, lists))
    assert {problem.kind for problem in dataset.problems} == {kind for _, kind, _, _ in BROKEN.values()}
    assert len({kind for _, kind, _, _ in BROKEN.values()}) >= 12
    with pytest.raises(ValueError, match=r"has \d+ problems: .*; and \d+ more") as error:
        read_dataset(tmp_path, strict=True)
    assert str(error.value).count("\n") == 0


def test_every_kind_of_problem_is_shown_by_a_test():
    tests = [file.read_text() for file in Path(__file__).parent.glob("test_*.py")]
    assert [kind for kind in KINDS if not any(f'"{kind}"' in text for text in tests)] == []


def test_a_file_name_that_is_there_twice_is_not_guessed(tmp_path):
    write_coco(tmp_path, images="one")
    write_coco(tmp_path, images="two")
    (tmp_path / "two" / "a.jpg").unlink()
    dataset = read_dataset(tmp_path)
    assert [problem.kind for problem in dataset.problems] == ["missing_image"] * 2
    assert "2 files have this name" in str(dataset.problems[0])
    assert [image.name for image in dataset.images] == ["a.jpg"]


def test_rounding_at_the_border_is_no_problem(tmp_path):
    folder = write_coco(tmp_path, changed(annotations=[annotation(bbox=[30.0002, -0.0003, 10.0002, 30.0004])]))
    dataset = read_dataset(folder, strict=True)
    box = dataset.images[1].boxes[-1]
    assert (box.left + box.width, box.top) == (40, 0)


def test_an_area_is_never_more_than_what_is_left_of_the_box(tmp_path):
    folder = write_coco(tmp_path, changed(annotations=[annotation(bbox=[-5, 0, 10, 10], area=90)]))
    assert read_dataset(folder).images[1].boxes[-1].area == 50


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "lie too deeply within each other"),
        ("[]", "it has no list 'images'"),
        ('{"images": [], "annotations": {}}', "it has no list 'annotations'"),
        ('{"images": [], "annotations": []}', "it has no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "no image is left"),
        (json.dumps(CONTENT | {"annotations": []}), "no box is left"),
        (json.dumps(CONTENT | {"categories": []}), "no box is left after 5 problems: "),
    ],
)
def test_what_is_no_dataset_is_refused_in_a_line(tmp_path, content, text):
    write_coco(tmp_path, content)
    with pytest.raises(ValueError) as error:
        read_dataset(tmp_path)
    assert text in str(error.value) and "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_an_empty_folder_and_a_missing_one_are_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match="neither COCO JSON, in it or in annotations/, nor Pascal VOC XML below"):
        read_dataset(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder: give a COCO JSON file"):
        read_dataset(tmp_path / "nothing")
