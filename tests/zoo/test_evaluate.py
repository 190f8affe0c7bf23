"""zoo.evaluate: right numbers, classes by name, bounded memory, and everything that it refuses."""

import importlib.util
import io
import subprocess
import sys
import threading
import time
import weakref

import keras
import numpy as np
import pytest
from PIL import Image

from keras_nasnet import Block, CellSpec, Genotype, NASNet, zoo
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.common.reading import BATCHES
from keras_nasnet.data.labelled_images import open_images, read_batches
from keras_nasnet.zoo.scores import Scores
from tests.support import JAX, environment
from tests.support.backends import OTHER_BACKENDS
from tests.support.eager import eagerly

_CELL = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((0, 2),), 2)
TINY = {"genotype": Genotype(_CELL, _CELL, penultimate_ratio=8), "num_blocks": 1, "penultimate_filters": 32}
CLASSES = ("fish", "cat", "ant", "dog", "emu", "bee", "gnu")  # not in order of name
SIZES = {name: 3 + number % 3 for number, name in enumerate(sorted(CLASSES))}


def build(**options):
    return NASNet(**TINY, stem="cifar", **{"classes": 7, "class_names": CLASSES} | options)


@pytest.fixture(scope="module", autouse=True)
def eager():
    """The command's tests have the graph."""
    with eagerly():
        yield


@pytest.fixture(scope="module")
def net(folder):
    """Not trained; its classifier tells the images apart, and is wrong about most with every confidence."""
    keras.utils.set_random_seed(0)
    network = build(preprocessing=Preprocessing(32, 32, crop_fraction=0.8, mean=(120, 110, 100), std=(60, 60, 70)))
    body = keras.Model(network.input, network.get_layer("avg_pool").output)
    features = body.predict(network.preprocess(files(folder)[0]), verbose=0)
    head = network.get_layer("predictions")
    kernel = np.random.default_rng(1).normal(0, 0.3, head.kernel.shape) / (features.std(0)[:, None] + 1e-3)
    head.kernel.assign(kernel)
    head.bias.assign(-features.mean(0) @ kernel)
    return network


def picture(number):
    random = np.random.default_rng(number)
    corners = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((40 + 3 * number, 90 - 2 * number), Image.Resampling.BICUBIC)


def fill(folder, sizes=SIZES):
    for name, count in sizes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            suffix = ("png", "jpg")[number % 2]
            picture(5 * sorted(SIZES).index(name) + number if name in SIZES else 0).save(
                folder / name / f"{number}.{suffix}"
            )
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("images"))


def files(folder):
    """The images and their labels in the model's order of classes."""
    pairs = [(path, CLASSES.index(name)) for name in CLASSES for path in sorted((folder / name).iterdir())]
    return [path for path, _ in pairs], np.array([label for _, label in pairs])


def direct(probabilities, labels):
    """Top-1, top-5 and ECE, one image at a time."""
    order = [sorted(range(len(row)), key=lambda label: -row[label]) for row in probabilities]
    right = np.array([ranked[0] == label for ranked, label in zip(order, labels, strict=True)])
    top5 = np.mean([label in ranked[:5] for ranked, label in zip(order, labels, strict=True)])
    confidence, ece = probabilities.max(1), 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            ece += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return right.mean(), top5, ece


def outputs(network, paths, preprocessing):
    return network.predict(preprocessing(paths), verbose=0)


def assert_same(one, other):
    assert (one.images, one.per_class) == (other.images, other.per_class)
    assert (one.top1, one.top5) == (other.top1, other.top5)
    assert one.ece == pytest.approx(other.ece, abs=1e-5)


# === Numbers ===


@pytest.mark.parametrize("batch", [7, 100])
def test_numbers_are_those_of_all_probabilities(net, folder, batch):
    paths, labels = files(folder)
    probabilities = outputs(net, paths, net.preprocessing)
    top1, top5, ece = direct(probabilities, labels)
    assert 0 < top1 < top5 < 1
    result = zoo.evaluate(net, folder, batch=batch)
    assert (result.top1, result.top5) == pytest.approx((top1, top5))
    assert result.ece == pytest.approx(ece, abs=1e-5)
    assert result.images == len(paths) == sum(one.images for one in result.per_class)
    assert [one.name for one in result.per_class] == list(CLASSES)
    assert [one.images for one in result.per_class] == [SIZES[name] for name in CLASSES]
    predicted = probabilities.argmax(1)
    recalls = [np.mean(predicted[labels == label] == label) for label in range(7)]
    assert [one.recall for one in result.per_class] == pytest.approx(recalls)
    assert result.images_per_second > 0
    assert result.preprocessing == net.preprocessing.to_dict()
    assert result.parameters == net.count_params()


