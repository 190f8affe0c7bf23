"""Records: what the Model Garden's decoder reads from them, and when they are written anew."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_nasnet.common.images import read_image
from keras_nasnet.detection.data import records
from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.records import write_records
from tests.support.small_coco import CONTENT, picture, write_coco


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def examples(written):
    """The shards' examples as plain lists, by source id."""
    found = {}
    for file in tf.io.gfile.glob(written.pattern):
        for raw in tf.data.TFRecordDataset(file).as_numpy_iterator():
            features = tf.train.Example.FromString(raw).features.feature
            lists = {key: list(getattr(value, value.WhichOneof("kind")).value) for key, value in features.items()}
            found[int(lists["image/source_id"][0])] = lists
    return found


def rows(path, count, modes=("RGB",)):
    """A dataset of `count` images."""
    content = {**CONTENT, "images": [], "annotations": []}
    (path / "images").mkdir(parents=True)
    for index in range(count):
        mode = modes[index % len(modes)]
        name = f"{index}.{'jpg' if mode in ('RGB', 'L', 'CMYK') else 'png'}"
        picture(seed=index, mode=mode).save(path / "images" / name)
        content["images"].append({"id": index, "file_name": name})
        content["annotations"].append({"id": index, "image_id": index, "category_id": 3, "bbox": [index % 30, 1, 5, 5]})
    (path / "annotations_coco.json").write_text(json.dumps(content))
    return path


@pytest.fixture
def dataset(tmp_path):
    return read_dataset(write_coco(tmp_path / "data"), strict=True)


# === What is written ===


def test_the_garden_s_decoder_reads_the_boxes_that_were_annotated(dataset, tmp_path):
    pytest.importorskip("official", reason="tf-models-official is not installed")
    from official.vision.dataloaders.tf_example_decoder import TfExampleDecoder

    written = write_records(dataset, tmp_path / "records", shards=2)
    decoder = TfExampleDecoder()
    found = {}
    for file in tf.io.gfile.glob(written.pattern):
        for raw in tf.data.TFRecordDataset(file):
            decoded = {key: value.numpy() for key, value in decoder.decode(raw).items()}
            found[int(decoded["source_id"])] = decoded
    assert sorted(found) == [10, 20, 30]
    first = found[10]
    assert (first["height"], first["width"]) == (30, 40)
    pixels = np.asarray(Image.open(dataset.images[0].path))
    assert np.abs(first["image"].astype(int) - pixels).mean() < 1  # two JPEG decoders
    np.testing.assert_allclose(first["groundtruth_boxes"] * [30, 40, 30, 40], [[6, 5, 18.5, 15], [0, 0, 30, 40]], 1e-5)
    assert first["groundtruth_classes"].tolist() == [2, 1]  # 0 is the background
    assert first["groundtruth_area"].tolist() == [100.5, 1200]
    assert first["groundtruth_is_crowd"].tolist() == [False, True]
    assert found[30]["groundtruth_boxes"].shape == (0, 4) and found[30]["image"].shape == (30, 40, 3)


