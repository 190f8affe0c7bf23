"""Labels from a table: columns and paths as people write them, what has no image or row, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common import limits
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.label_tables import read_label_table

LABELS = {"0.jpg": "ant", "1.jpg": "bee", "2.jpg": "ant", "more/3.png": "bee", "more/4": "ant"}


@pytest.fixture
def photos(tmp_path):
    """Five images: some in a folder below, one without a suffix."""
    for number, name in enumerate(LABELS):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name, "PNG")
    return tmp_path / "photos"


def write(photos, *lines, name="labels.csv", encoding="utf-8"):
    table = photos.parent / name
    table.write_bytes("\n".join(lines).encode(encoding))
    return table


def read(photos, *lines, columns=None, **options):
    """Return the class of each image, by its path below the folder."""
    (images,) = read_label_table(write(photos, *lines, **options), photos, columns).values()
    names = [images.class_names[label] for label in images.labels]
    return {path.relative_to(photos).as_posix(): name for path, name in zip(images.paths, names, strict=True)}


def refusal(photos, *lines, columns=None, **options):
    with pytest.raises(ValueError) as error:
        read_label_table(write(photos, *lines, **options), photos, columns)
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{photos.parent}/", "")


def rows(separator=",", labels=LABELS):
    return [f"{name}{separator}{label}" for name, label in labels.items()]


# === Columns ===


@pytest.mark.parametrize(
    "header", ["path,label", "filename,class", "Image,Label", "FILE NAME,Species", "id,breed", "image_id,category"]
)
def test_usual_names_of_columns(photos, header):
    assert read(photos, header, *rows()) == LABELS


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_byte_order_marks(photos, separator, encoding):
    assert read(photos, f"filename{separator}label", *rows(separator), encoding=encoding) == LABELS


def test_other_columns_quotes_blanks_and_empty_lines(photos):
    lines = [f'{number}, " {name}" ,"{label}",x' for number, (name, label) in enumerate(LABELS.items())]
    lines = [line.replace(', "', ',"').replace('" ,', '",') for line in lines]
    assert read(photos, "number,filename,label,note", "", *lines, "", "") == LABELS


def test_columns_by_name(photos):
    assert read(photos, "Image,Id", *rows(), columns=("Image", "Id")) == LABELS
    assert "no column label or class; it has Image, Id: name those" in refusal(photos, "Image,Id", *rows())
    assert "no column where; it has Image, Id" in refusal(photos, "Image,Id", *rows(), columns=("where", "Id"))
    assert "no column path or filename; it has a, b" in refusal(photos, "a,b", *rows())


def test_without_a_header(photos):
    assert read(photos, *rows()) == LABELS


def test_columns_of_0_and_1_with_one_class_each(photos):
    lines = [f"{name},{int(label == 'ant')},{int(label == 'bee')}" for name, label in LABELS.items()]
    assert read(photos, "filename,ant,bee", *lines) == LABELS
    assert "several labels, ant, bee" in refusal(photos, "filename,ant,bee", *lines[1:], "0.jpg,1,1")


def test_a_column_of_splits(photos):
    lines = ["0.jpg,ant,train", "1.jpg,bee,training", "2.jpg,ant,Val", "more/3.png,bee,test", "more/4,ant,train"]
    parts = read_label_table(write(photos, "path,label,split", *lines), photos)
    assert {part: len(images.paths) for part, images in parts.items()} == {"train": 3, "validation": 1, "test": 1}
    assert {images.class_names for images in parts.values()} == {("ant", "bee")}
    assert "line 2: the split is 'night'" in refusal(photos, "path,label,split", "0.jpg,ant,night")


# === Paths ===


@pytest.mark.parametrize("name", ["0", "0.JPG", "./0.jpg", "photos/0.jpg", ".\\0.jpg", "photos\\0.jpg", "0.png"])
def test_names_as_people_write_them(photos, name):
    assert read(photos, "path,label", f"{name},ant", "more/3,bee")["0.jpg"] == "ant"


def test_the_longest_tail_decides_and_a_tie_is_refused(photos):
    (photos / "other").mkdir()
    (photos / "more" / "3.png").rename(photos / "more" / "0.jpg")
    Image.new("RGB", (4, 4)).save(photos / "other" / "0.jpg")
    assert read(photos, "path,label", "0.jpg,top", "x/more/0.jpg,more") == {"0.jpg": "top", "more/0.jpg": "more"}
    (photos / "0.jpg").unlink()
    assert "line 2: 0.jpg may be photos/more/0.jpg or photos/other/0.jpg: write its folder" in refusal(
        photos, "path,label", "0.jpg,ant"
    )


def test_absolute_paths_inside_the_folder(photos):
    assert read(photos, "path,label", f"{photos / '0.jpg'},ant", "1.jpg,bee")["0.jpg"] == "ant"


@pytest.mark.parametrize("name", ["../0.jpg", "more/../../0.jpg", "/etc/passwd", "C:\\photos\\0.jpg", "..\\0.jpg"])
def test_paths_that_lead_out_of_the_folder_are_refused(photos, name):
    Image.new("RGB", (4, 4)).save(photos.parent / "0.jpg")
    assert f"line 3: {name} leads out of photos" in refusal(photos, "path,label", "1.jpg,bee", f"{name},ant")


# === What is left out ===


def test_what_has_no_row_image_or_label_is_counted(photos):
    lines = ["0.jpg,ant", "1.jpg,bee", "8.jpg,ant", "9.jpg,bee", "2.jpg,", "0.jpg,ant"]
    table = write(photos, "path,label", *lines)
    (images,) = read_label_table(table, photos).values()
    assert images.counts().tolist() == [1, 1]
    assert images.problems == [
        f"{table}: left out 2 rows (8.jpg, 9.jpg): no such image below {photos}",
        f"{table}: left out 1 rows (2.jpg): no label",
        f"{table}: 1 rows name an image once more",
        f"{photos}: left out 3 (2.jpg, more/3.png, more/4): not in {table}",
    ]


def test_numbers_in_their_order_and_without_the_fractions_of_pandas(photos):
    numbers = dict(zip(LABELS, ("10.0", "9.0", "2.0", "10.0", "9.0"), strict=True))
    (images,) = read_label_table(write(photos, "path,label", *rows(labels=numbers)), photos).values()
    assert images.class_names == ("2", "9", "10")


def test_the_table_may_lie_among_the_images(photos):
    table = photos / "labels.csv"
    table.write_text("\n".join(["path,label", *rows()]))
    (photos / "more" / "README").write_text("x")
    (images,) = read_label_table(table, photos).values()
    assert images.problems == [f"{photos}: left out more/README: no image"]


# === Refused ===


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (("ant|bee", "ant", "bee", "bee", "ant"), "'ant|bee' stands for several labels"),
        (("ant;bee", "ant", "bee", "bee", "ant"), "'ant;bee' stands for several labels"),
        (("ant bee", "ant", "bee", "bee", "ant"), "'ant bee' stands for several labels"),
        (('"ant, bee"', "ant", "bee", "bee", "ant"), "'ant, bee' stands for several labels"),
        (("[1]", "[2]", "[1]", "[2]", "[1]"), "'[1]' stands for several labels"),
        (("0.5", "1.25", "3.5", "2.25", "7.5"), "they predict no numbers (regression)"),
        (("", "", "", "", ""), "no row has a label and an image below photos"),
        (("x" * 1001, "a", "b", "b", "a"), "line 2: its label has 1,001 characters"),
    ],
)
def test_labels_that_are_no_classes(photos, labels, word):
    assert word in refusal(photos, "path,label", *rows(labels=dict(zip(LABELS, labels, strict=True))))


def test_an_image_with_two_labels(photos):
    assert "0.jpg has several labels, 'ant' and 'bee'" in refusal(photos, "path,label", "0.jpg,ant", "0.jpg,bee")


def test_labels_with_blanks_are_no_lists(photos):
    names = ("red apple", "green apple", "red pear", "green pear", "red apple")
    labels = dict(zip(LABELS, names, strict=True))
    assert read(photos, "path,label", *rows(labels=labels)) == labels


def test_files_that_are_no_tables(photos, monkeypatch):
    assert "no such file" in refusal_of(photos, photos.parent / "none.csv")
    assert "a folder, not a file" in refusal_of(photos, photos)
    assert "an empty file" in refusal(photos, "", "")
    assert "not text in UTF-8" in refusal(photos, "path,label", "ü,x", encoding="utf-16")
    assert "not text in UTF-8" in refusal(photos, "path,label", "ü,x", encoding="latin-1")
    assert "not a table of text" in refusal(photos, "path,label", '0.jpg,"ant"x')
    assert "not a table of text" in refusal(photos, "path,label", f"0.jpg,{'x' * 200_000}")
    assert "no row has a label and an image below photos" in refusal(photos, "path,label")
    assert "such as z.jpg" in refusal(photos, "path,label", "z.jpg,ant")
    monkeypatch.setattr(limits, "TABLE_BYTES", 10)
    assert "bytes are more than the 10" in refusal(photos, "path,label", *rows())


def refusal_of(photos, table):
    with pytest.raises(ValueError) as error:
        read_label_table(table, photos)
    return str(error.value)


def test_escapes_of_terminals_are_escaped(photos):
    said = refusal(photos, "path,label", "../\x1b[31m0.jpg,ant")
    assert "\x1b" not in said


# === As a dataset ===


def test_as_a_dataset(photos):
    for number in range(20):
        Image.new("RGB", (10, 8), (number, 0, 0)).save(photos / f"x{number}.png")
    lines = [f"x{number},{'odd' if number % 2 else 'even'}" for number in range(20)]
    table = write(photos, "id,label", *lines)
    dataset = open_dataset(photos, image_size=(8, 8), labels=table)
    assert dataset.class_names == ("even", "odd")
    assert (dataset.train.size, dataset.validation.size) == (16, 4)
    for images, labels in dataset.train.eval_batches(20):
        assert (images[:, 0, 0, 0] % 2 == labels).all()
    assert len(dataset.problems) == 1 and "not in" in dataset.problems[0]


def test_datasets_that_are_refused(photos):
    def said(*lines, **options):
        table = write(photos, "path,label,split", *lines)
        with pytest.raises(ValueError) as error:
            open_dataset(**{"name_or_folder": photos, "image_size": (8, 8), "labels": table} | options)
        return str(error.value).replace(f"{photos.parent}/", "")

    assert said("0.jpg,a,test") == "labels.csv: it names no training images, only test"
    assert said("0.jpg,a,train") == "labels.csv: only one class, a; at least two are needed"
    one = "labels.csv: only one image of class b; two are needed, to train and to validate"
    assert said("0.jpg,a,train", "1.jpg,b,train", "2.jpg,a,train") == one
    lacking = said("0.jpg,a,train", "1.jpg,b,train", "2.jpg,c,val")
    assert lacking.startswith("labels.csv: no image of class c; add some")
    assert "is for images in a folder, not for tfds:x" in said("0.jpg,a,train", name_or_folder="tfds:x")
    assert "is for images in a folder" in said("0.jpg,a,train", name_or_folder=Path("none.npz"))
