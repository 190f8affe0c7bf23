"""Engines: which is taken, that all say the same, and that a warm cache needs no Keras."""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet import NASNet
from keras_nasnet.cli.main import main
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.inference import comparison
from keras_nasnet.inference.classification import classify
from keras_nasnet.inference.engines.compiled import CompiledEngine
from keras_nasnet.inference.engines.engine import Engine
from keras_nasnet.inference.engines.registry import ENGINES, candidates, installed_engines
from keras_nasnet.models.predictor import Predictor
from keras_nasnet.zoo.prediction import load_predictor
from tests.support import ROOT
from tests.support.toy import NETWORK

NAMES = ["ant", "bee", "cow", "dog"]


def needs(*names):
    """Marks for engines that may not be installed, or be fed on another backend than TensorFlow."""
    return [
        pytest.param(
            name,
            marks=[
                pytest.mark.skipif(not ENGINES.get(name).is_installed, reason=f"{name} is not installed"),
                pytest.mark.skipif(
                    name == "onnxruntime" and importlib.util.find_spec("tf2onnx") is None, reason="no tf2onnx"
                ),
                pytest.mark.skipif(
                    keras.backend.backend() != "tensorflow" and name != "tensorflow",
                    reason="compiled networks come from TensorFlow",
                ),
            ],
        )
        for name in names
    ]


ALL, COMPILED = needs(*ENGINES), needs("openvino", "onnxruntime", "litert")


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory):
    """One for all, so that each network is compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("keras")
        patch.setenv("KERAS_HOME", str(home))
        yield home


def small(images, **arguments):
    """A network of one block a cell, whose classifier is unsure of these images, as those of trained networks are."""
    model = NASNet(**NETWORK, **({"stem": "cifar", "classes": 4, "class_names": NAMES} | arguments))
    head = model.get_layer("predictions")
    features = keras.Model(model.inputs, head.input)
    largest = max(float(np.abs(features(model.preprocess(image))).max()) for image in images)
    kernel = np.random.default_rng(0).uniform(-0.5, 0.5, head.kernel.shape) / largest
    head.kernel.assign(kernel.astype("float32"))
    return model


@pytest.fixture(scope="module")
def model(photographs):
    return small(photographs)


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    """The model as a file."""
    path = tmp_path_factory.mktemp("model") / "small.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def opened(file, photographs):
    """Returns what an engine reports of the file when it is opened for the first time, and its probabilities."""

    @functools.cache
    def first(engine):
        lines = []
        predictor = load_predictor(file, engine, report=lines.append)
        return tuple(lines), predictor.predict_images(photographs)

    return first


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Paths of 5 images."""
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number in range(5):
        Image.fromarray(generator.integers(0, 256, (40 + number, 60, 3), np.uint8)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


# === Choice ===


def test_the_fastest_that_is_installed_is_taken(monkeypatch):
    assert list(ENGINES) == ["openvino", "onnxruntime", "litert", "tensorflow"]
    there = {"openvino", "litert", "tensorflow"}
    monkeypatch.setattr(Engine, "is_installed", property(lambda engine: engine.name in there))
    assert candidates()[0].name == "openvino"
    there.remove("openvino")
    assert candidates()[0].name == "litert"
    assert installed_engines() == ["litert", "tensorflow"]
    assert [engine.name for engine in candidates("tensorflow")] == ["tensorflow"]
    with pytest.raises(ValueError, match=r"^OpenVINO is not installed: pip install 'keras-nasnet\[openvino\]'$"):
        candidates("openvino")
    with pytest.raises(ValueError, match="'tensorrt': choose from openvino, onnxruntime, litert, tensorflow"):
        candidates("tensorrt")


@pytest.mark.parametrize("name", ["reloaded", "tests.support.plugin_engine:ENGINE"])
def test_an_engine_of_ones_own(name, model, photographs, monkeypatch):
    monkeypatch.setattr(ENGINES, "_rows", dict(ENGINES._rows))
    ENGINES.register("reloaded", "tests.support.plugin_engine:ENGINE")
    assert "reloaded" in installed_engines()
    assert candidates()[-1].name == "tensorflow"  # others are taken only where they are asked for
    found = model.predictor(name)
    assert found.engine == "reloaded"
    np.testing.assert_allclose(
        found.predict_images(photographs), model.predict_images(photographs, "tensorflow"), atol=1e-5
    )
    with pytest.raises(ValueError, match="engine is 'math:pi': that is a float, no"):
        model.predictor("math:pi")
    with pytest.raises(ValueError, match="Keras, reloaded does not compute in bfloat16: OpenVINO does"):
        model.predictor(name, "bfloat16")


# === Probabilities ===


@pytest.mark.parametrize("engine", ALL)
def test_each_engine_gives_the_probabilities_of_the_model(model, photographs, engine):
    expected = keras.ops.convert_to_numpy(model(model.preprocess(photographs), training=False))
    found = model.predict_images(photographs, engine=engine)
    assert (found.dtype, found.shape) == (np.float32, (5, 4))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for one in (photographs[0], Image.open(photographs[0]), np.asarray(Image.open(photographs[0]))):
        np.testing.assert_allclose(model.predict_images(one, engine=engine), expected[:1], atol=1e-5)
    np.testing.assert_allclose(model.predict_images(photographs, engine, batch=2), expected, atol=1e-5)
    several = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = keras.ops.convert_to_numpy(model(model.preprocess(several), training=False))
    np.testing.assert_allclose(model.predict_images(several, engine=engine), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("engine", "arguments"),
    [
        pytest.param(*engine.values, arguments, marks=engine.marks)
        for engine, arguments in zip(
            COMPILED,
            (
                {"dtype": "mixed_bfloat16", "input_shape": (48, 64, 3)},
                {"auxiliary_head": True, "class_names": None},
                {"classifier_activation": None, "pool_padding": "keras"},
            ),
            strict=True,
        )
    ],
)
def test_all_kinds_of_classifiers(photographs, engine, arguments):
    """Each by one engine: what makes them alike is not the engines' (`classifier.with_probabilities`)."""
    model = small(photographs, **arguments)
    exact = NASNet.from_config(model.get_config() | {"dtype": "float32"})
    exact.set_weights(model.get_weights())
    np.testing.assert_allclose(
        model.predict_images(photographs, engine), exact.predict_images(photographs, "tensorflow"), atol=1e-5
    )


@pytest.mark.parametrize("engine", needs("openvino", "litert"))
def test_images_of_any_size(photographs, engine, tmp_path):
    model = small(photographs, input_shape=(None, None, 3))
    expected = [row for _, row in model.predictor("tensorflow").predict_each(photographs)]
    np.testing.assert_allclose(model.predict_images(photographs, engine, batch=3), expected, atol=1e-5)
    Image.new("RGB", (20, 40)).save(tmp_path / "small.png")
    with pytest.raises(ValueError, match=r"small\.png: 20x40 pixels are too few"):
        model.predict_images(tmp_path / "small.png", engine)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 24, 69])
