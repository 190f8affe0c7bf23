"""What every kind of split must do, checked on arrays in memory, a folder and a set of tensorflow-datasets."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset
from keras_nasnet.data.split import assemble, eval_positions, held_out_indices, shard_range, train_positions

SIZE, CLASSES = 23, 3
LABELS = np.arange(SIZE) % CLASSES


def png(number):
    """A picture that differs everywhere from place to place, and whose first pixel is its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    pixels[0, 0] = number
    return pixels


def write_folder(folder):
    for number, label in enumerate(LABELS):
        place = folder / "train" / f"class{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(png(number)).save(place / f"{number:02}.png")
    for label in range(CLASSES):
        (folder / "val" / f"class{label}").mkdir(parents=True)
        Image.fromarray(png(99)).save(folder / "val" / f"class{label}" / "a.png")


def write_tfds(data_dir):
    tfds = pytest.importorskip("tensorflow_datasets")

    def examples():
        for number, label in enumerate(LABELS):
            encoded = io.BytesIO()
            Image.fromarray(png(number)).save(encoded, "PNG")
            encoded.seek(0)
            yield number, {"image": encoded, "label": int(label)}

    tfds.dataset_builders.store_as_tfds_dataset(
        name="numbered",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {"image": tfds.features.Image(shape=(12, 10, 3)), "label": tfds.features.ClassLabel(num_classes=CLASSES)}
        ),
        split_datasets={"train": list(examples())},
        data_dir=data_dir,
        download_config=tfds.download.DownloadConfig(num_shards=3),
        disable_shuffling=True,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder")
    write_folder(folder)
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    write_tfds(data_dir)
    return data_dir


@pytest.fixture(scope="module", params=["arrays", "folder", "tfds"])
def split(request):
    if request.param == "arrays":
        return ArraySplit(np.stack([png(number) for number in range(SIZE)]), LABELS, CLASSES)
    if request.param == "folder":
        place = request.getfixturevalue("folder")
        return open_dataset(place, image_size=(12, 10), in_memory=False).train
    place = request.getfixturevalue("data_dir")
    return open_dataset("numbered", image_size=None, data_dir=str(place), in_memory=False).train


@pytest.fixture(scope="module", params=["folder", "tfds"])
def cropping(request):
    if request.param == "folder":
        return open_dataset(request.getfixturevalue("folder"), image_size=(8, 8), crop=RandomCrop()).train
    data_dir = str(request.getfixturevalue("data_dir"))
    return open_dataset("numbered", image_size=(8, 8), data_dir=data_dir, crop=RandomCrop()).train


def numbers(batches):
    return [number for images, _ in batches for number in images[:, 0, 0, 0].tolist()]