def test_the_annotation_file_is_pycocotools_of_the_same_images(dataset, tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    written = write_records(dataset, tmp_path / "records")
    truth = coco.COCO(str(written.annotation_file))
    assert sorted(truth.getImgIds()) == sorted(examples(written)) == [10, 20, 30]
    assert {key: category["name"] for key, category in truth.cats.items()} == {1: "cat", 2: "dog"}
    assert sorted(truth.getAnnIds()) == [1, 2, 3]
    assert truth.anns[1]["bbox"] == [5, 6, 10, 12.5] and truth.anns[1]["category_id"] == 2
    assert [truth.anns[key]["iscrowd"] for key in (1, 2, 3)] == [0, 1, 0]
    assert truth.imgs[20] == {"id": 20, "file_name": "b.jpg", "width": 40, "height": 30}
    assert json.loads((written.folder / "class_names.json").read_text()) == ["cat", "dog"]
    assert (written.class_names, written.num_images) == (("cat", "dog"), 3)


def test_plain_jpegs_are_taken_over_and_everything_else_becomes_a_good_jpeg(tmp_path):
    data = read_dataset(rows(tmp_path / "data", 7, ("RGB", "L", "CMYK", "P", "RGBA", "1", "I;16")), strict=True)
    found = examples(write_records(data, tmp_path / "records"))
    for image in data.images:
        encoded = found[image.id]["image/encoded"][0]
        if image.id < 2:
            assert encoded == image.path.read_bytes()
            continue
        assert encoded.startswith(b"\xff\xd8\xff") and encoded != image.path.read_bytes()
        pixels = tf.io.decode_image(encoded, channels=3).numpy()
        expected = read_image(image.path)
        assert pixels.shape == (30, 40, 3)
        assert np.abs(pixels.astype(int) - np.asarray(expected)).mean() < (8 if expected.mode == "1" else 6)


def test_pixels_are_turned_upright(tmp_path):
    folder = write_coco(tmp_path / "data")
    exif = Image.Exif()
    exif[274] = 6
    picture().save(folder / "images" / "a.jpg", exif=exif)
    picture(seed=1).save(folder / "images" / "b.jpg", "PNG", exif=exif)
    found = examples(write_records(read_dataset(folder, strict=True), tmp_path / "records"))
    for key in (10, 20):
        assert tf.io.decode_image(found[key]["image/encoded"][0]).shape == (40, 30, 3)
        assert (found[key]["image/height"], found[key]["image/width"]) == ([40], [30])


def test_boxes_never_leave_the_unit_square(tmp_path):
    content = {**CONTENT, "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
    folder = write_coco(tmp_path / "data", content)
    picture((41, 37)).save(folder / "images" / "a.jpg")
    content["annotations"] = [
        {"id": n, "image_id": 1, "category_id": 3, "bbox": [n / 7, n / 11, 41 - n / 7, 37 - n / 11]} for n in range(99)
    ]
    (folder / "annotations_coco.json").write_text(json.dumps(content))
    (found,) = examples(write_records(read_dataset(folder, strict=True), tmp_path / "records")).values()
    for axis in "xy":
        low, high = (np.float32(found[f"image/object/bbox/{axis}{end}"]) for end in ("min", "max"))
        assert len(low) == 99 and (low >= 0).all() and (low < high).all() and (high <= 1).all()


def test_every_image_is_in_one_shard_and_the_shards_are_mixed(tmp_path):
    data = read_dataset(rows(tmp_path / "data", 70))
    written = write_records(data, tmp_path / "records")
    files = sorted(tf.io.gfile.glob(written.pattern))
    assert [Path(file).name for file in files] == [f"images-{n:05}-of-00003.tfrecord" for n in range(3)]
    assert sorted(examples(written)) == list(range(70))
    assert sum(1 for _ in tf.data.TFRecordDataset(files[1])) == 23
    assert write_records(data, tmp_path / "two", shards=2).pattern.endswith("-of-00002.tfrecord")
    for shards in (0, 71):
        with pytest.raises(ValueError, match=f"shards is {shards}: it must be from 1 to 70"):
            write_records(data, tmp_path / "three", shards)


@pytest.mark.parametrize("ids", [["x", "y", "z"], [1, "2", 3], [-1, 2, 3], [1, 2, 2**40]])
def test_images_without_usable_ids_are_numbered(tmp_path, ids):
    content = json.loads(json.dumps(CONTENT))
    for image, key in zip(content["images"], ids, strict=True):
        for annotation in content["annotations"]:
            if annotation["image_id"] == image["id"]:
                annotation["image_id"] = key
        image["id"] = key
    written = write_records(read_dataset(write_coco(tmp_path / "data", content), strict=True), tmp_path / "records")
    truth = json.loads(written.annotation_file.read_text())
    assert sorted(examples(written)) == [image["id"] for image in truth["images"]] == [1, 2, 3]
    assert [annotation["image_id"] for annotation in truth["annotations"]] == [1, 1, 2]


def test_the_pattern_matches_below_a_folder_of_any_name(dataset, tmp_path):
    written = write_records(dataset, tmp_path / "a [1]* name?" / "records")
    assert sorted(examples(written)) == [10, 20, 30]
    with pytest.raises(ValueError, match="has a comma in its path"):
        write_records(dataset, tmp_path / "a,b")


# === When it is written ===


def test_the_same_data_is_written_once_and_the_same_bytes_elsewhere(dataset, tmp_path):
    first = write_records(dataset, tmp_path / "records")
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    again = write_records(read_dataset(tmp_path / "data"), tmp_path / "records")
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before
    assert contents(write_records(dataset, tmp_path / "other").folder) == contents(first.folder)


def change_boxes(folder):
    path = folder / "annotations_coco.json"
    path.write_text(path.read_text().replace("[5, 6,", "[4, 6,"))


def change_names(folder):
    path = folder / "annotations_coco.json"
    path.write_text(path.read_text().replace("dog", "cow"))


def change_an_image(folder):
    picture(seed=9).save(folder / "images" / "a.jpg")


def remove_an_image(folder):
    (folder / "images" / "c.jpg").unlink()


@pytest.mark.parametrize("change", [change_boxes, change_names, change_an_image, remove_an_image])
def test_changed_data_is_written_anew(dataset, tmp_path, change):
    folder = write_records(dataset, tmp_path / "records").folder
    before = contents(folder)
    change(tmp_path / "data")
    written = write_records(read_dataset(tmp_path / "data"), folder)
    after = contents(folder)
    assert after["manifest.json"] != before["manifest.json"]
    assert contents(write_records(read_dataset(tmp_path / "data"), tmp_path / "fresh").folder) == after
    assert len(examples(written)) == written.num_images


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [Path.unlink, cut_off, flip_a_bit])
@pytest.mark.parametrize(
    "name", ["images-00000-of-00001.tfrecord", "annotations.json", "class_names.json", "manifest.json"]
)
def test_whatever_is_damaged_or_gone_is_written_anew(dataset, tmp_path, damage, name):
    folder = write_records(dataset, tmp_path / "records").folder
    before = contents(folder)
    damage(folder / name)
    write_records(dataset, folder)
    assert contents(folder) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"content": 1}', "[" * 100_000])