@pytest.mark.parametrize("engine", needs("openvino", "tensorflow"))
def test_any_number_of_images_whatever_is_computed_at_once(model, engine, count):
    """OpenVINO takes 8 of 32 pixels at once, and what is left over one by one; Keras 64, 8 or 1, and fills up to 8."""
    images = np.random.default_rng(count).integers(0, 256, (count, 32, 32, 3), np.uint8)
    expected = keras.ops.convert_to_numpy(model(model.preprocess(images), training=False))
    assert np.ptp(expected, axis=0).max() > 1e-3 or count == 1  # so that a changed order is seen
    np.testing.assert_allclose(model.predict_images(images, engine), expected, atol=1e-5)


@pytest.mark.parametrize("engine", needs("openvino"))
def test_bfloat16_is_nearly_the_network_and_compiled_for_itself(model, photographs, engine):
    exact = model.predict_images(photographs, engine)
    nearly = model.predict_images(photographs, engine, precision="bfloat16")
    assert nearly.dtype == np.float32
    np.testing.assert_allclose(nearly, exact, atol=0.02)
    np.testing.assert_array_equal(model.predict_images(photographs, engine), exact)


DROPPED_BY_ANOTHER_THREAD = """
import gc, signal, sys, threading
from keras_nasnet.zoo.prediction import load_predictor
noted = []
signal.signal(signal.SIGINT, lambda *_: noted.append("noted"))
predictors = [load_predictor(sys.argv[1], "openvino")]
thread = threading.Thread(target=lambda: (predictors.clear(), gc.collect()))
thread.start()
thread.join()
signal.raise_signal(signal.SIGINT)
print(*noted)
"""


