"""Annotations may come from anyone: no file outside of the dataset is read, and nothing hangs or fills the memory."""

import json
import os
from pathlib import Path

import pytest
import yaml

from keras_nasnet.common import limits
from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.finder import Folder
from tests.support.small_coco import CONTENT, changed, picture, write_coco
from tests.support.small_voc import VOC, write_voc


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "home" / "secret.jpg"
    path.parent.mkdir()
    picture(seed=9).save(path)
    return path


def names_of(folder, name):
    content = changed()
    content["images"][1]["file_name"] = name
    return write_coco(folder, content)


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "../../home/secret.jpg", "images/../../../home/secret.jpg", "..\\..\\home\\secret.jpg"]
)
def test_no_name_leads_outside(tmp_path, secret, form):
    folder = names_of(tmp_path / "data" / "set", form.format(secret))
    dataset = read_dataset(folder)
    assert [image.name for image in dataset.images] == ["a.jpg", "c.jpg"]
    assert [problem.kind for problem in dataset.problems] == ["missing_image"]
    found = read_dataset(folder / "annotations_coco.json", images=tmp_path)  # the user's word
    assert secret in [image.path for image in found.images]


def test_an_absolute_path_into_the_dataset_is_as_good_as_any(tmp_path):
    folder = names_of(tmp_path / "data", str(tmp_path / "data" / "images" / "b.jpg"))
    assert len(read_dataset(folder, strict=True).images) == 3


def test_links_that_lead_outside_are_not_followed_unless_the_folder_is_the_user_s(tmp_path, secret):
    folder = write_coco(tmp_path / "data")
    (folder / "images" / "b.jpg").unlink()
    (folder / "images" / "b.jpg").symlink_to(secret)
    dataset = read_dataset(folder)
    assert [image.name for image in dataset.images] == ["a.jpg", "c.jpg"]
    assert "images/b.jpg leads outside or cannot be read: give the folder of images (--images)" in str(
        dataset.problems[0]
    )
    assert len(read_dataset(folder, images=folder, strict=True).images) == 3


def test_a_linked_folder_of_images_needs_a_word_and_loops_end(tmp_path):
    folder = write_coco(tmp_path / "data")
    (folder / "images").rename(tmp_path / "photos")
    (folder / "images").symlink_to(tmp_path / "photos")
    (tmp_path / "photos" / "again").symlink_to(folder)
    with pytest.raises(
        ValueError, match=r"where images leads outside or cannot be read: give the folder of images \(--images\)"
    ):
        read_dataset(folder)
    for images in (folder, folder / "images", tmp_path / "photos"):
        assert len(read_dataset(folder, images=images, strict=True).images) == 3


def test_links_within_the_dataset_and_a_link_to_it_are_followed(tmp_path):
    folder = write_coco(tmp_path / "real", images="pictures")
    (folder / "images").symlink_to("pictures")
    (tmp_path / "link").symlink_to(folder)
    assert len(read_dataset(tmp_path / "link", strict=True).images) == 3


def test_no_xml_leads_outside(tmp_path, secret):
    folder = write_voc(tmp_path / "data", VOC.replace("{filename}", str(secret)))
    assert [image.path.name for image in read_dataset(folder).images] == ["a.jpg", "b.jpg"]  # by the names of the XML
    (folder / "JPEGImages" / "b.jpg").unlink()
    assert [image.path.name for image in read_dataset(folder).images] == ["a.jpg"]


def test_no_yaml_leads_outside(tmp_path, secret):
    folder = tmp_path / "data"
    (folder / "labels").mkdir(parents=True)
    (folder / "list.txt").write_text(f"{secret}\n../home/secret.jpg\n")
    for place in (str(secret.parent), "../home", "list.txt"):
        (folder / "data.yaml").write_text(yaml.safe_dump({"names": ["cat"], "train": place, "val": place}))
        with pytest.raises(ValueError, match=r"which is not in|no image is left") as error:
            read_splits(folder)
        assert "\n" not in str(error.value)


