"""Datasets as tools lay them out, in folders, files and lists: each part has its own images."""

import json

import pytest

from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.names import part_of
from tests.support.small_coco import CONTENT, annotation, picture
from tests.support.small_voc import VOC, write_voc


def part(folder, json_name, images, names, seed=0):
    """COCO annotations of images of these names."""
    (folder / images).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture(seed=seed + number).save(folder / images / name)
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": CONTENT["categories"],
        "annotations": [annotation(id=number, image_id=number) for number in range(len(names))],
    }
    (folder / json_name).parent.mkdir(parents=True, exist_ok=True)
    (folder / json_name).write_text(json.dumps(content))


def paths(parts, folder):
    return [[image.path.relative_to(folder).as_posix() for image in one.images] for one in parts]


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (("train.json", "images"), ("val.json", "images")),
        (("train.json", "train"), ("val.json", "val")),
        (("train.json", "deep/train"), ("valid.json", "deep/valid")),
        (("annotations/train.json", "images/train"), ("annotations/val.json", "images/val")),
        (("annotations/train.json", "images/train2017"), ("annotations/val.json", "images/validation")),
        (("annotations/instances_Train.json", "images/Train"), ("annotations/instances_Val.json", "images/Val")),
        (("Annotations/instances_Train.json", "images"), ("Annotations/instances_Validation.json", "images")),
        (("train/_annotations.coco.json", "train"), ("valid/_annotations.coco.json", "valid")),
        (("train/_annotations.coco.json", "train"), ("test/_annotations.coco.json", "test")),
        (("train/annotations/any.json", "train/images"), ("val/annotations/any.json", "val/images")),
        (("train_annotations.json", "photos"), ("test_annotations.json", "photos")),
        (("labels/coco_train.json", "images"), ("labels/coco_val.json", "images")),
    ],
)
def test_coco_in_two_parts(tmp_path, train, validation):
    same = train[1] != validation[1]  # equal names where each part has a folder of its own
    names = ["0.jpg", "1.jpg"] if same else ["2.jpg"]
    part(tmp_path, *train, ["0.jpg", "1.jpg"])
    part(tmp_path, *validation, names, seed=5)
    (tmp_path / "labels.txt").write_text("cat\n")
    parts = read_splits(tmp_path, strict=True)
    assert paths(parts, tmp_path) == [
        [f"{train[1]}/0.jpg", f"{train[1]}/1.jpg"],
        [f"{validation[1]}/{name}" for name in names],
    ]


def test_roboflow_s_three_parts_are_train_and_valid(tmp_path):
    for seed, name in enumerate(("train", "valid", "test")):
        part(tmp_path, f"{name}/_annotations.coco.json", name, ["0.jpg"], seed)
    assert paths(read_splits(tmp_path, strict=True), tmp_path) == [["train/0.jpg"], ["valid/0.jpg"]]
    assert paths([read_dataset(tmp_path / "test", strict=True)], tmp_path) == [["test/0.jpg"]]
    with pytest.raises(ValueError, match=r"has the parts test, train, valid: give one of them"):
        read_dataset(tmp_path)


def test_cvat_s_one_file(tmp_path):
    part(tmp_path, "annotations/instances_default.json", "images/default", [f"{number}.jpg" for number in range(5)])
    train, validation = read_splits(tmp_path, strict=True)
    assert (len(train.images), len(validation.images)) == (4, 1)
    assert len(read_dataset(tmp_path / "annotations", strict=True).images) == 5


def test_an_image_that_its_part_lacks_is_not_taken_from_another(tmp_path):
    part(tmp_path, "annotations/train.json", "images/train", ["0.jpg", "1.jpg"])
    part(tmp_path, "annotations/val.json", "images/val", ["0.jpg", "1.jpg"])
    (tmp_path / "images" / "val" / "1.jpg").unlink()
    train, validation = read_splits(tmp_path)
    assert paths([train, validation], tmp_path) == [["images/train/0.jpg", "images/train/1.jpg"], ["images/val/0.jpg"]]
    assert [problem.kind for problem in validation.problems] == ["missing_image"]


def test_a_part_without_a_folder_of_its_own_may_have_its_images_in_another_s(tmp_path):
    part(tmp_path, "train.json", "train", ["0.jpg"])
    part(tmp_path, "val.json", "train", ["1.jpg"])
    assert paths(read_splits(tmp_path, strict=True), tmp_path) == [["train/0.jpg"], ["train/1.jpg"]]


