"""Files of arrays, and training data without TensorFlow."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data.arrays import ArraySplit, into_memory
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset, write_npz
from keras_nasnet.data.split import Dataset
from tests.support import JAX, environment

GENERATOR = np.random.default_rng(0)
TRAIN = GENERATOR.integers(0, 256, (30, 8, 6, 3), dtype=np.uint8), np.arange(30) % 3
TEST = GENERATOR.integers(0, 256, (9, 8, 6, 3), dtype=np.uint8), np.arange(9) % 3


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "small.npz"
    np.savez(path, train_images=TRAIN[0], train_labels=TRAIN[1], test_images=TEST[0], test_labels=TEST[1])
    return path


def refusal(path, **options):
    with pytest.raises(ValueError) as error:
        open_dataset(path, **{"image_size": None} | options)
    assert "\n" not in str(error.value)
    return str(error.value)


# === Files ===


def test_a_file(npz):
    dataset = open_dataset(npz, image_size=None)
    assert (dataset.name, dataset.class_names) == ("small", ("0", "1", "2"))
    np.testing.assert_array_equal(dataset.train.images, TRAIN[0])
    np.testing.assert_array_equal(dataset.test.labels, TEST[1])
    assert dataset.validation.size == 0
    assert list(dataset.validation.eval_batches(4)) == []


def test_held_out_images_of_a_file(npz):
    dataset = open_dataset(str(npz), image_size=None, held_out=6)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [24, 6, 9]
    assert dataset.validation.class_counts().tolist() == [2, 2, 2]
    images = np.concatenate([dataset.train.images, dataset.validation.images])
    assert {image.tobytes() for image in images} == {image.tobytes() for image in TRAIN[0]}


def test_images_of_a_file_are_resized(npz):
    dataset = open_dataset(npz, image_size=(12, 12))
    assert dataset.train.image_shape == (12, 12, 3)
    np.testing.assert_array_equal(dataset.train.images[7], Preprocessing(12, 12).fit(TRAIN[0][7]))


def test_written_and_opened_again(tmp_path):
    names = ("cat", "dog", "Möwe")
    train, test = ArraySplit(*TRAIN, 3), ArraySplit(*TEST, 3)
    path = tmp_path / "pets.npz"
    path.write_text("of an earlier day")
    write_npz(Dataset("pets", names, train.subset(np.arange(20)), train.subset(np.arange(20, 30)), test), path)
    dataset = open_dataset(path, image_size=None)
    assert dataset.class_names == names
    np.testing.assert_array_equal(dataset.train.images, TRAIN[0][:20])
    np.testing.assert_array_equal(dataset.validation.images, TRAIN[0][20:])
    np.testing.assert_array_equal(dataset.test.labels, TEST[1])
    assert [file.name for file in tmp_path.iterdir()] == ["pets.npz"]


def test_a_file_is_written_whole_or_not_at_all(npz, monkeypatch):
    before = npz.read_bytes()

    def full_disk(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_npz(open_dataset(npz, image_size=None), npz)
    assert npz.read_bytes() == before
    assert [file.name for file in npz.parent.iterdir()] == [npz.name]


def test_files_that_cannot_be_used(npz, tmp_path):
    assert refusal(tmp_path / "missing.npz") == f"{tmp_path / 'missing.npz'}: no such file"
    assert refusal(npz, crop=RandomCrop()).startswith(f"{npz}: a random crop needs")
    with pytest.raises(TypeError, match="crop is 'inception': it must be a RandomCrop or None"):
        open_dataset(npz, image_size=None, crop="inception")
    assert refusal(npz, held_out=30).startswith(f"{npz}: held_out is 30: it must be from 0 to 29")
    content = npz.read_bytes()
    for damaged in (content[:-100], content[:1000], b"", b"text", content.replace(b"\x93NUMPY", b"\x93NOMPY")):
        path = tmp_path / "damaged.npz"
        path.write_bytes(damaged)
        assert refusal(path).startswith(f"{path}: cannot be read as an .npz file (")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as archive:
        archive.writestr("notes.txt", "text")
    assert "needs the arrays train_images and train_labels" in refusal(tmp_path / "zip.npz")


def test_greys_and_other_numbers(tmp_path):
    grey = TRAIN[0][..., 0]
    np.savez(tmp_path / "grey.npz", train_images=grey.astype(np.float32), train_labels=TRAIN[1])
    dataset = open_dataset(tmp_path / "grey.npz", image_size=None)
    np.testing.assert_array_equal(dataset.train.images, np.repeat(grey[..., None], 3, axis=-1))


@pytest.mark.parametrize(
    ("images", "labels", "word"),
    [
        (TRAIN[0] / 255, TRAIN[1], "pixels are float64 from"),
        (TRAIN[0].reshape(len(TRAIN[0]), -1), TRAIN[1], "images have shape"),
        (TRAIN[0], TRAIN[1][:-1], "labels are"),
        (TRAIN[0], TRAIN[1][:, None], "labels are"),
        (TRAIN[0], TRAIN[1] / 2, "labels are float64"),
        (TRAIN[0], TRAIN[1] - 1, "labels go from -1 to 1: they must be from 0 to 1"),
    ],
)
def test_arrays_that_cannot_be_used(tmp_path, images, labels, word):
    np.savez(tmp_path / "bad.npz", train_images=images, train_labels=labels)
    assert word in refusal(tmp_path / "bad.npz")


def test_into_memory():
    split = ArraySplit(*TRAIN, 3)
    assert into_memory(split, 3) is split


# === Without TensorFlow ===


@pytest.mark.jax
def test_on_jax_nothing_imports_tensorflow(npz, tmp_path):
    from PIL import Image

    for number, image in enumerate(TRAIN[0]):
        place = tmp_path / "photos" / f"class{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{number}.png")
    code = f"""
import sys
import numpy as np
from keras_nasnet.training.augmentation_layers import Cutout, PadCropFlip
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset, write_npz

sets = [open_dataset({str(npz)!r}, image_size=None, held_out=5)]
for options in ({{}}, {{"in_memory": False}}, {{"crop": RandomCrop()}}):
    sets.append(open_dataset({str(tmp_path / "photos")!r}, image_size=(8, 8), **options))
for dataset in sets:
    assert sum(len(labels) for _, labels in dataset.train.train_batches(4, 0, 0)) == dataset.train.size // 4 * 4 > 0
    assert sum(len(labels) for _, labels in dataset.validation.eval_batches(4)) == dataset.validation.size > 0
images = next(iter(dataset.train.train_batches(4, 0, 0)))[0]
augmented = Cutout(2)(PadCropFlip(2)(images, training=True), training=True)
assert np.asarray(augmented).dtype == np.uint8
write_npz(dataset, {str(tmp_path / "written.npz")!r})
print([name for name in sys.modules if name.startswith(("tensorflow", "tf_"))])
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(**JAX), check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "[]\n"