@pytest.mark.parametrize("classes", [3, 40])
def test_scores_in_any_portions(classes):
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (500, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([random.choice(classes, p=row) for row in probabilities])
    scores = Scores(classes)
    for low, high in ((0, 1), (1, 200), (200, 500)):
        scores.add(probabilities[low:high], labels[low:high])
    top1, top5, ece = direct(probabilities, labels)
    assert scores.top1 == pytest.approx(top1)
    assert scores.top5 == (None if classes == 3 else pytest.approx(top5))
    assert scores.ece == pytest.approx(ece)
    assert scores.images.tolist() == np.bincount(labels, minlength=classes).tolist()


def test_scores_of_known_calibration():
    scores = Scores(2)
    scores.add(np.array([[0.9, 0.1]] * 10), np.array([0] * 8 + [1] * 2))  # 0.9 said, 0.8 right
    scores.add(np.array([[0.4, 0.6]] * 10), np.array([1] * 10))  # 0.6 said, all right
    assert scores.top1 == 0.9
    assert scores.ece == pytest.approx((0.1 + 0.4) / 2)


def test_equal_probabilities_are_no_hit():
    scores = Scores(10)
    scores.add(np.full((10, 10), 0.1), np.arange(10))
    assert (scores.top1, scores.top5) == (0.1, 0.5)


def test_size_and_crop(net, folder):
    paths, labels = files(folder)
    larger = build(input_shape=(48, 40, 3))
    larger.set_weights(net.get_weights())
    preprocessing = Preprocessing(48, 40, crop_fraction=0.5, mean=(120, 110, 100), std=(60, 60, 70))
    top1, top5, ece = direct(outputs(larger, paths, preprocessing), labels)
    result = zoo.evaluate(net, folder, size=(48, 40), crop=0.5)
    assert (result.top1, result.top5) == pytest.approx((top1, top5))
    assert result.ece == pytest.approx(ece, abs=1e-5)
    assert result.preprocessing == preprocessing.to_dict()
    assert result.ece != pytest.approx(zoo.evaluate(net, folder, size=(48, 40)).ece, abs=1e-4)
    assert net.preprocessing.height == 32


def test_logits_auxiliary_head_and_any_size(net, folder):
    expected = zoo.evaluate(net, folder, size=40)
    shared = {"preprocessing": net.preprocessing}
    logits, anything = build(classifier_activation=None, **shared), build(input_shape=(None, None, 3), **shared)
    auxiliary = build(auxiliary_head=True, input_shape=(40, 40, 3), **shared)
    known = {weight.path: weight for weight in net.weights}
    for other in (logits, anything, auxiliary):
        for weight in other.weights:
            if weight.path in known:
                weight.assign(known[weight.path])
        result = zoo.evaluate(other, folder, size=40)
        assert_same(result, expected)
        assert result.parameters == expected.parameters


def test_five_classes_have_no_top5(folder, tmp_path):
    few = dict.fromkeys(sorted(CLASSES)[:5], 1)
    result = zoo.evaluate(build(classes=5, class_names=list(few)), fill(tmp_path / "few", few))
    assert result.top5 is None
    assert result.to_markdown_row().split("|")[7].strip() == ""


# === Some of the classes ===


def test_some_of_the_classes_are_measured_plain_and_restricted_to_them(net, folder, tmp_path):
    some = ("cat", "bee", "emu")
    for name in some:
        (tmp_path / "some" / name.upper()).parent.mkdir(exist_ok=True)
        (tmp_path / "some" / name.upper()).symlink_to(folder / name)
    paths, labels = files(folder)
    chosen = [place for place, label in enumerate(labels) if CLASSES[label] in some]
    probabilities = outputs(net, [paths[place] for place in chosen], net.preprocessing)
    columns = [CLASSES.index(name) for name in sorted(some)]
    among = probabilities[:, columns] / probabilities[:, columns].sum(1, keepdims=True)
    result = zoo.evaluate(net, tmp_path / "some", batch=4)
    assert (result.classes, result.images) == (3, len(chosen))
    assert result.top1 == pytest.approx(np.mean(probabilities.argmax(1) == labels[chosen]))
    expected = direct(among, [columns.index(label) for label in labels[chosen]])
    assert result.restricted.top1 == pytest.approx(expected[0])
    assert (result.restricted.top1 > result.top1) and result.restricted.top5 is None
    assert result.restricted.ece == pytest.approx(expected[2], abs=1e-5)
    assert [one.name for one in result.per_class if one.images] == ["cat", "emu", "bee"]
    plain, restricted = (line.split("|") for line in result.to_markdown_row().splitlines())
    assert plain[2].strip() == f"{tmp_path / 'some'}, 3 of 7 classes"
    assert restricted[2].strip() == f"{tmp_path / 'some'}, 3 of 7 classes, restricted to these"
    assert float(restricted[6].strip(" %")) == pytest.approx(100 * expected[0], abs=0.01)
    whole = zoo.evaluate(net, folder)
    assert (whole.classes, whole.restricted) == (None, None)


# === Data ===


def test_which_folder_is_taken(net, folder, tmp_path):
    for name in ("test", "val", "train"):
        (tmp_path / name).symlink_to(folder)
    expected = zoo.evaluate(net, folder)
    assert expected.split is None
    for split in ("test", "val"):
        result = zoo.evaluate(net, tmp_path)
        assert result.split == split
        assert_same(result, expected)
        (tmp_path / split).unlink()
    assert zoo.evaluate(net, str(tmp_path), split="train").split == "train"


def store(data_dir, name, splits, labels):
    """Stores a set of tensorflow-datasets; `splits` gives (encoded image, label) for each split."""
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {"image": tfds.features.Image(), "label": labels}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: [
                (number, {"image": io.BytesIO(image), "label": label}) for number, (image, label) in enumerate(examples)
            ]
            for split, examples in splits.items()
        },
        data_dir=data_dir,
    )


