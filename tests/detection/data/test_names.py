"""File names as people and their tools write them: which file is meant, and what is said of it."""

import json
import unicodedata

import pytest

from keras_nasnet.detection.data.annotations import read_dataset
from keras_nasnet.detection.data.finder import Folder, ImageFinder
from keras_nasnet.detection.data.names import Tails
from tests.support.small_coco import annotation, picture

NFC, NFD = (unicodedata.normalize(form, "café é.jpg") for form in ("NFC", "NFD"))


def dataset_of(folder, names, files, json_name="coco.json"):
    """A dataset whose images are called so in the JSON, of files that are called otherwise."""
    for seed, file in enumerate(files):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        picture(seed=seed).save(folder / file, "PNG" if file.endswith(".png") else "JPEG")
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [annotation(id=number, image_id=number) for number in range(len(names))],
    }
    (folder / json_name).parent.mkdir(parents=True, exist_ok=True)
    (folder / json_name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "file", "how"),
    [
        ("images\\a 0.jpg", "images/a 0.jpg", "backslashes for slashes"),
        ("..\\..\\media\\1\\a 0.jpg", "images/a 0.jpg", "backslashes for slashes, the last part alone"),
        ("C:\\data\\a 0.jpg", "images/a 0.jpg", "backslashes for slashes, the last part alone"),
        ("C:a 0.jpg", "images/a 0.jpg", "the drive left out"),
        ("\\\\server\\share\\images\\a 0.jpg", "images/a 0.jpg", "the last 2 parts alone"),
        ("/home/x/images/a 0.jpg", "images/a 0.jpg", "the last 2 parts alone"),
        ("a%200.jpg", "images/a 0.jpg", "percent-encoding"),
        ("a%25200.jpg", "images/a 0.jpg", "percent-encoding"),
        ("images%5Ca%200.jpg", "images/a 0.jpg", "percent-encoding"),
        ("https://host.example/x/a%200.jpg?sig=1", "images/a 0.jpg", "an address, percent-encoding"),
        ("https://host.example/x/a%200.jpg#x", "images/a 0.jpg", "an address"),
        ("file:///C:/x/a%200.jpg", "images/a 0.jpg", "percent-encoding, the last part alone"),
        ("/data/local-files/?d=imgs%2Fa%200.jpg", "images/a 0.jpg", "an address, the last part alone"),
        ("/data/upload/3/0a1b2c3d-a 0.jpg", "images/a 0.jpg", "Label Studio's prefix left out"),
        ("a 0.jpg", "images/a%200.jpg", "percent-encoding"),
        ("images\\a 0.jpg", "images/a%200.jpg", "percent-encoding"),
        ("images/a.jpg?version=2", "images/a.jpg", "an address"),
        ("A.JPG", "images/a.jpg", "another case"),
        ("IMAGES/a.jpg", "images/a.jpg", "another case"),
        (NFC, f"images/{NFD}", "another form of Unicode"),
        (NFD, f"images/{NFC}", "another form of Unicode"),
        ("a.jpg ", "images/a.jpg", "blanks left out"),
        (" images / a.jpg\n", "images/a.jpg", "blanks left out"),
        ("a", "images/a.jpg", "a suffix added"),
        ("images/a.png", "images/a.jpg", "another suffix"),
        ("a.jpeg", "images/a.JPG", "another suffix"),
        ("photo.v2", "images/photo.v2.jpg", "a suffix added"),
        ("x/y/a.jpg", "images/a.jpg", "the last part alone"),
    ],
)
def test_a_name_is_read_as_it_is_meant_and_said_to_be(tmp_path, name, file, how):
    dataset = read_dataset(dataset_of(tmp_path, [name], [file, "images/other.jpg"]))
    assert [image.path for image in dataset.images] == [tmp_path / file]
    (problem,) = dataset.problems
    assert (problem.kind, problem.where) == ("name_differs", "coco.json")
    assert how in str(problem) and str(problem).isprintable()


@pytest.mark.parametrize(
    "name", ["a.jpg", "./a.jpg", "images/a.jpg", "deep/a.jpg", "a%200.jpg", "x\\a.jpg", "a.jpg?d=1"]
)
def test_a_name_that_is_there_as_it_is_written_means_that_file_and_no_line_is_lost_on_it(tmp_path, name):
    file = f"images/{name.removeprefix('images/')}"
    others = ["images/A.jpg", "images/a 0.jpg", "more/x/a.png"]
    dataset = read_dataset(dataset_of(tmp_path, [name], [file, *others]), strict=True)
    assert [image.path for image in dataset.images] == [(tmp_path / file).resolve()]


def test_the_longest_end_of_a_path_decides(tmp_path):
    files = ["images/1/x/a.jpg", "images/2/x/a.jpg", "images/2/y/a.jpg"]
    names = ["C:\\data\\2\\x\\a.jpg", "D:/2/Y/a.jpg", "https://h/images/1/x/a.jpg"]
    dataset = read_dataset(dataset_of(tmp_path, names, files))
    found = [image.path.relative_to(tmp_path).as_posix() for image in dataset.images]
    assert found == ["images/2/x/a.jpg", "images/2/y/a.jpg", "images/1/x/a.jpg"]
    assert {problem.kind for problem in dataset.problems} == {"name_differs"}