@pytest.mark.parametrize("engine", needs("openvino"))
def test_ctrl_c_is_noted_after_a_network_was_dropped_by_another_thread(engine, opened, file):
    opened(engine)
    program = [sys.executable, "-c", DROPPED_BY_ANOTHER_THREAD, file]
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "noted\n"), done.stderr


def test_a_precision_that_an_engine_does_not_know_is_refused(model, photographs):
    with pytest.raises(ValueError, match="LiteRT does not compute in bfloat16: OpenVINO does"):
        model.predict_images(photographs, "litert", precision="bfloat16")
    with pytest.raises(ValueError, match="precision is 'int4': choose from float32, bfloat16"):
        model.predict_images(photographs, precision="int4")


@pytest.mark.parametrize("engine", needs("onnxruntime"))
def test_what_a_runtime_computes_otherwise_is_not_taken(photographs, engine, monkeypatch):
    model = small(photographs)
    monkeypatch.setattr(comparison, "TOLERANCE", -1.0)  # nothing is as near as that
    with pytest.raises(ValueError, match=r"cannot compute nasnet: what was written differs from the network by"):
        model.predict_images(photographs, engine)


def test_changed_weights_are_seen_and_a_predictor_keeps_its_own(model, photographs):
    weights = model.get_weights()
    model = NASNet.from_config(model.get_config())  # of the same weights, so it is compiled already
    model.set_weights(weights)
    kept = model.predictor()
    before = model.predict_images(photographs)
    assert model.predictor() is kept
    bias = model.get_layer("predictions").bias
    bias.assign([5.0, 0.0, 0.0, 0.0])
    after = model.predict_images(photographs)
    assert (after[:, 0] > before[:, 0] + 0.1).all()
    np.testing.assert_array_equal(kept.predict_images(photographs), before)


