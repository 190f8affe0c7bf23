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
        (TRAIN[0].astype(np.complex64), TRAIN[1], "images are complex64"),
        (np.concatenate([TRAIN[0]] * 2, -1), TRAIN[1], "they must be pixels 0 to 255, uint8 (n, height, width, 3)"),
        (TRAIN[0].transpose(0, 3, 1, 2), TRAIN[1], "the channels come last: transpose to (0, 2, 3, 1)"),
        (TRAIN[0].reshape(30, -1), TRAIN[1], "they must be pixels"),
        (TRAIN[0] / 255, TRAIN[1], "multiply by 255 those from 0 to 1"),
        (TRAIN[0] / 127.5 - 1, TRAIN[1], "not preprocessed ones"),
        (TRAIN[0].astype(np.uint16) * 257, TRAIN[1], "scale them, 16 bits by // 256"),
        (TRAIN[0] * np.nan, TRAIN[1], "not all finite numbers"),
        (TRAIN[0][:, :0], TRAIN[1], "they have no pixels"),
        (TRAIN[0], TRAIN[1][:-1], "labels are"),
        (TRAIN[0], TRAIN[1][:, None] == np.arange(3), "labels are bool (30, 3)"),
        (TRAIN[0], (TRAIN[1][:, None] == np.arange(3)).astype(int), "an image can have only one label"),
        (TRAIN[0], TRAIN[1] + 10**9, "labels go up to 1000000002: they must be below 1,000,000"),
        (TRAIN[0][:0], TRAIN[1][:0], "it holds no training image"),
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


# === As others write them ===


def opened(path, **arrays):
    np.savez_compressed(path, **arrays)
    return open_dataset(path, image_size=None)


def test_names_of_arrays_as_keras_and_medmnist_write_them(tmp_path):
    keras = opened(tmp_path / "keras.npz", x_train=TRAIN[0], y_train=TRAIN[1], x_test=TEST[0], y_test=TEST[1])
    assert (keras.train.size, keras.validation.size, keras.test.size) == (30, 0, 9)
    parts = {
        f"{split}_{kind}": array if kind == "images" else array[:, None]
        for split, pair in (("train", TRAIN), ("val", TEST), ("test", TEST))
        for kind, array in zip(("images", "labels"), pair, strict=True)
    }
    medmnist = opened(tmp_path / "medmnist.npz", **parts)
    assert (medmnist.train.size, medmnist.validation.size, medmnist.test.size) == (30, 9, 9)
    np.testing.assert_array_equal(medmnist.train.labels, TRAIN[1])


@pytest.mark.parametrize("index", [(..., 0), (..., slice(1))])
def test_greys_are_as_from_a_file(tmp_path, index):
    dataset = opened(tmp_path / "grey.npz", train_images=TRAIN[0][index], train_labels=TRAIN[1])
    np.testing.assert_array_equal(dataset.train.images, np.repeat(TRAIN[0][..., :1], 3, axis=-1))


def test_what_is_transparent_becomes_white_as_from_a_file(tmp_path):
    from PIL import Image

    from keras_nasnet.common.images import read_image

    rgba = np.concatenate([TRAIN[0], GENERATOR.integers(0, 256, (30, 8, 6, 1), np.uint8)], axis=-1)
    dataset = opened(tmp_path / "rgba.npz", train_images=rgba, train_labels=TRAIN[1])
    for number in (0, 29):
        Image.fromarray(rgba[number]).save(tmp_path / "one.png")
        read = np.asarray(read_image(tmp_path / "one.png"), int)
        np.testing.assert_array_equal(dataset.train.images[number], read)
    assert len(dataset.train.images) == 30


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint16"])
def test_numbers_of_any_type_from_0_to_255(tmp_path, dtype):
    dataset = opened(tmp_path / "any.npz", train_images=TRAIN[0].astype(dtype), train_labels=TRAIN[1])
    np.testing.assert_array_equal(dataset.train.images, TRAIN[0])