def test_what_may_be_several_files_is_not_guessed(tmp_path):
    files = ["one/a.jpg", "two/a.jpg", "b.jpg", "p/c.jpg", "p/c.png"]
    dataset = read_dataset(dataset_of(tmp_path, ["C:\\a.jpg", "b.jpg", "c"], files))
    assert [image.name for image in dataset.images] == ["b.jpg"]
    lines = [str(problem) for problem in dataset.problems if problem.kind == "missing_image"]
    assert "2 files have this name: one/a.jpg, two/a.jpg" in lines[0] and "p/c.jpg, p/c.png" in lines[1]


def test_two_names_that_may_mean_one_file_are_both_dropped_and_the_literal_one_wins(tmp_path):
    names = ["x\\a.jpg", "y\\a.jpg", "b.png", "b.jpg", "c.jpg"]
    dataset = read_dataset(dataset_of(tmp_path, names, ["a.jpg", "b.jpg", "c.jpg"]))
    assert [image.name for image in dataset.images] == ["b.jpg", "c.jpg"]
    assert [problem.kind for problem in dataset.problems] == [
        "ambiguous_image",
        "ambiguous_image",
        "duplicate_file_name",
    ]


def test_a_file_in_another_folder_than_the_one_that_is_named_is_not_meant(tmp_path):
    dataset = read_dataset(dataset_of(tmp_path, ["train/a.jpg", "train/b.jpg"], ["train/b.jpg", "val/a.jpg"]))
    assert [image.name for image in dataset.images] == ["train/b.jpg"]


def test_folders_of_the_machine_that_wrote_a_name_are_no_parts_of_the_dataset(tmp_path):
    files = ["train/images/a.jpg", "test/images/b.jpg"]
    dataset = read_dataset(dataset_of(tmp_path, ["C:\\test\\images\\a.jpg"], files))
    assert [image.path.name for image in dataset.images] == ["a.jpg"]


def test_hidden_copies_never_win(tmp_path):
    files = [
        "photos/a.jpg",
        "photos/@eaDir/a.jpg",
        "photos/.thumbs/a.jpg",
        "__MACOSX/photos/a.jpg",
        "x/._b.jpg",
        "x/b.jpg",
    ]
    dataset = read_dataset(dataset_of(tmp_path, ["a.jpg", "C:\\b.jpg"], files))
    (tmp_path / "._coco.json").write_bytes(b"\0\5\x16\7")
    assert [image.path.parent.name for image in dataset.images] == ["photos", "x"]
    assert len(read_dataset(tmp_path).images) == 2


def test_a_mask_of_the_same_stem_is_not_the_image_that_lacks_a_suffix(tmp_path):
    dataset_of(tmp_path, ["a"], ["images/a.jpg"])
    for other in ("a.txt", "a.xml", "a.npy"):
        (tmp_path / "images" / other).write_text("no image")
    assert [image.path.name for image in read_dataset(tmp_path).images] == ["a.jpg"]


def test_thousands_of_names_are_said_in_a_line(tmp_path):
    names = [f"C:\\{number}.jpg" for number in range(40)] + ["D:\\x\\a"]
    dataset = read_dataset(dataset_of(tmp_path, names, [f"{number}.jpg" for number in range(40)] + ["a.jpg"]))
    assert len(dataset.images) == 41 and len(dataset.problems) == 2
    assert "40 file names are not what the files are called" in str(dataset.problems[0])


def test_images_elsewhere_are_looked_up_in_the_same_way(tmp_path):
    dataset_of(tmp_path / "data", ["C:\\x\\a.jpg"], ["../pictures/deep/a.jpg"])
    (image,) = read_dataset(tmp_path / "data", images=tmp_path / "pictures").images
    assert image.path == tmp_path / "pictures" / "deep" / "a.jpg"


def test_files_of_one_name_are_grouped_once_not_searched_for_each_name():
    paths = [f"{number}/rgb.jpg" for number in range(900)]
    tails = Tails(paths)
    assert [tails.named(("C", str(number), "RGB.jpg")) for number in (0, 500)] == [[0], [500]]
    (groups,) = tails._groups.values()
    assert len(groups) == 900


def test_every_folder_is_listed_once(tmp_path, monkeypatch):
    import os

    files = [f"{folder}/{number}.jpg" for folder in "ab" for number in range(5)]
    dataset_of(tmp_path, [], files)
    listed = []
    scandir = os.scandir
    monkeypatch.setattr("os.scandir", lambda path: (listed.append(str(path)), scandir(path))[1])
    finder = ImageFinder(Folder(tmp_path), [])
    for file in files:
        assert finder.find("C:\\" + file.replace("/", "\\")).path == tmp_path / file
    assert len(listed) == len(set(listed)) == 3
