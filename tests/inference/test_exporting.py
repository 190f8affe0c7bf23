"""Exports are the network, say what it is, and are there whole or not at all."""

import errno
import functools
import json
import os
import resource
import subprocess
import sys
import zipfile

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet, zoo
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.common.run_folder import output
from keras_nasnet.inference import comparison
from keras_nasnet.inference.exporting import export
from keras_nasnet.inference.folding import fold
from keras_nasnet.inference.formats import saved_model
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.inference.real_images import ImageFolder, photographs
from tests.support.exported import NAMES, SMALL, needs, network, path_of, tree, unsure
from tests.support.imagenet_samples import originals
from tests.support.plugin_format import FORMAT

ALL = FORMATS.names()
RUNTIMES = [name for name in ALL if name != "keras"]


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    """Returns the path of the model in a format; it is exported once."""

    @functools.cache
    def path(to):
        return export(model, to, path_of(tmp_path_factory.mktemp(to), to))

    return path


@pytest.fixture
def two_files(monkeypatch):
    """A format of one's own, which costs no converter."""
    monkeypatch.setattr(FORMATS, "_rows", dict(FORMATS._rows))
    FORMATS.register("two_files", FORMAT)
    return FORMAT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Real images to calibrate on."""
    folder = tmp_path_factory.mktemp("calibration")
    for number, image in enumerate(photographs()):
        for place in range(3):
            left = image.width * place // 4
            image.crop((left, 0, left + image.width // 2, image.height)).save(folder / f"{number}_{place}.png")
    return folder


def probabilities(model, images):
    outputs = keras.ops.convert_to_numpy(model(images, training=False))
    assert 0.2 < outputs.max() < 0.999 and np.abs(outputs[0] - outputs[1]).max() > 0.01
    return outputs


# === Equality ===


@pytest.mark.parametrize("to", ALL)
def test_an_export_is_the_network_and_knows_its_images(to, model, exported):
    needs(to)
    path = exported(to)
    assert tree(path.parent) == ({path.name, "exported.bin"} if to == "openvino" else {path.name})
    runner = FORMATS.get(to).read(path)
    images = model.preprocess(photographs())
    expected = probabilities(model, images)
    for count in (1, 4):
        found = runner.run(images[:count])
        assert found.dtype == np.float32
        assert np.abs(found - expected[:count]).max() <= 1e-4 * expected.max()
    assert runner.metadata["preprocessing"] == SMALL["preprocessing"].to_dict()
    assert runner.metadata["class_names"] == NAMES
    assert runner.metadata["int8"] is None


@pytest.mark.parametrize("to", RUNTIMES)
def test_images_of_any_size_one_at_a_time(to, tmp_path):
    needs(to)
    model = network(pool_padding="keras")  # whose pools depend on sizes most
    any_size = NASNet.from_config(model.get_config() | {"input_shape": [None, None, 3]})
    any_size.set_weights(model.get_weights())
    path = export(model, to, path_of(tmp_path, to), dynamic_size=True, dynamic_batch=False)
    runner = FORMATS.get(to).read(path)
    for height, width in ((32, 32), (57, 40)):
        images = np.random.default_rng(0).uniform(-1, 1, (2, height, width, 3)).astype(np.float32)
        expected = keras.ops.convert_to_numpy(any_size(images))
        assert np.abs(runner.run(images) - expected).max() <= 1e-4 * expected.max()


@pytest.mark.parametrize(
    "options",
    [
        {"classifier_activation": None},
        {"dtype": "mixed_bfloat16"},
        {"auxiliary_head": True, "input_shape": (96, 96, 3)},
    ],
)
def test_logits_low_precision_and_a_second_classifier_become_probabilities(options, two_files, tmp_path):
    model = network(**options)
    plain = network(**(options | {"dtype": "float32", "classifier_activation": "softmax", "auxiliary_head": False}))
    values = {variable.path: variable for variable in model.weights}
    for variable in plain.weights:
        variable.assign(values[variable.path])
    path = export(model, "two_files", tmp_path / "exported.keras")
    assert tree(tmp_path) == {"exported.keras", "exported.json"}
    size = plain.input_shape[1]
    images = np.random.default_rng(0).uniform(-2, 2, (2, size, size, 3)).astype(np.float32)
    expected = probabilities(plain, images)
    found = two_files.read(path).run(images)
    assert np.abs(found - expected).max() <= 1e-4 * expected.max()


def test_a_folded_network_is_exported_as_it_is(model, tmp_path):
    path = export(fold(model), "keras", tmp_path / "exported.keras")
    images = model.preprocess(photographs())
    assert np.abs(FORMATS.get("keras").read(path).run(images) - probabilities(model, images)).max() < 1e-5
    with pytest.raises(ValueError, match="is folded and keeps its size"):
        export(fold(model), "saved_model", tmp_path / "exported", dynamic_size=True)


@pytest.fixture(scope="module")
def imagenet():
    """NASNet-A with the ImageNet stem, and photographs of many sizes, preprocessed as the zoo does."""
    files = originals()
    keras.utils.set_random_seed(0)
    size = {"input_shape": (96, 96, 3), "preprocessing": Preprocessing(96, 96, 0.875)}
    model = unsure(NASNet("nasnet_a", num_blocks=1, penultimate_filters=264, classes=9, **size))
    batches = [model.preprocess(files[start : start + 10]) for start in range(0, len(files), 10)]
    assert np.ptp(np.concatenate([model.predict_on_batch(batch) for batch in batches]), axis=0).max() > 0.05
    return model, batches


@pytest.mark.parametrize(("to", "folded"), [*((to, True) for to in ALL), ("onnx", False)])
def test_imagenet_photographs_are_the_same_to_all(to, folded, imagenet, tmp_path):
    needs(to)
    model, batches = imagenet
    runner = FORMATS.get(to).read(export(model, to, path_of(tmp_path, to), fold=folded))
    assert comparison.compare(model, runner, batches).images == sum(map(len, batches))  # to 1e-4, or it raises


@pytest.mark.slow
@pytest.mark.parametrize("to", ALL)
@pytest.mark.parametrize("variant", ["nasnet_a_mobile_keras", "nasnet_a_large_keras"])
def test_imagenet_photographs_are_the_same_to_networks_of_full_size(variant, to, tmp_path):
    needs(to)
    files = originals()
    entry = zoo.info(variant)
    model = unsure(NASNet(**entry.builder, preprocessing=entry.preprocessing, class_names=entry.class_names))
    runner = FORMATS.get(to).read(export(model, to, path_of(tmp_path, to)))
    assert comparison.compare(model, runner, [model.preprocess([file]) for file in files]).images == len(files)


# === 8 bits ===


@pytest.fixture(scope="module")
def wide():
    """Of 32 filters: LiteRT leaves small kernels as they are."""
    model = network(penultimate_filters=256)
    head = model.get_layer("predictions")
    # Random features hardly differ between images: so much of a classifier that reads them as 8 bits can carry.
    head.set_weights([weights / 5 for weights in head.get_weights()])
    return model


@pytest.mark.parametrize(("to", "kind"), [(name, kind) for name in FORMATS for kind in FORMATS.get(name).int8])
def test_int8_is_smaller_and_nearly_the_network(to, kind, wide, folder, tmp_path):
    needs(to)
    found = []
    path = export(wide, to, path_of(tmp_path, to), int8=folder if kind == "full" else "weights", compared=found.append)
    [comparison] = found
    assert comparison.images == (12 if kind == "full" else 4)
    assert 1e-5 < comparison.difference < 0.3  # which float32 would not be
    runner = FORMATS.get(to).read(path)
    assert runner.metadata["int8"] == kind
    assert runner.run(wide.preprocess(photographs())).shape == (4, len(NAMES))


def test_a_calibration_reads_at_most_300_images_of_the_whole_folder(monkeypatch, folder):
    monkeypatch.setattr("keras_nasnet.inference.real_images.MAX_CALIBRATION_IMAGES", 5)
    images = ImageFolder(folder, SMALL["preprocessing"])
    assert len(images) == 5 and [path.name[0] for path in images.paths] == ["0", "0", "1", "2", "3"]
    assert [image.shape for image in images] == [(1, 32, 32, 3)] * 5


# === Files ===


def test_the_labels_of_a_litert_file_can_be_unzipped(exported):
    needs("litert")
    with zipfile.ZipFile(exported("litert")) as file:
        assert file.read("labels.txt").decode().splitlines() == NAMES


@pytest.mark.parametrize("to", ["two_files", "keras"])
def test_what_differs_is_not_kept(to, model, two_files, tmp_path, monkeypatch):
    monkeypatch.setattr(comparison, "TOLERANCE", -1.0)  # nothing is as near as that
    with pytest.raises(ValueError, match=r"differs from the network by .*: nothing is kept"):
        export(model, to, path_of(tmp_path, to))
    assert not tree(tmp_path)


def test_what_else_a_format_finds_wrong_is_not_kept(model, two_files, tmp_path, monkeypatch):
    def verify(runner, preprocessing):
        assert runner.metadata["class_names"] == NAMES and preprocessing == model.preprocessing
        raise ValueError("wrong in its own way")

    monkeypatch.setattr(two_files, "verify", verify)
    with pytest.raises(ValueError, match="wrong in its own way"):
        export(model, "two_files", tmp_path / "exported.keras")
    assert not tree(tmp_path)


def test_a_serving_signature_that_differs_is_refused(model, exported, monkeypatch):
    runner = saved_model.FORMAT.read(exported("saved_model"))
    saved_model.FORMAT.verify(runner, model.preprocessing)
    monkeypatch.setattr(saved_model, "SERVED_TOLERANCE", -1.0)
    with pytest.raises(ValueError, match=r"what is served of encoded images is not .*: nothing is kept"):
        saved_model.FORMAT.verify(runner, model.preprocessing)


@pytest.mark.parametrize(
    ("to", "name", "options", "words"),
    [
        ("pickle", "exported", {}, "export format is 'pickle': choose from onnx, openvino, litert, saved_model, keras"),
        ("litert", "exported.onnx", {}, "the name of an litert export ends in .tflite"),
        ("saved_model", "there", {}, "is there already"),
        ("saved_model", "exported", {"int8": "weights"}, "saved_model knows no int8 of this kind"),
        ("onnx", "exported.onnx", {"int8": "weights"}, "openvino and litert do"),
        ("litert", "exported.tflite", {"int8": "nowhere"}, "nowhere: no such folder"),
        ("keras", "exported.keras", {"dynamic_size": True}, "takes the network's own sizes"),
    ],
)
def test_what_cannot_be_is_refused(to, name, options, words, model, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match=words):
        export(model, to, tmp_path / name, **options)
    assert tree(tmp_path) == {"there"}


def test_networks_that_cannot_be_exported_are_refused(tmp_path):
    path = tmp_path / "exported"
    with pytest.raises(ValueError, match="has no classifier"):
        export(NASNet(**(SMALL | {"include_top": False})), "saved_model", path)
    any_size = SMALL | {"input_shape": (None, None, 3), "preprocessing": None}
    with pytest.raises(ValueError, match="takes images of any size"):
        export(NASNet(**any_size), "saved_model", path)
    with pytest.raises(TypeError, match="only a NASNet"):
        export(keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)]), "saved_model", path)
    assert not tree(tmp_path)


@pytest.mark.parametrize(
    ("to", "missing", "int8"),
    [
        ("onnx", "onnxruntime", None),
        ("onnx", "tf2onnx", None),
        ("openvino", "openvino", None),
        ("openvino", "nncf", "weights"),
        ("litert", "ai_edge_litert", None),
    ],
)
def test_without_the_runtime_a_line_names_the_extra(to, missing, int8, model, tmp_path, monkeypatch):
    form = FORMATS.get(to)
    for module in form.reads + form.writes + form.quantises:
        monkeypatch.setitem(sys.modules, module, type(sys)(module))  # as if it were installed
        sys.modules[module].__spec__ = sys.__spec__
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not
    with pytest.raises(ImportError, match=rf"{to} needs {missing}: pip install 'keras-nasnet\[{to}\]'"):
        export(model, to, path_of(tmp_path, to), int8=int8)
    if int8:
        form.require(writing=True)  # nothing but int8 needs it


# === Serving ===

SERVE = """
import json, sys
sys.modules["keras"] = sys.modules["keras_nasnet"] = None  # as if they were not installed
import tensorflow as tf
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
found = serve(image_bytes=tf.constant([open(path, "rb").read() for path in sys.argv[2:]]))
labels, probabilities = found["labels"].numpy(), found["probabilities"].numpy()
assert not [name for name in sys.modules if name.startswith(("keras.", "keras_nasnet."))]
print(json.dumps([[[label.decode() for label in row] for row in labels], probabilities.tolist()]))
"""


def test_a_saved_model_serves_encoded_images_without_keras_and_this_package(model, exported, tmp_path):
    path = exported("saved_model")
    files = [tmp_path / "0.png", tmp_path / "1.jpg"]
    for file, image in zip(files, photographs()[:2], strict=True):
        image.save(file)
    result = subprocess.run(
        [sys.executable, "-c", SERVE, path, *files], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    labels, values = json.loads(result.stdout)
    expected = probabilities(model, model.preprocess(files))
    for row, names, found in zip(expected, labels, values, strict=True):
        order = np.argsort(-row)[:5]
        assert names == [NAMES[number] for number in order]
        assert np.abs(found - row[order]).max() < 1e-2  # one level of a pixel here and there


# === Disks and names ===


@pytest.fixture
def small_files():
    """Files of this process may have a kilobyte: a full disk that needs no disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("to", ALL)