def test_pixels_of_0_and_1_are_doubted(tmp_path):
    dataset = opened(tmp_path / "dark.npz", train_images=TRAIN[0] // 255, train_labels=TRAIN[1])
    assert dataset.problems == (
        f"{tmp_path / 'dark.npz'}: no pixel of its training images is above 1: 0 to 255 is expected",
    )


def test_a_fifth_validates_where_a_number_is_not_given_and_there_is_no_split(npz, tmp_path):
    assert open_dataset(npz, image_size=None, held_out=None).validation.size == 6
    own = {"train_images": TRAIN[0], "train_labels": TRAIN[1], "val_images": TEST[0], "val_labels": TEST[1]}
    np.savez(tmp_path / "own.npz", **own)
    assert open_dataset(tmp_path / "own.npz", image_size=None, held_out=None).validation.size == 9


# === That mean harm ===


def member(shape, dtype="|u1", data=b"", order=False):
    """A .npy file that says it has a shape."""
    header = repr({"descr": dtype, "fortran_order": order, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def archive(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


SMALL = member((2, 2, 2, 3), data=bytes(24))


@pytest.mark.parametrize(
    ("images", "labels", "word"),
    [
        (member((10**9, 100, 100, 3)), member((2,), data=bytes(2)), "more than the 68,719,476,736 bytes"),
        (member((2, 9, 9, 3)), member((2,), data=bytes(2)), "holds 0 bytes of it: it is damaged"),
        (SMALL, member((10**9,), "<i8"), "holds 0 bytes of it"),
        (SMALL, member((-2,), data=bytes(2)), "labels"),
        (SMALL, member((2,), "|O", bytes(16)), "Python objects"),
        (SMALL, member((2,), [("a", "<i4")], bytes(8)), "records"),
        (SMALL, b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"), "has a header of 2,147,483,648 bytes"),
        (SMALL, b"\x93NUMPY\x09\x00", "cannot be read"),
        (SMALL, b"", "cannot be read"),
        (SMALL, member((2,), data=bytes(2)).replace(b"descr", b"dexcr"), "cannot be read"),
        (SMALL, member("x" * 9000), "cannot be read"),
        (SMALL, member((2,), data=bytes(2)).replace(b"(2,)", b"(" * 90 + b")" * 90), "train_labels"),
    ],
)
def test_headers_are_checked_before_memory_is_taken(tmp_path, images, labels, word):
    path = archive(tmp_path / "odd.npz", train_images=images, train_labels=labels)
    assert word in refusal(path) or "cannot be read" in refusal(path)


def test_more_than_the_machine_has_is_not_unpacked(tmp_path, monkeypatch):
    import psutil

    path = tmp_path / "large.npz"
    np.savez_compressed(path, train_images=np.zeros((100, 32, 32, 3), np.uint8), train_labels=np.arange(100) % 2)
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(available=300_000))
    assert refusal(path).endswith("bytes of memory, of which 300,000 are free: use a folder")


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (np.array([["a", "b", "c"]]), "it must be text (classes,)"),
        (np.array(["a", "b", ""]), "an empty name"),
        (np.array(["a", "b", "c" * 1001]), "a name has at most 1000 characters"),
        (np.array([b"a", b"b", b"\xff"]), "cannot be read"),
        (np.array(["a", "b"]), "labels go from 0 to 2"),
        (np.array([]), "it must be text"),
        (np.array(["a"])[:0], "there must be 1 to"),
        (np.array([0.5, 1.5, 2.5]), "it must be text"),
    ],
)
def test_class_names_are_checked(tmp_path, names, word):
    np.savez(tmp_path / "names.npz", train_images=TRAIN[0], train_labels=TRAIN[1], class_names=names)
    assert word in refusal(tmp_path / "names.npz")


def test_damaged_files_are_refused_in_one_line(npz, tmp_path):
    """Bytes of a small file changed at random: a dataset, or one line; nothing else."""
    content, random, refused = npz.read_bytes(), np.random.default_rng(0), 0
    path = tmp_path / "damaged.npz"
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(0, len(damaged), random.integers(1, 4)):
            damaged[place] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            open_dataset(path, image_size=None)
        except ValueError as error:
            assert "\n" not in str(error) and str(error).startswith(str(path))
            refused += 1
    assert refused > 50


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
