"""Annotations: what is read, what is named as broken, and what is held out."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damage import damaged
from detection.small_coco import CONTENT, changed, picture, write_coco
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_nasnet.detection.annotations import DetectionDataset, read_dataset, read_splits, split
from keras_nasnet.detection.dataset import KINDS


def boxes(dataset):
    return [
        (image.name, box.left, box.top, box.width, box.height, dataset.class_names[box.category])
        for image in dataset.images
        for box in image.boxes
    ]


SOUND = [("a.jpg", 5, 6, 10, 12.5, "dog"), ("a.jpg", 0, 0, 40, 30, "cat"), ("b.jpg", 1, 2, 3, 4, "cat")]


# === COCO ===


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


def test_exif_orientation_is_not_applied(tmp_path):
    write_coco(tmp_path)
    exif = Image.Exif()
    exif[274] = 6  # lies on its side
    picture().save(tmp_path / "images" / "a.jpg", exif=exif)
    dataset = read_dataset(tmp_path, strict=True)
    assert (dataset.images[0].width, dataset.images[0].height) == (40, 30)


def test_an_image_that_was_annotated_upright_and_lies_on_its_side_is_named(tmp_path):
    folder = write_coco(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    picture((30, 40)).save(folder / "images" / "a.jpg", exif=exif)  # upright it is 40 x 30, as annotated
    problem = read_dataset(folder).problems[0]
    assert problem.kind == "size_differs"
    assert str(problem).endswith("the file's size counts (swapped: its EXIF orientation, which is not applied?)")


def test_classes_of_a_model_count_the_boxes(tmp_path):
    dataset = read_dataset(write_coco(tmp_path), class_names=["dog", "bird"])
    assert boxes(dataset) == SOUND[:1]
    assert (dataset.class_names, dataset.category_ids) == (("dog", "bird"), (7, "bird"))
    assert [problem.kind for problem in dataset.problems] == ["unknown_category"] * 2
    assert "'cat', which is none of the 2 classes" in str(dataset.problems[0])


# === What is broken ===


def annotation(**changes):
    return {"id": 9, "image_id": 20, "category_id": 3, "bbox": [1, 1, 5, 5], "iscrowd": 0} | changes


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
        "image 40 ('text.jpg'): not an image (JPEG, PNG, WebP, BMP or GIF): dropped with its boxes",
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
    voc = {"bad_xml", "missing_bndbox", "missing_size"}
    assert {kind for _, kind, _, _ in BROKEN.values()} | voc == set(KINDS)


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
        ("[" * 100_000, "nested too deep"),
        ("[]", "it has no list 'images'"),
        ('{"images": [], "annotations": {}}', "it has no list 'annotations'"),
        ('{"images": [], "annotations": []}', "it has no list 'categories'"),
        ('{"images": [], "annotations": [], "categories": []}', "no image is left"),
        (json.dumps(CONTENT | {"annotations": []}), "no box is left"),
        (json.dumps(CONTENT | {"categories": []}), "no box is left after 3 problems: "),
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


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 60)
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.sampled_from([10, 20, 3, 7, "a.jpg", "../images/b.jpg", "\0", "x" * 300, 10**400, [1, 1, 5, 5]]),
    lambda value: (
        st.lists(value, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "bbox", "name", "file_name"]), value, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def mangled(draw):
    """The sound content with some values, at any depth, replaced, removed or doubled."""
    content = copy.deepcopy(CONTENT)
    for _ in range(draw(st.integers(1, 6))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            change = draw(st.sampled_from(["replace", "replace", "remove", "double"]))
            if change == "replace":
                place[key] = draw(ANYTHING)
            elif change == "remove":
                del place[key]
            elif isinstance(place, list):
                place.append(copy.deepcopy(place[key]))
            break
    return content


@pytest.fixture(scope="module")
def mangled_folder(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("mangled"))


@given(content=mangled())
def test_mangled_json_gives_a_sound_dataset_or_one_line(mangled_folder, content):
    (mangled_folder / "annotations_coco.json").write_text(json.dumps(content))
    try:
        dataset = read_dataset(mangled_folder)
    except ValueError as error:
        assert "\n" not in str(error) and not isinstance(error, UnicodeError)
        return
    assert dataset.class_names and len(set(dataset.class_names)) == len(dataset.class_names)
    assert all(problem.kind in KINDS and "\n" not in str(problem) for problem in dataset.problems)
    for image in dataset.images:
        for box in image.boxes:
            assert 0 <= box.left < box.left + box.width <= image.width + 1e-9
            assert 0 <= box.top < box.top + box.height <= image.height + 1e-9
            assert 0 <= box.category < len(dataset.class_names)
            assert 0 < box.area <= box.width * box.height


@given(content=ANYTHING)
def test_any_json_is_refused_in_a_line(mangled_folder, content):
    (mangled_folder / "annotations_coco.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="not COCO JSON"):
        read_dataset(mangled_folder)


# === Pascal VOC ===

VOC = """<annotation>
  <filename>{filename}</filename>
  <size><width>40</width><height>30</height><depth>3</depth></size>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>3</ymin><xmax>40</xmax><ymax>30</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>2</xmin><ymin>4</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></part>
  </object>
  <object><name> cat </name>
    <bndbox><xmin>5.5</xmin><ymin>1</ymin><xmax>5.5</xmax><ymax>2</ymax></bndbox></object>
