"""YOLO's data.yaml and labels: read as tools write them, and written."""

import os

import numpy as np
import pytest
import yaml
from PIL import Image

from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.converting import write_yolo
from tests.support.small_coco import boxes, changed, picture, write_coco

LINES = "0 0.25 0.4 0.25 0.4\n1 0.5 0.5 1.0 1.0\n"  # on 40 x 30
BOXES = [(5, 6, 10, 12, "dog"), (0, 0, 40, 30, "cat")]


def write_yolo_folder(
    folder, description=None, parts=("train", "val"), images="images/{}", labels="labels/{}", text=LINES
):
    for seed, part in enumerate(parts):
        for place, name in ((images, "a.jpg"), (labels, "a.txt")):
            path = folder / place.format(part) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "a.jpg":
                picture(seed=seed).save(path)
            else:
                path.write_text(text)
    content = {part: images.format(part) for part in parts} | {"nc": 2, "names": ["dog", "cat"]} | (description or {})
    (folder / "data.yaml").write_text(yaml.safe_dump(content))
    return folder


def rounded(dataset):
    return [(*(round(value, 6) for value in box[1:5]), box[5]) for box in boxes(dataset)]


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"names": {0: "dog", 1: "cat"}},
        {"path": "."},
        {"path": "../datasets/mine"},
        {"path": "/content/drive/mine"},
        {"train": "../images/train", "val": "../images/val"},
        {"train": "C:\\mine\\images\\train", "val": "images\\val"},
        {"train": ["images/train"], "val": ["images/val"]},
        {"train": "/content/images/train", "val": "./images/val", "test": None},
    ],
)
def test_the_folders_that_data_yaml_names_are_found(tmp_path, description):
    folder = write_yolo_folder(tmp_path, description)
    for path in (folder, folder / "data.yaml"):
        parts = read_splits(path, strict=True)
        assert [rounded(part) for part in parts] == [BOXES, BOXES]
        assert [[image.name for image in part.images] for part in parts] == [
            ["images/train/a.jpg"],
            ["images/val/a.jpg"],
        ]
        assert parts[0].class_names == ("dog", "cat")


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("{}/images", "{}/labels"),
        ("images/{}", "images/{}"),
        ("{}/JPEGImages/x", "{}/labels/x"),
        ("images/{}/images", "images/{}/labels"),
    ],
)
def test_labels_lie_beside_the_images_or_in_a_folder_of_their_own(tmp_path, images, labels):
    parts = read_splits(write_yolo_folder(tmp_path, images=images, labels=labels), strict=True)
    assert [rounded(part) for part in parts] == [BOXES, BOXES]


def test_train_and_test_are_two_parts_valid_is_val_and_one_part_is_split(tmp_path):
    write_yolo_folder(tmp_path / "test", parts=("train", "test"))
    assert [len(part.images) for part in read_splits(tmp_path / "test", strict=True)] == [1, 1]
    write_yolo_folder(tmp_path / "valid", {"valid": "images/valid", "val": None}, parts=("train", "valid"))
    folder = write_yolo_folder(tmp_path / "one", parts=("train",))
    picture(seed=3).save(folder / "images" / "train" / "b.jpg")
    (folder / "labels" / "train" / "b.txt").write_text(LINES)
    assert [len(part.images) for part in read_splits(folder, strict=True)] == [1, 1]


def test_a_list_of_images_is_read(tmp_path):
    folder = write_yolo_folder(tmp_path, {"train": "train.txt", "val": "val.txt"})
    (folder / "train.txt").write_text("\ufeff./images/train/a.jpg\n\n", "utf-8")
    (folder / "val.txt").write_text("C:\\data\\images\\val\\a.jpg\r\nimages/val/b.jpg\n")
    train, validation = read_splits(folder)
    assert rounded(train) == rounded(validation) == BOXES and train.problems == ()
    kinds = {problem.kind for problem in validation.problems}
    assert kinds == {"name_differs", "missing_image", "no_labels"}


def test_polygons_have_boxes_and_rounding_is_none_of_a_problem(tmp_path):
    text = "0 0.125 0.2 0.375 0.2 0.375 0.6 0.125 0.6\n1 0.5 0.5000004 1.0 1.0\n"
    train, _ = read_splits(write_yolo_folder(tmp_path, text=text), strict=True)
    assert [(*(round(value, 3) for value in box[:4]), box[4]) for box in rounded(train)] == BOXES