def test_where_there_is_no_room_nothing_is_left(to, model, tmp_path, small_files):
    needs(to)
    with pytest.raises(OSError) as caught:
        export(model, to, path_of(tmp_path / "new folder", to))
    assert caught.value.errno == errno.EFBIG and "exported" in caught.value.filename
    assert not list(tmp_path.iterdir())


def test_a_runtime_that_says_something_else_of_a_full_disk(model, two_files, tmp_path, monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def write(network, path, signature):
        path.write_bytes(b"half")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(two_files, "write", write, raising=False)
    try:
        with pytest.raises(OSError) as caught:
            export(model, "two_files", tmp_path / "exported.keras")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG and not list(tmp_path.iterdir())
    monkeypatch.setattr(two_files, "write", lambda *_: [][0], raising=False)
    with pytest.raises(IndexError):  # with room it is what it is
        export(model, "two_files", tmp_path / "exported.keras")
    assert not list(tmp_path.iterdir())


def test_of_two_files_both_appear_or_none(model, two_files, tmp_path, monkeypatch):
    replace = os.replace

    def fails_for_the_second(source, target):
        if str(target).endswith(".keras"):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_for_the_second)
    with pytest.raises(OSError, match="Input/output error"):
        export(model, "two_files", tmp_path / "exported.keras")
    assert not list(tmp_path.iterdir())


def test_names_that_cannot_be(model, two_files, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling.keras").symlink_to("nowhere")
    for name, word in (
        ("x" * 300 + ".keras", "File name too long"),
        ("file/exported.keras", "Not a directory"),
        ("dangling.keras", "is there already"),
    ):
        with pytest.raises(ValueError, match=word):
            export(model, "two_files", tmp_path / name)
    assert tree(tmp_path) == {"file", "dangling.keras"}
    long = export(model, "two_files", tmp_path / ("x" * 240 + ".keras"))
    assert long.is_file()


def test_a_second_export_waits_for_nothing_and_is_refused(model, two_files, tmp_path):
    with output(tmp_path / "exported.keras"), pytest.raises(ValueError, match="is being written by process"):
        export(model, "two_files", tmp_path / "exported.keras")
    assert not list(tmp_path.iterdir())