def class_label(names):
    return pytest.importorskip("tensorflow_datasets").features.ClassLabel(names=names)


def test_tensorflow_datasets(net, folder, tmp_path):
    """The same files, the classes in another order; test images without labels are left alone."""
    names = CLASSES[::-1]
    paths, _ = files(folder)
    labelled = [(path.read_bytes(), names.index(path.parent.name)) for path in paths]
    unlabelled = [(path.read_bytes(), -1) for path in paths[:3]]
    store(tmp_path, "zoo_a", {"validation": labelled, "test": unlabelled}, class_label(names))
    result = zoo.evaluate(net, "tfds:zoo_a", data_dir=str(tmp_path), batch=4)
    assert (result.data, result.split) == ("tfds:zoo_a", "validation")
    assert_same(result, zoo.evaluate(net, folder))
    part = zoo.evaluate(net, "tfds:zoo_a:1.0.0", split="validation[:6]", data_dir=str(tmp_path))
    assert (part.images, part.split) == (6, "validation[:6]")
    assert None in [one.recall for one in part.per_class]

    def said(*arguments, **options):
        return refusal(net, *arguments, data_dir=str(tmp_path), **options)

    assert said("tfds:zoo_a", split="test") == "zoo_a, test, image 0: its label is -1, not one of 0 to 6"
    assert said("tfds:zoo_a", split="night").startswith("zoo_a: there is no split 'night' (")
    assert said("tfds:zoo_a", split="validation[:0]") == "zoo_a: no image in validation[:0]"
    assert said("tfds:no_such_set").startswith("no_such_set: ")
    assert said("tfds:").startswith("tfds:: give the name of a set")