</annotation>
"""
VOC_BOXES = [(0, 2, 40, 28, "dog"), (4.5, 0, 1, 2, "cat")]


def write_voc(folder, text=VOC, xml="Annotations", images="JPEGImages", names="ab"):
    for place in (xml, images):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        picture(seed=seed).save(folder / images / f"{name}.jpg")
        (folder / xml / f"{name}.xml").write_text(text.replace("{filename}", f"{name}.jpg"))
    return folder


@pytest.mark.parametrize(
    ("xml", "images"), [("Annotations", "JPEGImages"), (".", "."), (".", "images"), ("labels", "images"), ("x/y", ".")]
)
def test_a_voc_folder_is_read(tmp_path, xml, images):
    dataset = read_dataset(write_voc(tmp_path, xml=xml, images=images), strict=True)
    assert dataset.class_names == dataset.category_ids == ("cat", "dog")
    assert [found[1:] for found in boxes(dataset)] == VOC_BOXES * 2
    assert [(image.id, image.path) for image in dataset.images] == [
        (1, tmp_path / images / "a.jpg"),
        (2, tmp_path / images / "b.jpg"),
    ]


def test_voc_names_do_not_depend_on_where_the_folder_is(tmp_path):
    names = [
        [image.name for image in read_dataset(write_voc(tmp_path / place)).images] for place in ("one", "two/deeper")
    ]
    assert names[0] == names[1] == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]


def test_a_voc_file_whose_image_was_renamed_goes_by_its_own_name(tmp_path):
    folder = write_voc(tmp_path, VOC.replace("{filename}", "IMG_0001.JPG"))
    assert [image.path.name for image in read_dataset(folder, strict=True).images] == ["a.jpg", "b.jpg"]


LAUGHS = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]>'

# A change of one file's text; the kind that is named, what its line says, and how many of its boxes are left.
BROKEN_VOC = {
    "cut off": ((VOC, VOC[:200]), "bad_xml", "Annotations/b.xml: not XML (", None),
    "something else": ((VOC, "<html/>"), "bad_xml", "is <html>, not <annotation>: dropped", None),
    "empty": ((VOC, ""), "bad_xml", "not XML (no element found", None),
    "document type": (("<annotation>", f"{LAUGHS}<annotation>&y;"), "bad_xml", "(DOCTYPE), which is refused", None),
    "unknown encoding": (("<annotation>", '<?xml version="1.0" encoding="klingon"?><annotation>'), "bad_xml", "", None),
    "no size": (("<size>", "<size><!--"), "bad_xml", "not XML", None),
    "size": (("<height>30</height>", ""), "missing_size", "has no size of width and height", 2),
    "another size": (("<width>40<", "<width>forty<"), "size_differs", "is 40 x 30, not 'forty' x 30 as", 2),
    "no bndbox": (("bndbox", "box"), "missing_bndbox", "b.xml, object 1: has no bndbox: dropped", 0),
    "half a bndbox": (("<xmin>1</xmin>", ""), "bad_coordinate", "object 1 ('dog'): bbox is [None, 3, 40, 30]", 1),
    "text": (("<xmin>1<", "<xmin>one<"), "bad_coordinate", "object 1 ('dog'): bbox is ['one', 3, 40, 30]", 1),
    "infinite": (("<xmax>40<", "<xmax>inf<"), "bad_coordinate", "not all are finite numbers: dropped", 1),
    "turned": (("<xmax>40<", "<xmax>-3<"), "negative_size", "object 1 ('dog'): box of -3 x 28 pixels", 1),
    "flat": (("<xmax>40<", "<xmax>0<"), "zero_area", "box of 0 x 28 pixels at (0, 2) has no area", 1),
    "counted from 0": (("<xmin>1<", "<xmin>0<"), "box_clipped", "box of 41 x 28 pixels at (-1, 2) is partly", 2),
    "no name": (("<name> cat </name>", ""), "unknown_category", "object 2: has no name: dropped", 1),
    "no image": (("b.jpg", "a.jpg"), "duplicate_file_name", "Annotations/b.xml: is of the same file as", None),
}


@pytest.mark.parametrize("name", BROKEN_VOC)
def test_what_is_broken_in_voc_is_named_and_the_rest_is_kept(tmp_path, name):
    change, kind, text, left = BROKEN_VOC[name]
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "b.xml"
    path.write_text(path.read_text().replace(change[0].replace("{filename}", "b.jpg"), change[1]))
    dataset = read_dataset(tmp_path)
    assert {problem.kind for problem in dataset.problems} == {kind}
    assert text in str(dataset.problems[0]) and "\n" not in str(dataset.problems[0])
    assert [len(image.boxes) for image in dataset.images] == ([2] if left is None else [2, left])
    with pytest.raises(ValueError, match="problem"):
        read_dataset(tmp_path, strict=True)


def test_damaged_voc_files_are_read_or_named(tmp_path):
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "b.xml"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    kinds = set()
    for round_ in range(300):
        content = bytearray(whole)
        content[random.integers(len(whole))] = random.choice(list(b"0159.-<>/ en&"))  # what XML may hold
        path.write_bytes(bytes(content) if round_ % 3 else damaged(whole, random))
        dataset = read_dataset(tmp_path)
        assert all(problem.kind in KINDS and "\n" not in str(problem) for problem in dataset.problems)
        assert len(dataset.images) == 1 or len(dataset.images[1].boxes) <= 2
        kinds |= {problem.kind for problem in dataset.problems}
    assert kinds >= {"bad_xml", "bad_coordinate", "negative_size", "size_differs", "box_clipped"}, kinds


def test_a_missing_and_a_broken_voc_image_are_named(tmp_path):
    write_voc(tmp_path, names="abc")
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    (tmp_path / "JPEGImages" / "b.jpg").write_bytes(b"\xff\xd8\xff")
    dataset = read_dataset(tmp_path)
    assert [(problem.kind, problem.where) for problem in dataset.problems] == [
        ("missing_image", "Annotations/a.xml"),
        ("broken_image", "Annotations/b.xml"),
    ]
    assert len(dataset.images) == 1


# === What is held out ===


def many(folder, number, order=1):
    write_coco(folder, {**CONTENT, "images": [], "annotations": []})
    content = {**CONTENT, "images": [], "annotations": []}
    for index in list(range(number))[::order]:
        picture((8, 8)).save(folder / "images" / f"{index}.png")
        content["images"].append({"id": index, "file_name": f"{index}.png"})
        content["annotations"].append(annotation(id=index, image_id=index))
    (folder / "annotations_coco.json").write_text(json.dumps(content))
    return folder


def names(dataset):
    return [image.name for image in dataset.images]


def test_a_fifth_is_held_out_whatever_the_order_and_the_place(tmp_path):
    train, validation = read_splits(many(tmp_path / "one", 25))
    assert len(train.images) == 20 and len(validation.images) == 5
    assert sorted(names(train) + names(validation)) == sorted(f"{index}.png" for index in range(25))
    again = read_splits(many(tmp_path / "other", 25, order=-1))[1]
    assert set(names(again)) == set(names(validation))
    assert names(validation) == sorted(names(validation), key=lambda name: int(name[:-4]))
    other = read_splits(tmp_path / "one", seed=1)[1]
    assert set(names(other)) != set(names(validation))
    assert len(read_splits(tmp_path / "one", fraction=0.5)[1].images) == 12


def test_one_image_at_least_is_on_either_side(tmp_path):
    dataset = read_dataset(write_coco(tmp_path))
    assert [len(part.images) for part in split(dataset, 0.01)] == [2, 1]
    assert [len(part.images) for part in split(dataset, 0.99)] == [1, 2]
    with pytest.raises(ValueError, match="fraction is 1: it must be between 0 and 1"):
        split(dataset, 1)
    with pytest.raises(ValueError, match="one image: none can be held out"):
        split(DetectionDataset(dataset.class_names, dataset.category_ids, dataset.images[:1]))


OTHER = {
    "images": [{"id": 1, "file_name": "c.jpg"}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cow"}],
    "annotations": [annotation(image_id=1, category_id=1), annotation(id=2, image_id=1, category_id=2)],
}


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (("annotations/instances_train.json", "train"), ("annotations/instances_val.json", "val")),
        (("annotations/instances_train2017.json", "images"), ("annotations/instances_val2017.json", "images")),
        (("train/_annotations.coco.json", "train"), ("valid/_annotations.coco.json", "valid")),
        (("train/any.json", "train/images"), ("val/any.json", "val/images")),
    ],
)
def test_a_coco_dataset_in_two_parts_is_taken_as_it_is(tmp_path, train, validation):
    write_coco(tmp_path, json_name=train[0], images=train[1])
    write_coco(tmp_path, OTHER, *validation)
    first, second = read_splits(tmp_path)
    assert boxes(first) == SOUND and first.problems == ()
    assert second.class_names == first.class_names == ("cat", "dog")
    assert boxes(second) == [("c.jpg", 1, 1, 5, 5, "dog")]  # 1 there, 7 here
    assert "'cow', which is none of the 2 classes" in str(second.problems[0])
    with pytest.raises(ValueError, match="'cow'"):
        read_splits(tmp_path, strict=True)


def test_two_training_sets_are_not_guessed_between(tmp_path):
    for name in ("train2014", "train2017", "val2017"):
        write_coco(tmp_path, json_name=f"annotations/instances_{name}.json", images=name)
    with pytest.raises(ValueError, match=r"instances_train2014.json and instances_train2017.json: give one"):
        read_splits(tmp_path)


def test_validation_may_be_given_and_may_be_the_same(tmp_path):
    folder = write_coco(tmp_path / "data")
    train, validation = read_splits(folder, validation=folder)
    assert boxes(train) == boxes(validation) == SOUND
    write_coco(tmp_path / "other", OTHER)
    assert boxes(read_splits(folder, validation=tmp_path / "other")[1]) == [("c.jpg", 1, 1, 5, 5, "dog")]


def test_voc_in_two_folders_and_voc_with_lists(tmp_path):
    write_voc(tmp_path / "two" / "train")
    write_voc(tmp_path / "two" / "validation", names="c")
    parts = read_splits(tmp_path / "two", strict=True)
    assert [[image.path.name for image in part.images] for part in parts] == [["a.jpg", "b.jpg"], ["c.jpg"]]
    write_voc(tmp_path / "lists", names="abcd")
    lists = tmp_path / "lists" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("b\nd  1\n")
    (lists / "val.txt").write_text("a\n\n")
    parts = read_splits(tmp_path / "lists", strict=True)
    assert [[image.path.name for image in part.images] for part in parts] == [["b.jpg", "d.jpg"], ["a.jpg"]]
    (lists / "val.txt").write_text("z\n")
    with pytest.raises(ValueError, match=r"val.txt names none of the dataset's 4 images"):
        read_splits(tmp_path / "lists")


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
        "import sys; from keras_nasnet.detection.annotations import read_splits; read_splits(sys.argv[1]); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