def test_a_manifest_of_nonsense_is_written_anew(dataset, tmp_path, text):
    folder = write_records(dataset, tmp_path / "records").folder
    before = contents(folder)
    (folder / "manifest.json").write_text(text)
    write_records(dataset, folder)
    assert contents(folder) == before


def test_an_interrupted_build_leaves_what_was_there(dataset, tmp_path, monkeypatch):
    folder = write_records(dataset, tmp_path / "records").folder
    before = contents(folder)
    change_boxes(tmp_path / "data")
    changed = read_dataset(tmp_path / "data")
    with monkeypatch.context() as patch:

        def interrupted(*_):
            raise KeyboardInterrupt

        patch.setattr(records, "_coco", interrupted)  # after the shards
        with pytest.raises(KeyboardInterrupt):
            write_records(changed, folder)
    assert contents(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".records.lock", "data", "records"]
    write_records(changed, folder)
    assert contents(folder) != before and contents(folder).keys() == before.keys()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".records.lock", "data", "records"]


def test_two_that_write_at_once_write_the_same(dataset, tmp_path):
    failures = []

    def write():
        try:
            write_records(dataset, tmp_path / "records")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert contents(tmp_path / "records") == contents(write_records(dataset, tmp_path / "alone").folder)


def test_a_folder_of_something_else_is_left_alone(dataset, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "mine" / "manifest.json").write_text("mine")
    for folder in (tmp_path / "mine", tmp_path / "mine" / "file"):
        with pytest.raises(ValueError, match="holds something other than records: choose another folder"):
            write_records(dataset, folder)
    assert (tmp_path / "mine" / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert write_records(dataset, tmp_path / "empty").num_images == 3


def test_images_that_went_or_changed_since_are_named(dataset, tmp_path):
    path = tmp_path / "data" / "images" / "b.jpg"
    picture((20, 20)).save(path)
    with pytest.raises(ValueError, match=r"b\.jpg has changed since the dataset was read: read it again"):
        write_records(dataset, tmp_path / "records")
    path.write_text("no image")
    with pytest.raises(ValueError, match=r"b\.jpg: not an image"):
        write_records(dataset, tmp_path / "records")
    path.unlink()
    with pytest.raises(ValueError, match=r"b\.jpg: cannot be read \(No such file"):
        write_records(dataset, tmp_path / "records")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".records.lock", "data"]


# === Real data ===


@pytest.mark.parametrize(("name", "boxes"), [("raccoon", 217), ("coco128", 939)])
def test_real_datasets_are_written_whole(name, boxes, tmp_path):
    data = os.environ.get("KERAS_NASNET_TEST_DATA")
    if data is None:
        pytest.skip("KERAS_NASNET_TEST_DATA, the folder with raccoon and coco128, is not set")
    found = 0
    for part, dataset in zip(("train", "validation"), read_splits(Path(data) / name), strict=True):
        written = write_records(dataset, tmp_path / part)
        read = examples(written)
        assert sorted(read) == sorted(image.id for image in dataset.images)
        found += sum(len(example["image/object/class/label"]) for example in read.values())
        for example in read.values():
            shape = tf.io.decode_image(example["image/encoded"][0], channels=3).shape
            assert [*shape[:2]] == example["image/height"] + example["image/width"]
    assert found == boxes