def test_two_files_of_a_part_are_not_guessed_between(tmp_path):
    for name in ("train", "train_2", "val"):
        part(tmp_path, f"{name}.json", "images", ["0.jpg"])
    with pytest.raises(ValueError, match=r"has train.json and train_2.json: give one of them"):
        read_splits(tmp_path)
    (tmp_path / "train_2.json").write_text("{}")  # settings of something
    assert len(read_splits(tmp_path)) == 2


def test_parts_go_by_whole_words():
    named = {
        "train": "train.json Train2017 images_train instances_train2014.json train_list.txt training",
        "val": "val.json valid Validation instances_val2017.json minival val_images",
        "test": "test testing.json test_annotations.coco.json",
        "trainval": "trainval.txt",
        None: "strain trains_of_1900 default photos cat_train.txt _annotations.coco.json evaluation",
    }
    for expected, names in named.items():
        assert {name: part_of(name) for name in names.split()} == dict.fromkeys(names.split(), expected)


def test_the_folder_that_an_archive_made_around_a_dataset_is_looked_into(tmp_path):
    for name in ("train", "val"):
        part(tmp_path / "coco" / "mine-1", f"annotations/instances_{name}.json", f"images/{name}", ["0.jpg"])
    (tmp_path / "coco" / "__MACOSX").mkdir()
    assert len(read_splits(tmp_path / "coco", strict=True)) == 2
    listed(tmp_path / "kit" / "VOC2007", "ab", {"train": ["a"], "val": ["b"]})
    assert stems(read_splits(tmp_path / "kit", strict=True)) == [["a"], ["b"]]
    write_voc(tmp_path / "plain" / "photos", xml=".", images=".")
    assert [image.name for image in read_dataset(tmp_path / "plain").images] == ["photos/a.jpg", "photos/b.jpg"]


# === Pascal VOC ===


@pytest.mark.parametrize("images", ["Images", "imgs", "JPEGImages", "img", "photos/2020", "."])
def test_voc_images_are_found_in_any_folder(tmp_path, images):
    dataset = read_dataset(write_voc(tmp_path, images=images), strict=True)
    assert [image.path for image in dataset.images] == [tmp_path / images / name for name in ("a.jpg", "b.jpg")]


@pytest.mark.parametrize(
    ("xml", "images"),
    [
        ("annotations/{}", "images/{}"),
        ("{}/annotations", "{}/images"),
        ("Annotations/{}/x", "JPEGImages/{}/x"),
        ("{}", "{}"),
        ("labels/{}", "photos/{}"),
    ],
)
def test_voc_in_two_parts_with_equal_names(tmp_path, xml, images):
    for name in ("train", "val"):
        write_voc(tmp_path, xml=xml.format(name), images=images.format(name))
    parts = read_splits(tmp_path, strict=True)
    expected = [[f"{images.format(name)}/{file}" for file in ("a.jpg", "b.jpg")] for name in ("train", "val")]
    assert paths(parts, tmp_path) == expected
    assert [[image.name for image in part.images] for part in parts] == expected
    assert len(read_dataset(tmp_path, strict=True).images) == 4


def test_a_folder_of_annotations_alone_is_of_the_dataset_above(tmp_path):
    write_voc(tmp_path / "flat")
    dataset = read_dataset(tmp_path / "flat" / "Annotations", strict=True)
    assert [image.name for image in dataset.images] == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]
    for name in ("train", "val"):
        write_voc(tmp_path / "parts", xml=f"annotations/{name}", images=f"images/{name}")
    dataset = read_dataset(tmp_path / "parts" / "annotations" / "val", strict=True)
    assert [image.name for image in dataset.images] == ["images/val/a.jpg", "images/val/b.jpg"]
    train, validation = read_splits(
        tmp_path / "parts" / "annotations" / "train", validation=tmp_path / "parts" / "annotations" / "val", strict=True
    )
    assert {image.path.parent.name for image in train.images} == {"train"}
    assert {image.path.parent.name for image in validation.images} == {"val"}


def test_pictures_beside_the_xml_are_not_all_images_of_it(tmp_path):
    folder = write_voc(tmp_path, VOC.replace("{filename}", "IMG_0001.JPG"), images="photos")
    picture().save(folder / "Annotations" / "drawn.png")
    dataset = read_dataset(folder, strict=True)
    assert [image.name for image in dataset.images] == ["photos/a.jpg", "photos/b.jpg"]