def test_what_is_refused(model, photographs, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png: not an image"):
        model.predict_images([photographs[0], tmp_path / "text.png"])
    with pytest.raises(ValueError, match="there is no image"):
        model.predict_images([])
    with pytest.raises(ValueError, match="batch is 0: it must be at least 1"):
        model.predict_images(photographs, batch=0)
    with pytest.raises(ValueError, match="engine is 'magic': choose from"):
        model.predict_images(photographs, engine="magic")
    features = NASNet(**NETWORK, stem="cifar", include_top=False)
    for engine in installed_engines():
        with pytest.raises(ValueError, match="no classifier"):
            features.predict_images(photographs, engine)


# === Many Images ===


def test_a_folder_of_any_size_takes_the_memory_of_a_few_batches(model):
    ready = model.predictor()
    ready.predict_images(np.zeros((2, 32, 32, 3), np.uint8))  # whatever an engine allocates once
    side, count = 400, 300  # 144 MB of pixels

    def images():
        for number in range(count):
            yield np.full((side, side, 3), number % 256, np.uint8)

    tracemalloc.start()
    rows = sum(1 for _ in ready.predict_each(images(), batch=4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == count
    assert peak < 20 * side * side * 3 + 10e6  # five batches of four, where all would be 300


def test_the_next_images_are_read_while_one_batch_is_computed():
    later = threading.Event()

    class Runner:
        metadata = {"name": "net", "classes": 2, "class_names": None, "preprocessing": Preprocessing(32, 32).to_dict()}
        overlapped: list[bool] = []

        def run(self, images):
            if not self.overlapped:
                self.overlapped.append(later.wait(30))
            return np.zeros((len(images), 2), np.float32)

    class Image:  # as an array, which says when it is read
        def __init__(self, number):
            self.number = number

        def __array__(self, dtype=None, copy=None):
            if self.number >= 2:
                later.set()
            return np.zeros((32, 32, 3), np.uint8)

    rows = list(Predictor(Runner(), "none").predict_each(map(Image, range(6)), batch=2))
    assert (len(rows), Runner.overlapped) == (6, [True])


def test_threads_may_share_a_predictor(model, photographs):
    ready = model.predictor()
    expected = ready.predict_images(photographs)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: ready.predict_images(photographs), range(20)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_broken_files_keep_their_place(model, photographs, tmp_path):
    (tmp_path / "broken.png").write_bytes(photographs[0].read_bytes()[:100])
    paths = [tmp_path / "broken.png", photographs[0], tmp_path / "none.png", photographs[1], tmp_path / "none.png"]
    results = list(model.predictor().predict_each(paths, batch=2))
    assert [path for path, _ in results] == paths
    assert [isinstance(row, ValueError) for _, row in results] == [True, False, True, False, True]
    np.testing.assert_allclose([results[1][1], results[3][1]], model.predict_images(photographs[:2]), atol=1e-6)


def test_classify_takes_an_engine(model, photographs):
    for engine in installed_engines()[-1:]:
        found = list(classify(model, photographs, top=3, engine=engine))
        assert [path for path, _ in found] == photographs
        assert all(len(predictions) == 3 for _, predictions in found)


# === Cached ===


def loaded_once(monkeypatch):
    """Counts the compilations."""
    compiled = []
    original = CompiledEngine.make

    def counting(engine, *arguments):
        compiled.append(engine.name)
        original(engine, *arguments)

    monkeypatch.setattr(CompiledEngine, "make", counting)
    return compiled


@pytest.mark.parametrize("engine", COMPILED)
def test_a_network_is_compiled_once_and_anew_where_it_is_damaged(
    keras_home, file, opened, photographs, engine, monkeypatch
):
    lines, expected = opened(engine)
    assert lines == (f"compiling small for {ENGINES.get(engine).title}, once on this machine",)
    compiled = loaded_once(monkeypatch)
    again = []
    found = load_predictor(file, engine, report=again.append).predict_images(photographs)
    np.testing.assert_array_equal(found, expected)
    assert compiled == again == []
    name = {"openvino": "one.blob", "onnxruntime": "network.onnx", "litert": "network.tflite"}[engine]
    [network] = (keras_home / "models/keras_nasnet/compiled").glob(f"small.*/{name}")
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 255
    network.write_bytes(content)
    np.testing.assert_allclose(load_predictor(file, engine).predict_images(photographs), expected, atol=1e-6)
    assert compiled == [engine]


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "jax", "torch", "h5py"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocker())
from keras_nasnet.cli.main import main
main()
"""


@pytest.mark.parametrize("engine", COMPILED)
def test_with_a_warm_cache_classify_imports_neither_tensorflow_nor_keras(file, opened, photographs, engine):
    opened(engine)
    options = ["--json", "--model", str(file), "--engine", engine]
    expected = CliRunner().invoke(main, ["classify", str(photographs[0]), *options])
    assert expected.exit_code == 0, expected.output
    command = [sys.executable, "-c", BLOCKED, "classify", photographs[0], *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert [entry["label"] for entry in json.loads(result.stdout)["predictions"]] == [
        entry["label"] for entry in json.loads(expected.stdout)["predictions"]
    ]


def test_an_engine_that_fails_is_refused_if_asked_for_and_else_passed_over(photographs, monkeypatch):
    model = small(photographs)

    def fails(*arguments):
        raise RuntimeError("an operation\nthat it does not know")

    monkeypatch.setattr(CompiledEngine, "_make", fails)
    for engine in [name for name in installed_engines() if name != "tensorflow"]:
        with pytest.raises(ValueError, match="cannot compute nasnet: an operation that it does not know") as raised:
            model.predictor(engine)
        assert "\n" not in str(raised.value)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        assert model.predictor().engine == "tensorflow"


def test_the_blocker_blocks(photographs):
    command = [sys.executable, "-c", BLOCKED, "classify", photographs[0], "--engine", "tensorflow"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2
    assert "is blocked" in result.stderr


def test_an_engine_that_is_missing_is_refused_before_keras(photographs, monkeypatch):
    monkeypatch.setattr(Engine, "is_installed", property(lambda engine: engine.name == "tensorflow"))
    result = CliRunner().invoke(main, ["classify", str(photographs[0]), "--engine", "litert"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "Error: LiteRT is not installed: pip install 'keras-nasnet[litert]'\n"