# === What is wrong ===


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 0.2", "bad_label"),
        ("0 0.5 0.5 0.2 0.2 0.9", "bad_label"),
        ("dog 0.5 0.5 0.2 0.2", "bad_label"),
        ("0.5 0.5 0.5 0.2 0.2", "bad_label"),
        ("0 0.5 0.5 nan 0.2", "bad_label"),
        ("0 0.5 0.5 1e999 0.2", "bad_label"),
        ("\x1b[2J", "bad_label"),
        ("2 0.5 0.5 0.2 0.2", "unknown_category"),
        ("-1 0.5 0.5 0.2 0.2", "unknown_category"),
        ("0 320 240 100 80", "box_outside"),
        ("0 0.5 0.5 0 0.2", "zero_area"),
        ("0 0.5 0.5 -0.5 0.2", "negative_size"),
        ("0 0.9 0.5 0.5 0.2", "box_clipped"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_kept(tmp_path, line, kind):
    folder = write_yolo_folder(tmp_path)
    with open(folder / "labels" / "train" / "a.txt", "a") as file:
        file.write(line + "\n")
    train, _ = read_splits(folder)
    (problem,) = train.problems
    assert problem.kind == kind and "line 3" in problem.where and str(problem).isprintable()
    assert rounded(train)[:2] == BOXES


def test_what_has_no_partner_is_named(tmp_path):
    folder = write_yolo_folder(tmp_path)
    picture(seed=4).save(folder / "images" / "train" / "b.jpg")
    (folder / "labels" / "train" / "c.txt").write_text(LINES)
    train, _ = read_splits(folder)
    assert [str(problem) for problem in train.problems] == [
        "data.yaml: 1 image has no file of labels, and so shows nothing: 'images/train/b.jpg'",
        "data.yaml: 1 file of labels is of no image: 'labels/train/c.txt'",
    ]
    assert [len(image.boxes) for image in train.images] == [2, 0]


def test_an_image_whose_labels_are_unreadable_is_dropped(tmp_path):
    folder = write_yolo_folder(tmp_path)
    picture(seed=4).save(folder / "images" / "train" / "b.jpg")
    (folder / "labels" / "train" / "b.txt").write_bytes(b"\xff\xfe\x00")
    train, _ = read_splits(folder)
    assert [problem.kind for problem in train.problems] == ["bad_label", "no_box_left"]
    assert len(train.images) == 1


def test_fractions_of_a_turned_image_need_a_word(tmp_path):
    folder = write_yolo_folder(tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    picture((30, 40)).save(folder / "images" / "train" / "a.jpg", exif=exif)
    train, _ = read_splits(folder)
    assert [problem.kind for problem in train.problems] == ["turned_image"]
    assert train.images[0].boxes[1].width == 30
    assert read_splits(folder, exif="apply")[0].problems == ()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"names": None}, "its names are None: they must be a list"),
        ({"names": []}, "they must be a list of names"),
        ({"names": {0: "a", 2: "b"}}, "None among its names is none"),
        ({"names": ["a", True]}, "True among its names is none"),
        ({"names": ["a", " "]}, "' ' among its names is none"),
        ({"train": 5}, "its train is 5: it must be a folder"),
        ({"train": "elsewhere"}, "its train is 'elsewhere', which is not in"),
        ({"train": "../outside"}, "give the folder of the dataset"),
        ({"train": None, "val": None}, "it names no images"),
    ],
)
def test_what_is_wrong_with_data_yaml_is_said_in_a_line(tmp_path, change, text):
    (tmp_path / "outside").mkdir()
    folder = write_yolo_folder(tmp_path / "data", change)
    with pytest.raises(ValueError, match=r"data\.yaml") as error:
        read_splits(folder / "data.yaml")
    assert text in str(error.value) and "\n" not in str(error.value)


def test_names_that_are_there_twice_are_one_class(tmp_path):
    train, _ = read_splits(write_yolo_folder(tmp_path, {"names": ["dog", "dog"]}))
    assert train.class_names == ("dog",) and {box.category for image in train.images for box in image.boxes} == {0}
    assert [problem.kind for problem in train.problems] == ["duplicate_category_name"]


# === Writing ===


def test_what_is_written_is_read_again_the_same(tmp_path):
    dataset = read_dataset(write_coco(tmp_path / "coco"), strict=True)
    exif = Image.Exif()
    exif[274] = 6
    pixels = np.asarray(picture((30, 40)))
    Image.fromarray(pixels).save(tmp_path / "coco" / "images" / "b.jpg", exif=exif)
    dataset = read_dataset(tmp_path / "coco", strict=True)
    file = write_yolo({"train": dataset, "val": dataset}, tmp_path / "yolo")
    again, held_out = read_splits(tmp_path / "yolo", strict=True, exif="apply")
    assert rounded(again) == rounded(held_out)
    assert again.class_names == ("cat", "dog") and len(again.images) == 3
    assert [(*(round(value, 4) for value in box[:4]), box[4]) for box in rounded(again)] == [
        (5, 6, 10, 12.5, "dog"),
        rounded(dataset)[2],
    ]  # a crowd is none of YOLO's boxes
    assert again.images[1].path.read_bytes() == dataset.images[1].path.read_bytes()
    assert read_dataset(file, exif="apply").class_names == ("cat", "dog")
    with pytest.raises(ValueError, match="is there: choose another folder"):
        write_yolo({"train": dataset}, tmp_path / "yolo")
    with pytest.raises(ValueError, match="nothing to write"):
        write_yolo({}, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_equal_names_and_hostile_ones_stay_in_the_folder(tmp_path):
    content = changed()
    for number, name in enumerate(["one/a.jpg", "two/a.jpg", "A.png"]):
        content["images"][number]["file_name"] = name
    folder = write_coco(tmp_path / "coco", content)
    for name in ("one/a.jpg", "two/a.jpg", "A.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        picture(seed=5).save(folder / name)
    write_yolo({"train": read_dataset(folder, strict=True)}, tmp_path / "yolo")
    assert sorted(os.listdir(tmp_path / "yolo" / "images" / "train")) == ["A-3.png", "a-2.jpg", "a.jpg"]
    assert len(read_dataset(tmp_path / "yolo", strict=True).images) == 3


def test_data_yaml_may_have_another_name_and_is_chosen_among_several(tmp_path):
    folder = write_yolo_folder(tmp_path)
    (folder / "other.yaml").write_text("names: [x]\ntrain: images/train\n")
    assert read_splits(folder)[0].class_names == ("dog", "cat")
    (folder / "data.yaml").rename(folder / "mine.yml")
    with pytest.raises(ValueError, match=r"has other.yaml and mine.yml: give one of them"):
        read_splits(folder)
    (folder / "other.yaml").write_text("settings: [")
    assert read_splits(folder)[0].class_names == ("dog", "cat")