def test_a_voc_file_name_of_windows_is_read_and_said(tmp_path):
    folder = write_voc(tmp_path, VOC.replace("{filename}", "C:\\photos\\{filename}"))
    dataset = read_dataset(folder)
    assert [image.path.name for image in dataset.images] == ["a.jpg", "b.jpg"]


def test_hidden_xml_of_a_mac_is_left_alone(tmp_path):
    folder = write_voc(tmp_path)
    (folder / "Annotations" / "._a.xml").write_bytes(b"\0\5\x16\7")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "a.xml").write_bytes(b"\0\5\x16\7")
    assert len(read_dataset(folder, strict=True).images) == 2


# === Lists ===


def listed(folder, names, lists, place="ImageSets/Main", encoding="utf-8"):
    write_voc(folder, names=names)
    (folder / place).mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        (folder / place / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding)
    return folder


def stems(parts):
    return [[image.path.stem for image in part.images] for part in parts]


NAMES = ["b0", "b1", "my photo 2", "my photo 3"]
PADDLE = [f"JPEGImages/{name}.jpg Annotations/{name}.xml" for name in NAMES]


@pytest.mark.parametrize(
    ("train", "val", "place"),
    [
        (["b0", "my photo 2"], ["b1", "my photo 3"], "ImageSets/Main"),
        (["b0  1", "my photo 2 -1"], ["b1 0", "my photo 3  1"], "ImageSets/Main"),
        (["b0.jpg", " my photo 2.jpg\r"], ["b1.xml", "my photo 3.JPG"], "ImageSets"),
        (["JPEGImages/b0.jpg", "./JPEGImages/my photo 2.jpg"], ["Annotations\\b1.xml", "x/my photo 3"], "."),
        ([PADDLE[0], PADDLE[2]], [PADDLE[1].replace(" ", "\t"), PADDLE[3]], "."),
        ([PADDLE[0].replace("/", "\\"), PADDLE[2]], [PADDLE[1], PADDLE[3]], "."),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_of_lists_name_images_as_people_write_them(tmp_path, train, val, place, encoding):
    folder = listed(tmp_path, NAMES, {"train": train, "val": val}, place, encoding)
    parts = read_splits(folder, strict=True)
    assert stems(parts) == [["b0", "my photo 2"], ["b1", "my photo 3"]]
    assert parts[0].problems == ()


def test_a_list_in_a_code_page_of_windows_is_read(tmp_path):
    folder = listed(tmp_path, ["café", "b"], {"train": ["café"], "val": ["b"]}, encoding="cp1252")
    assert stems(read_splits(folder, strict=True)) == [["café"], ["b"]]


def test_a_name_with_a_number_behind_it_is_not_taken_for_a_flag(tmp_path):
    folder = listed(tmp_path, ["p", "p 1", "q"], {"train": ["p 1"], "val": ["q 1", "p"]})
    assert stems(read_splits(folder, strict=True)) == [["p 1"], ["p", "q"]]


def test_trainval_and_test_are_two_parts_and_train_and_val_come_first(tmp_path):
    lists = {"trainval": ["a", "b"], "test": ["c"]}
    assert stems(read_splits(listed(tmp_path, "abc", lists), strict=True)) == [["a", "b"], ["c"]]
    listed(tmp_path, "abc", {"train": ["a"], "val": ["b"]})
    parts = read_splits(tmp_path, strict=True)
    assert stems(parts) == [["a"], ["b"]] and parts[0].problems == ()  # c is listed too


def test_lines_that_name_nothing_are_a_problem(tmp_path):
    folder = listed(tmp_path, "abc", {"train": ["a", "x", "y z"], "val": ["b", "a"]})
    problems = {problem.kind: str(problem) for problem in read_splits(folder)[0].problems}
    assert problems == {
        "bad_list": "train.txt: 2 lines name no image of the dataset, or several: 'x', 'y z'",
        "in_two_parts": "train.txt: 1 image is in val.txt too, and so no measure: 'a.jpg'",
        "unlisted_image": "Main: 1 image is in no list: left out: 'c.jpg'",
    }
    with pytest.raises(ValueError, match="2 lines name no image"):
        read_splits(folder, strict=True)


def test_a_line_that_names_a_dropped_image_is_no_problem_of_the_list(tmp_path):
    folder = listed(tmp_path, "abc", {"train": ["a", "b"], "val": ["c"]})
    (folder / "JPEGImages" / "b.jpg").unlink()
    parts = read_splits(folder)
    assert stems(parts) == [["a"], ["c"]]
    assert [problem.kind for problem in parts[0].problems] == ["missing_image"]
