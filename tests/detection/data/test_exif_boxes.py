"""Photographs that lie turned in their files: boxes are around what they were drawn around, wherever pixels go."""

import json

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common.images import read_image
from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.orientation import as_stored, orientation_of, turned, upright
from keras_nasnet.detection.data.records import write_records

STORE = {  # what turns an upright image into one that is stored so
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
BOX = (8, 30, 16, 20)  # left, top, width, height on the upright image


def scene(path, orientation, size=(40, 60)):
    """Grey with a red rectangle at BOX as seen upright."""
    pixels = np.full((size[1], size[0], 3), 100, np.uint8)
    left, top, width, height = BOX
    pixels[top : top + height, left : left + width] = (220, 30, 30)
    image, exif = Image.fromarray(pixels), Image.Exif()
    if orientation != 1:
        image, exif[274] = image.transpose(STORE[orientation]), orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95, exif=exif)
    return image.size


def red(pixels):
    """Left, top, width and height of what is red."""
    pixels = np.asarray(pixels).astype(int)
    rows, columns = np.nonzero(pixels[..., 0] - pixels[..., 1] > 90)
    return columns.min(), rows.min(), columns.max() - columns.min() + 1, rows.max() - rows.min() + 1


def coco(folder, orientation, bbox, claimed, size=(40, 60)):
    stored = scene(folder / "a.jpg", orientation, size)
    claimed = {"upright": size, "stored": stored, None: None}.get(claimed, claimed)
    image = {"id": 1, "file_name": "a.jpg"} | ({"width": claimed[0], "height": claimed[1]} if claimed else {})
    content = {
        "images": [image],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": list(map(float, bbox))}],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "coco.json").write_text(json.dumps(content))
    return stored


def found(dataset):
    """The box of the only image, on its pixels as stored, and what is red there."""
    (image,) = dataset.images
    with Image.open(image.path) as file:
        assert file.size == (image.width, image.height)
        pixels = np.asarray(file)
    (box,) = image.boxes
    return (box.left, box.top, box.width, box.height), red(pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_pixels_turn_together(tmp_path, orientation):
    size = scene(tmp_path / "a.jpg", orientation)
    image = read_image(tmp_path / "a.jpg", upright=False)
    stored = red(image)
    assert (image.size, orientation_of(image)) == (size, orientation)
    assert tuple(turned(stored, size, orientation)) == BOX
    assert tuple(as_stored(BOX, size, orientation)) == stored
    seen = read_image(tmp_path / "a.jpg")
    assert (seen.size, orientation_of(seen), red(seen)) == ((40, 60), orientation, BOX)


@pytest.mark.parametrize("orientation", range(5, 9))
def test_the_claimed_size_says_how_boxes_are_meant(tmp_path, orientation):
    size = coco(tmp_path / "upright", orientation, BOX, "upright")
    box, pixels = found(read_dataset(tmp_path / "upright", strict=True))
    assert box == pixels
    coco(tmp_path / "stored", orientation, as_stored(BOX, size, orientation), "stored")
    box, pixels = found(read_dataset(tmp_path / "stored", strict=True))
    assert box == pixels


UNDECIDED = [(orientation, "upright", (40, 60)) for orientation in (2, 3, 4)]
UNDECIDED += [(6, None, (40, 60)), (6, "upright", (60, 60)), (8, (20, 30), (40, 60)), (6, ("x", None), (40, 60))]


@pytest.mark.parametrize(("orientation", "claimed", "size"), UNDECIDED)
def test_what_cannot_be_decided_is_named_refused_if_strict_and_decided_by_the_user(
    tmp_path, orientation, claimed, size
):
    stored = coco(tmp_path, orientation, BOX, claimed, size)
    dataset = read_dataset(tmp_path)
    box, pixels = found(dataset)
    assert box == pixels  # taken for upright
    (problem,) = [problem for problem in dataset.problems if problem.kind == "turned_image"]
    assert "'a.jpg'" in problem.where and "--exif" in problem.text
    with pytest.raises(ValueError, match=r"EXIF orientation"):
        read_dataset(tmp_path, strict=True)
    for exif in ("apply", "ignore"):
        bbox = BOX if exif == "apply" else as_stored(BOX, stored, orientation)
        coco(tmp_path, orientation, bbox, claimed, size)
        told = read_dataset(tmp_path, exif=exif)
        assert not [problem for problem in told.problems if problem.kind == "turned_image"]
        box, pixels = found(told)
        assert box == pixels


def test_what_is_told_goes_over_the_claimed_size_and_is_said(tmp_path):
    coco(tmp_path, 6, (5, 5, 10, 10), "upright")
    told = read_dataset(tmp_path, exif="ignore")
    assert (told.images[0].boxes[0].left, told.images[0].boxes[0].top) == (5, 5)
    assert [problem.kind for problem in told.problems] == ["size_differs"]
    with pytest.raises(ValueError, match="exif is 'perhaps': it must be one of apply, ignore"):
        read_dataset(tmp_path, exif="perhaps")


def test_an_image_without_boxes_needs_no_decision(tmp_path):
    coco(tmp_path, 3, BOX, None)
    scene(tmp_path / "b.jpg", 3)
    content = json.loads((tmp_path / "coco.json").read_text())
    content["images"].append({"id": 2, "file_name": "b.jpg"})
    (tmp_path / "coco.json").write_text(json.dumps(content))
    problems = read_dataset(tmp_path).problems
    assert [problem.where for problem in problems] == ["coco.json, image 1 ('a.jpg')"]


@pytest.mark.parametrize(("claimed", "size"), [("upright", (40, 60)), ("stored", (60, 40)), (None, (0, 0))])
def test_pascal_voc_claims_a_size_too(tmp_path, claimed, size):
    stored = scene(tmp_path / "a.jpg", 6)
    left, top, width, height = BOX if claimed != "stored" else as_stored(BOX, stored, 6)
    (tmp_path / "a.xml").write_text(
        f"<annotation><filename>a.jpg</filename><size><width>{size[0]}</width><height>{size[1]}</height></size>"
        f"<object><name>thing</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{left + width}</xmax><ymax>{top + height}</ymax></bndbox></object></annotation>"
    )
    dataset = read_dataset(tmp_path)
    box, pixels = found(dataset)
    assert box == pixels
    assert ("turned_image" in {problem.kind for problem in dataset.problems}) == (claimed is None)


@pytest.mark.parametrize("damage", [b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_damaged_exif_is_no_orientation(tmp_path, damage):
    coco(tmp_path, 1, BOX, "upright")
    with Image.open(tmp_path / "a.jpg") as image:
        image.load()
    image.save(tmp_path / "a.jpg", quality=95, exif=damage)
    box, pixels = found(read_dataset(tmp_path, strict=True))
    assert box == pixels


# === What training reads ===


@pytest.mark.parametrize(
    ("orientation", "claimed"), [(6, "upright"), (6, "stored"), (5, "upright"), (3, None), (1, None)]
)
def test_training_reads_upright_images_with_boxes_around_their_things(tmp_path, orientation, claimed):
    tf = pytest.importorskip("tensorflow")
    folder = tmp_path / "data"
    folder.mkdir()
    stored = coco(folder, orientation, BOX, claimed)
    if claimed == "stored":
        coco(folder, orientation, as_stored(BOX, stored, orientation), claimed)
    dataset = read_dataset(folder)
    written = write_records(dataset, tmp_path / "records")
    (raw,) = tf.data.TFRecordDataset(tf.io.gfile.glob(written.pattern)).as_numpy_iterator()
    features = tf.train.Example.FromString(raw).features.feature
    value = {name: list(getattr(one, one.WhichOneof("kind")).value) for name, one in features.items()}
    pixels = tf.io.decode_jpeg(value["image/encoded"][0]).numpy()
    assert pixels.shape == (60, 40, 3) == (*value["image/height"], *value["image/width"], 3)
    ends = [value[f"image/object/bbox/{name}"][0] for name in ("xmin", "ymin", "xmax", "ymax")]
    left, top, width, height = red(pixels)
    np.testing.assert_allclose(np.multiply(ends, [40, 60, 40, 60]), [left, top, left + width, top + height], atol=0.01)
    (annotation,) = json.loads(written.annotation_file.read_text())["annotations"]
    assert annotation["bbox"] == list(BOX)
    assert upright(dataset.images[0]).boxes[0].left == BOX[0]


def test_splits_take_the_user_s_word(tmp_path):
    for part in ("train", "val"):
        coco(tmp_path / part, 3, BOX, None)
    assert all(not part.problems for part in read_splits(tmp_path, exif="apply"))
    with pytest.raises(ValueError, match="EXIF"):
        read_splits(tmp_path, strict=True)