def assert_equal(batches, others):
    for (images, labels), (other_images, other_labels) in zip(batches, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_an_epoch_has_every_image_once_with_its_own_label(split):
    batches = list(split.train_batches(1, epoch=0, seed=0))
    assert sorted(numbers(batches)) == list(range(SIZE))
    for images, labels in batches:
        assert (images.dtype, images.shape) == (np.uint8, (1, *split.image_shape))
        assert (labels.dtype, labels.shape) == (np.int32, (1,))
        np.testing.assert_array_equal(images[0], png(images[0, 0, 0, 0]))
        assert labels[0] == images[0, 0, 0, 0] % CLASSES


def test_the_order_follows_from_seed_and_epoch(split):
    first = numbers(split.train_batches(1, epoch=0, seed=0))
    assert first == numbers(split.train_batches(1, epoch=0, seed=0))
    assert first != sorted(first)
    others = [numbers(split.train_batches(1, epoch, seed)) for epoch, seed in ((1, 0), (0, 1), (2, 0))]
    assert len({tuple(order) for order in [first, *others]}) == 4


def test_the_incomplete_batch_is_dropped_while_training(split):
    assert [len(labels) for _, labels in split.train_batches(5, epoch=0, seed=0)] == [5] * 4
    with pytest.raises(ValueError, match="batch of 24 is larger than the training set of 23"):
        list(split.train_batches(24, epoch=0, seed=0))


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_a_continued_epoch_is_the_same(split, start):
    whole = list(split.train_batches(5, epoch=1, seed=7))
    assert_equal(split.train_batches(5, epoch=1, seed=7, start=start), whole[start:])


def test_random_crops_are_the_same_when_continued_or_sharded(cropping):
    whole = list(cropping.train_batches(4, epoch=1, seed=7))
    assert whole[0][0].shape == (4, 8, 8, 3)
    assert_equal(cropping.train_batches(4, epoch=1, seed=7, start=2), whole[2:])
    shards = [list(cropping.train_batches(4, epoch=1, seed=7, shard=(index, 2))) for index in range(2)]
    joined = [tuple(map(np.concatenate, zip(*slices, strict=True))) for slices in zip(*shards, strict=True)]
    assert_equal(joined, whole)


def test_random_crops_differ_between_epochs(cropping):
    seen = [
        {image.tobytes() for images, _ in cropping.train_batches(1, epoch, seed=7) for image in images}
        for epoch in (0, 1)
    ]
    assert len(seen[0]) == len(seen[1]) == SIZE
    assert not seen[0] & seen[1]


@pytest.mark.parametrize("start", [0, 2])
def test_shards_are_slices_of_the_global_batches(split, start):
    whole = split.train_batches(6, epoch=3, seed=1, start=start)
    shards = [list(split.train_batches(6, epoch=3, seed=1, start=start, shard=(index, 3))) for index in range(3)]
    assert {len(labels) for shard in shards for _, labels in shard} == {2}
    joined = [tuple(map(np.concatenate, zip(*slices, strict=True))) for slices in zip(*shards, strict=True)]
    assert_equal(joined, list(whole))


def test_evaluation_sees_every_image_once_always_in_the_same_order(split):
    batches = list(split.eval_batches(10))
    assert [len(labels) for _, labels in batches] == [10, 10, 3]
    assert sorted(numbers(batches)) == list(range(SIZE))
    assert_equal(split.eval_batches(10), batches)


def test_evaluation_by_shards(split):
    whole = list(split.eval_batches(10))
    shards = [list(split.eval_batches(10, shard=(index, 2))) for index in range(2)]
    assert [[len(labels) for _, labels in shard] for shard in shards] == [[5, 5, 3], [5, 5, 0]]
    assert shards[1][-1][0].shape == (0, *split.image_shape)
    joined = [tuple(map(np.concatenate, zip(*slices, strict=True))) for slices in zip(*shards, strict=True)]
    assert_equal(joined, whole)


def test_class_counts(split):
    assert split.class_counts().tolist() == [8, 8, 7]
    assert split.class_counts().dtype == np.int64


@pytest.mark.parametrize(("batch", "shard"), [(5, (0, 2)), (4, (2, 2)), (4, (-1, 2)), (0, (0, 1))])
def test_batches_that_cannot_be_shared_out(split, batch, shard):
    for batches in (lambda: split.eval_batches(batch, shard), lambda: split.train_batches(batch, 0, 0, 0, shard)):
        with pytest.raises(ValueError, match=r"shared out evenly|shard is"):
            list(batches())


def test_positions():
    assert shard_range(8, (1, 4)) == (2, 4)
    assert train_positions(10, 4, 1, (1, 2)) == [range(6, 8)]
    assert [list(positions) for positions in eval_positions(9, 4, (1, 2))] == [[2, 3], [6, 7], []]


# === What is held out ===


def test_a_fifth_of_each_class_is_held_out():
    labels = np.repeat([0, 1, 2, 3], [100, 10, 2, 3])
    held = held_out_indices(labels, None, seed=0)
    assert np.bincount(labels[held]).tolist() == [20, 2, 1, 1]
    assert held.tolist() == sorted(set(held.tolist())) == held_out_indices(labels, None, seed=0).tolist()
    assert held.tolist() != held_out_indices(labels, None, seed=1).tolist()


@pytest.mark.parametrize("count", [0, 1, 57, 199])
def test_a_number_is_held_out_evenly(count):
    labels = np.repeat([0, 1, 2], [100, 80, 20])
    held = held_out_indices(labels, count, seed=3)
    assert len(set(held.tolist())) == count
    np.testing.assert_allclose(np.bincount(labels[held], minlength=3), np.array([100, 80, 20]) * count / 200, atol=1)


@pytest.mark.parametrize("count", [-1, 200, 5000])
def test_too_many_held_out(count):
    with pytest.raises(ValueError, match=f"held_out is {count}: it must be from 0 to 199"):
        held_out_indices(np.zeros(200, int), count, seed=0)


def numbered(first, size):
    images = np.zeros((size, 1, 1, 3), np.uint8)
    images[:, 0, 0, 0] = range(first, first + size)
    return ArraySplit(images, np.arange(size) % 2, 2)


def test_the_splits_share_no_image():
    parts = {"train": numbered(0, 50), "validation": numbered(50, 10), "test": numbered(60, 10)}
    for names, held_out, sizes in (
        (("train", "validation", "test"), 0, (50, 10, 10)),
        (("train", "validation", "test"), 15, (35, 15, 10)),
        (("train", "validation"), 0, (50, 10, None)),
        (("train", "validation"), 15, (35, 15, 10)),  # the split that nothing else looks at is the test
        (("train", "test"), 15, (35, 15, 10)),
        (("train", "test"), 0, (50, 0, 10)),
        (("train",), None, (40, 10, None)),
    ):
        dataset = assemble("numbers", ("even", "odd"), {name: parts[name] for name in names}, held_out, seed=0)
        splits = [dataset.train, dataset.validation, dataset.test]
        assert tuple(split and split.size for split in splits) == sizes
        seen = [set(split.images[:, 0, 0, 0].tolist()) for split in splits if split is not None]
        assert len(set.union(*seen)) == sum(map(len, seen)) == sum(size or 0 for size in sizes)
