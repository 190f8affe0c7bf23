"""Pascal VOC: what is read, and what is named as broken."""

import numpy as np
import pytest

from keras_nasnet.detection.data.annotations import read_dataset
from keras_nasnet.detection.data.dataset import KINDS
from tests.support.damage import damaged
from tests.support.small_coco import boxes
from tests.support.small_voc import VOC, VOC_BOXES, write_voc


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
    assert {problem.kind for problem in dataset.problems} == {kind} | ({"no_box_left"} if left == 0 else set())
    assert text in str(dataset.problems[0]) and "\n" not in str(dataset.problems[0])
    assert [len(image.boxes) for image in dataset.images] == ([2, left] if left else [2])
    with pytest.raises(ValueError, match="problem"):
        read_dataset(tmp_path, strict=True)


def test_damaged_voc_files_are_read_or_named(tmp_path):
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "b.xml"
    whole, random = path.read_bytes(), np.random.default_rng(0)
    kinds = set()
    for round_ in range(600):
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