def test_unreadable_and_endless_folders_end(tmp_path):
    deep = tmp_path
    for _ in range(limits.FOLDER_DEPTH + 3):
        deep = deep / "d"
    deep.mkdir(parents=True)
    (deep / "a.jpg").write_bytes(b"")
    folder = Folder(tmp_path)
    assert folder.tails.paths == [] and len(folder.skipped) == 1


# === Pipes, bombs, giants ===


def pipe(path):
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", ["coco.json", "data.yaml"])
def test_a_pipe_is_no_file(tmp_path, name):
    with pytest.raises(ValueError, match="a pipe or a device, not a file"):
        read_dataset(pipe(tmp_path / name))
    with pytest.raises(ValueError, match=r"no dataset|a pipe or a device"):
        read_dataset(tmp_path)


def test_pipes_among_images_labels_and_xml_hang_nothing(tmp_path):
    folder = names_of(tmp_path / "coco", "pipe.jpg")
    pipe(folder / "images" / "pipe.jpg")
    assert [image.name for image in read_dataset(folder).images] == ["a.jpg", "c.jpg"]
    folder = write_voc(tmp_path / "voc")
    pipe(folder / "Annotations" / "c.xml")
    (folder / "ImageSets").mkdir()
    for name in ("train", "val"):
        pipe(folder / "ImageSets" / f"{name}.txt")
    assert len(read_dataset(folder).images) == 2 and len(read_splits(folder)) == 2


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(CONTENT).replace('"bbox"', '"x": ' + "[" * 100_000 + "]" * 100_000 + ', "bbox"'),
        json.dumps(CONTENT).replace("12.5", "9" * 400),
        json.dumps(CONTENT).replace("12.5", "-" + "9" * 5000),
    ],
)
def test_json_that_asks_too_much_is_refused_in_a_line(tmp_path, text):
    with pytest.raises(ValueError, match=r"too deeply|digits") as error:
        read_dataset(write_coco(tmp_path, text))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_files_of_annotations_have_a_size(tmp_path, monkeypatch):
    folder = write_coco(tmp_path / "coco")
    monkeypatch.setattr(limits, "ANNOTATION_BYTES", 100)
    with pytest.raises(ValueError, match="bytes are more than the 100"):
        read_dataset(folder)
    folder = write_voc(tmp_path / "voc")
    monkeypatch.setattr(limits, "DOCUMENT_BYTES", 100)
    with pytest.raises(ValueError, match="bytes are more than the 100"):
        read_dataset(folder)


ENTITIES = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))
BOMB = f'<!DOCTYPE a [<!ENTITY l0 "ha">{ENTITIES}]><annotation><filename>&l9;</filename></annotation>'
THEFT = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "DOCTYPE"),
        (THEFT, "DOCTYPE"),
        ("<annotation>" + "<a>" * 100_000, "too deeply"),
        ("<annotation>" + "<a/>" * 1_000_001 + "</annotation>", "more than 1,000,000 elements"),
        ("<\x1b/>", "not XML"),
    ],
)
def test_xml_that_asks_too_much_is_dropped_with_a_line(tmp_path, text, message):
    folder = write_voc(tmp_path)
    (folder / "Annotations" / "b.xml").write_text(text)
    dataset = read_dataset(folder)
    (problem,) = dataset.problems
    assert problem.kind == "bad_xml" and message in str(problem) and str(problem).isprintable()


def test_yaml_aliases_do_not_multiply(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "data.yaml").write_text("\n".join([*lines, "names: *a8", "train: x"]))
    with pytest.raises(ValueError, match="values"):
        read_dataset(tmp_path)


def test_no_such_path_is_a_line(tmp_path):
    for path in ("x" * 5000, "\0", tmp_path / "no"):
        with pytest.raises(ValueError, match="no such file or folder") as error:
            read_splits(path)
        assert len(str(error.value).splitlines()) == 1
    assert Path(tmp_path).is_dir()
