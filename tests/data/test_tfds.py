"""Sets of tensorflow-datasets: real photographs as JPEG, the splits, and what can be wrong."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data import datasets
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.datasets import open_dataset

tfds = pytest.importorskip("tensorflow_datasets")


def smooth(number, width, height):
    """A picture that a JPEG file keeps well."""
    corners = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def store(data_dir, name, splits, labels=("cat", "dog"), shape=(None, None, 3)):
    """Stores a set; `splits` gives (encoded image, label) for each split."""
    features = {"image": tfds.features.Image(shape=shape), "label": tfds.features.ClassLabel(names=labels)}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: [(i, {"image": io.BytesIO(image), "label": label}) for i, (image, label) in enumerate(examples)]
            for split, examples in splits.items()
        },
        data_dir=data_dir,
        download_config=tfds.download.DownloadConfig(num_shards=2),
    )


FILES = {  # of varied sizes, JPEG and PNG mixed as ImageNet has them
    split: [
        encoded(smooth(first + number, 40 + 7 * number, 70 - 3 * number), "PNG" if number % 4 == 3 else "JPEG")
        for number in range(12)
    ]
    for first, split in ((0, "train"), (100, "validation"))
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("tfds")
    splits = {split: [(file, number % 2) for number, file in enumerate(files)] for split, files in FILES.items()}
    store(data_dir, "pets", splits | {"test": [(file, -1) for file in FILES["validation"]]})
    store(data_dir, "pets_labelled", splits | {"test": splits["train"][:3]})
    return str(data_dir)


def all_of(split):
    batches = list(split.eval_batches(5))
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])


def nearest(image, others):
    """Returns which of the others is most like an image, and the largest difference."""
    differences = np.abs(np.asarray(others, int) - image).reshape(len(others), -1)
    best = differences.mean(1).argmin()
    return best, differences[best].max()


# === Images ===


@pytest.mark.parametrize(("crop", "fraction"), [(None, 1.0), (RandomCrop(), 0.875)])
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (96, 96)])
def test_images_are_as_pillow_gives_them(data_dir, crop, fraction, size):
    dataset = open_dataset("pets", image_size=size, data_dir=data_dir, crop=crop, in_memory=False)
    fit = Preprocessing(*size, crop_fraction=fraction).fit
    expected = [fit(Image.open(io.BytesIO(file))) for file in FILES["validation"]]
    images, labels = all_of(dataset.validation)
    assert images.shape == (12, *size, 3)
    found = [nearest(image, expected) for image in images]
    assert sorted(index for index, _ in found) == list(range(12))
    # Pillow rounds once more, between the two directions.
    assert max(difference for _, difference in found) <= 3
    assert list(labels) == [index % 2 for index, _ in found]


def test_random_crops_come_from_the_image(data_dir):
    train = open_dataset("pets", image_size=(16, 16), data_dir=data_dir, crop=RandomCrop()).train
    images = np.concatenate([images for images, _ in train.train_batches(4, 0, 0)])
    whole = all_of(open_dataset("pets", image_size=(16, 16), data_dir=data_dir).train)[0]
    assert {image.tobytes() for image in images}.isdisjoint({image.tobytes() for image in whole})
    # As bright on the average over many epochs; a wrong box would show corners or black.
    many = np.concatenate([images for epoch in range(12) for images, _ in train.train_batches(12, epoch, 0)])
    assert abs(many.mean() - whole.mean()) < 6


def test_in_memory_equals_streamed(data_dir):
    streamed = open_dataset("pets", image_size=(32, 32), data_dir=data_dir, in_memory=False)
    loaded = open_dataset("pets", image_size=(32, 32), data_dir=data_dir)
    assert hasattr(loaded.train, "images")
    assert not hasattr(streamed.train, "images")
    for split in ("train", "validation"):
        for one, other in zip(all_of(getattr(streamed, split)), all_of(getattr(loaded, split)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_large_sets_are_streamed(data_dir, monkeypatch):
    monkeypatch.setattr(datasets, "IN_MEMORY_BYTES", 24 * 32 * 32 * 3 - 1)
    assert not hasattr(open_dataset("pets", image_size=(32, 32), data_dir=data_dir).train, "images")


# === Splits ===


def test_the_splits_share_no_image(data_dir):
    def sizes(name, held_out):
        dataset = open_dataset(name, image_size=(32, 32), held_out=held_out, data_dir=data_dir)
        splits = [split for split in (dataset.train, dataset.validation, dataset.test) if split is not None]
        return [split.size for split in splits], [{image.tobytes() for image in all_of(split)[0]} for split in splits]

    # The test split without labels is never used; what the validation split was for, it is kept for.
    all_counts, all_seen = sizes("pets", 0)
    assert all_counts == [12, 12]
    counts, seen = sizes("pets", 5)
    assert counts == [7, 5, 12]
    assert len(set.union(*seen)) == 24
    assert seen[0] | seen[1] == all_seen[0]
    assert sizes("pets_labelled", 0)[0] == [12, 12, 3]
    assert sizes("pets_labelled", 5)[0] == [7, 5, 3]


def test_without_the_test_split_its_file_is_not_even_opened(tmp_path):
    store(tmp_path, "pets", {split: [(file, 0) for file in FILES["train"]] for split in ("train", "test")})
    for file in tmp_path.rglob("*-test.*"):
        file.unlink()
    dataset = open_dataset("pets", image_size=(16, 16), held_out=4, data_dir=str(tmp_path), with_test=False)
    assert (dataset.train.size, dataset.validation.size, dataset.test) == (8, 4, None)


def test_what_is_held_out_is_the_same_in_memory_and_for_any_seed(data_dir):
    held = [
        open_dataset("pets", image_size=(32, 32), held_out=5, data_dir=data_dir, **options).validation
        for options in ({}, {"in_memory": False}, {"seed": 3})
    ]
    images = [all_of(split)[0] for split in held]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])


def test_class_names_and_counts(data_dir):
    dataset = open_dataset("pets", image_size=(32, 32), data_dir=data_dir, in_memory=False)
    assert dataset.class_names == ("cat", "dog")
    assert dataset.train.class_counts().tolist() == [6, 6]


# === Problems ===


def refusal(name, data_dir, **options):
    with pytest.raises(ValueError) as error:
        open_dataset(name, **{"image_size": (32, 32), "data_dir": data_dir} | options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_opened(data_dir):
    unknown = "no such folder or file, and tensorflow-datasets has no set of this name"
    assert refusal("no_such_set", data_dir) == f"no_such_set: {unknown}"
    assert refusal("photos/flowers", data_dir) == f"photos/flowers: {unknown}"
    assert "no such folder or file" in refusal("my photos", data_dir)
    assert "only: " in refusal("cifar10:9.9.9", data_dir)
    assert "run `tfds build cifar10` once" in refusal("cifar10", data_dir)
    assert "its images vary in size" in refusal("pets", data_dir, image_size=None)
    assert refusal("pets", data_dir, held_out=12) == "held_out is 12: pets has only 12 training images"


def test_sets_that_are_no_image_classification(tmp_path):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="numbers",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"image": tfds.features.Text(), "label": tfds.features.Text()}),
        split_datasets={"train": [(0, {"image": "a", "label": "b"})]},
        data_dir=tmp_path,
    )
    said = refusal("tfds:numbers", str(tmp_path))
    assert said.startswith("numbers: no image classification: one feature Image and one ClassLabel are wanted")
    assert "image (Text)" in said and "label (Text)" in said
    store(tmp_path, "two_splits", {part: [(file, 0) for file in FILES["train"][:2]] for part in ("test", "night")})
    assert refusal("two_splits", str(tmp_path)).startswith("two_splits: has no split named train, only ")
    assert refusal("tfds:", str(tmp_path)).startswith("tfds:: give the name of a set")


def store_features(data_dir, name, features, examples):
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": list(enumerate(examples))},
        data_dir=data_dir,
    )


def test_features_by_any_name_and_greys(tmp_path):
    greys = [np.full((10, 12, 1), 20 * number, np.uint8) for number in range(10)]
    label = tfds.features.ClassLabel(names=["cat", "dog"])
    examples = [{"x_ray": grey, "finding": number % 2, "age": number} for number, grey in enumerate(greys)]
    features = {"x_ray": tfds.features.Image(shape=(10, 12, 1)), "finding": label, "age": np.int64}
    store_features(tmp_path, "x_rays", features, examples)
    dataset = open_dataset("tfds:x_rays", image_size=None, data_dir=str(tmp_path))
    assert (dataset.class_names, dataset.train.image_shape) == (("cat", "dog"), (10, 12, 3))
    images, labels = all_of(dataset.train)
    assert {(int(image[0, 0, 0]), int(label)) for image, label in zip(images, labels, strict=True)} == {
        (20 * number, number % 2) for number in range(10)
    }
    assert (images == images[..., :1]).all()

    twice = {"left": tfds.features.Image(), "right": tfds.features.Image(), "label": label}
    store_features(
        tmp_path, "twice", twice, [{"left": greys[0].repeat(3, 2), "right": greys[0].repeat(3, 2), "label": 0}]
    )
    said = refusal("twice", str(tmp_path)).partition("it has ")[2]
    assert sorted(said.split(", ")) == ["label (ClassLabel)", "left (Image)", "right (Image)"]
    floats = {"image": tfds.features.Image(shape=(4, 4, 1), dtype=np.float32), "label": label}
    store_features(tmp_path, "floats", floats, [{"image": np.zeros((4, 4, 1), np.float32), "label": 0}])
    assert refusal("floats", str(tmp_path)) == "floats: the images in its feature image are float32: uint8 is wanted"


def test_one_split_is_the_training_split_and_a_fifth_validates_where_no_number_is_given(tmp_path):
    store(tmp_path, "tests_only", {"test": [(file, 0) for file in FILES["train"][:10]]})
    dataset = open_dataset("tfds:tests_only", image_size=(16, 16), data_dir=str(tmp_path), held_out=None)
    assert (dataset.train.size, dataset.validation.size, dataset.test) == (8, 2, None)
    assert open_dataset("tests_only", image_size=(16, 16), data_dir=str(tmp_path)).validation.size == 0


def test_with_and_without_its_prefix(data_dir):
    for held_out, sizes in ((None, (12, 12)), (5, (7, 5))):
        dataset = open_dataset("tfds:pets", image_size=(16, 16), data_dir=data_dir, held_out=held_out)
        assert (dataset.train.size, dataset.validation.size) == sizes


def test_a_broken_image_is_met_only_by_the_worker_that_decodes_it(tmp_path):
    broken = FILES["train"][0][:100]
    store(tmp_path, "broken", {"train": [(file, 0) for file in [*FILES["train"][:7], broken]]})
    train = open_dataset("broken", image_size=(32, 32), data_dir=str(tmp_path), in_memory=False).train

    def outcome(start, shard):
        try:
            return len(list(train.train_batches(4, 0, 0, start, shard)))
        except ValueError as error:
            return str(error)

    outcomes = [outcome(0, (index, 4)) for index in range(4)]
    assert sorted(map(str, outcomes))[:3] == ["2", "2", "2"]
    (word,) = [word for word in outcomes if word != 2]
    assert word.startswith("broken, train[:8]: cannot be read (")
    assert "\n" not in word
    with_start = [outcome(1, (index, 4)) for index in range(4)]
    if with_start != [1, 1, 1, 1]:  # it is in the second batch: then the first is whole
        assert len(list(zip(range(1), train.train_batches(4, 0, 0), strict=False))) == 1


# === CIFAR-10 ===


@pytest.mark.skipif(
    not (Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser() / "cifar10").exists(),
    reason="needs CIFAR-10, prepared: tfds build cifar10",
)
def test_cifar10():
    dataset = open_dataset("cifar10", image_size=None, held_out=5000, in_memory=False)
    assert [dataset.train.size, dataset.validation.size, dataset.test.size] == [45000, 5000, 10000]
    assert dataset.train.image_shape == (32, 32, 3)
    assert (dataset.train.class_counts() + dataset.validation.class_counts()).tolist() == [5000] * 10