def test_sets_of_tensorflow_datasets_that_are_refused(net, folder, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    paths, _ = files(folder)
    whole = [(path.read_bytes(), 0) for path in paths[:5]]
    store(tmp_path, "train_only", {"train": whole}, class_label(CLASSES))
    store(tmp_path, "numbered", {"test": whole}, tfds.features.ClassLabel(num_classes=7))
    broken = [*whole, (paths[5].read_bytes()[:-200], 0)]
    store(tmp_path, "broken", {"test": broken}, class_label(CLASSES))

    def said(name):
        return refusal(net, f"tfds:{name}", data_dir=str(tmp_path))

    assert (
        said("train_only") == "train_only: no test or validation split with labels; choose a split of train (--split)"
    )
    assert said("broken").startswith("broken, test, image ")
    assert "cannot be read (" in said("broken")
    # To a model without names they are just numbers, to one with names its labels.
    assert zoo.evaluate(build(class_names=None), "tfds:numbered", data_dir=str(tmp_path)).images == 5
    (line,) = zoo.evaluate(net, "tfds:numbered", data_dir=str(tmp_path)).problems
    assert line == "tfds:numbered: its classes are numbers, taken for the model's labels: 0 is fish"


def test_cifar10_without_names_has_its_own(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    from keras_nasnet.data.tfds import class_names

    builder = tfds.builder("cifar10", data_dir=tmp_path)
    builder.info.features["label"].names = [str(number) for number in range(10)]
    assert class_names(builder, "label") == zoo.info("nasnet_a_cifar10").class_names
    builder = tfds.builder("mnist", data_dir=tmp_path)
    assert class_names(builder, "label") == tuple("0123456789")


def test_memory_does_not_grow_with_the_data(tmp_path):
    sizes = {"a": 40, "b": 40, "c": 40}
    images = open_images(fill(tmp_path / "images", sizes), None, None)
    alive, most, lock = 0, 0, threading.Lock()

    def gone():
        nonlocal alive
        with lock:
            alive -= 1

    def fit(image):
        nonlocal alive, most
        pixels = np.array(image.resize((8, 8)))
        with lock:
            alive += 1
            most = max(most, alive)
        weakref.finalize(pixels, gone)
        return pixels

    seen = 0
    for pixels, _ in read_batches(images, fit, 5):
        time.sleep(0.005)  # slower than the reading
        seen += len(pixels)
    assert seen == images.size == 120
    assert BATCHES * 5 <= most <= (BATCHES + 1) * 5


# === Refused ===


def refusal(*arguments, **options):
    with pytest.raises(ValueError) as error:
        zoo.evaluate(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_folders_that_are_refused(net, tmp_path):
    data = tmp_path / "data"
    assert refusal(net, data) == f"{data}: no such folder; a set of tensorflow-datasets is called tfds:NAME"
    data.mkdir()
    assert refusal(net, data).startswith(f"{data}: no class folders")
    fill(data)
    assert refusal(net, data, split="test") == f"{data}: has no folder test"
    (data / "yak").mkdir()
    picture(0).save(data / "yak" / "0.png")
    assert refusal(net, data).startswith(
        f"{data}: the model does not know its class 'yak'; the model has 'fish', 'cat'"
    )
    (data / "yak" / "0.png").unlink()
    (data / "emu" / "2.png").write_bytes((data / "emu" / "2.png").read_bytes()[:100])
    assert refusal(net, data).startswith(f"{data / 'emu' / '2.png'}: cannot be read")
    (data / "emu" / "2.png").write_text("no image")
    assert refusal(net, data).startswith(f"{data / 'emu' / '2.png'}: not an image (JPEG, PNG")


def test_models_and_options_that_are_refused(net, folder, monkeypatch, tmp_path):
    assert "no model is called 'nasnet_z'" in refusal("nasnet_z", folder)
    features = build(include_top=False, class_names=None)
    assert refusal(features, folder) == f"{features.name} has no classifier: it gives features only"
    assert refusal(build(input_shape=(None, None, 3)), folder).endswith("takes images of any size: choose one (size)")
    assert refusal(net, folder, batch=0) == "batch is 0: it must be 1 or more"
    assert refusal(net, folder, crop=1.5) == "crop is 1.5: it must be above 0, at most 1"
    assert "must be at least 8x8" in refusal(net, folder, size=7)
    broken = build()
    broken.get_layer("predictions").bias.assign(np.full(7, np.nan))
    assert refusal(broken, folder) == f"{broken.name}: its outputs are not finite numbers"
    # Before anything is downloaded.
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "the model does not know its classes 'cat', 'dog', 'emu'" in refusal("nasnet_a_mobile_keras", folder)
    assert "has no classifier" in refusal("nasnet_a_mobile_keras_no_top", folder)


# === Other backends ===

PROGRAM = """
import sys
from keras_nasnet import zoo
result = zoo.evaluate(sys.argv[1], sys.argv[2], batch=8)
print(result.top1, result.top5, result.ece, list(result.versions)[-1])
"""


@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_other_backends(net, folder, tmp_path, backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    net.save(tmp_path / "net.keras")
    expected = zoo.evaluate(tmp_path / "net.keras", folder, batch=8)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "net.keras"), str(folder)],
        env=environment(**(JAX if backend == "jax" else {"KERAS_BACKEND": backend})),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    top1, top5, ece, used = done.stdout.split()
    assert (float(top1), float(top5)) == pytest.approx((expected.top1, expected.top5))
    assert float(ece) == pytest.approx(expected.ece, abs=1e-4)
    assert used == backend
