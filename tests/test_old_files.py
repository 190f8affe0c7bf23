"""What version 0.1.0 saved goes on working: files that it wrote, and what it computed from them.

`tests/fixtures/make_v0_1.py` says how each was made.
"""

import csv
import dataclasses
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet import NASNET_A, NASNET_B, NASNET_C, Genotype, NASNet, NASNetBackbone, extract_features
from keras_nasnet.inference import FORMATS, FoldedNASNet
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.presets import get_plan, to_toml
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_best
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.status import status
from keras_nasnet.training import get_recipe, train
from keras_nasnet.zoo import load_weights
from tests.support.small_search import history, search

FOLDER = Path(__file__).parent / "fixtures" / "v0_1"
EXTRAS = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}


@pytest.fixture(scope="module")
def expected():
    return dict(np.load(FOLDER / "expected.npz"))


@pytest.fixture(scope="module")
def inputs(expected):
    return expected["pixels"].astype("float32") / 127.5 - 1


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Returns the folder of a part; tests that write make a copy of their own."""
    places = {}

    def unpack(part, place=None):
        if place is None and part in places:
            return places[part]
        folder = place or places.setdefault(part, tmp_path_factory.mktemp(part))
        with zipfile.ZipFile(FOLDER / f"{part}.zip") as archive:
            archive.extractall(folder)
        return folder

    return unpack


def close(found, expected, relative=1e-5):
    found = keras.ops.convert_to_numpy(found)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


@pytest.mark.parametrize("name", ["everything", "nasnet_b", "nasnet_c"])
def test_networks(name, unpacked, expected, inputs):
    model = keras_nasnet.load(unpacked("models") / f"{name}.keras")
    assert model.class_names == ("dark", "grey", "größer")
    assert model.preprocessing.to_dict()["mean"] == [120, 110, 100]
    close(model(inputs, training=False), expected[name])
    if name == "everything":
        genotype = Genotype.from_dict(model.get_config()["genotype"])
        blocks = [block for cell in (genotype.normal, genotype.reduction) for block in cell.blocks]
        assert len({name for block in blocks for name in block.operations}) == 16  # all that there were
        assert len({block.combine for block in blocks}) == 4


def test_a_network_with_an_auxiliary_head(unpacked, expected, inputs):
    model = keras_nasnet.load(unpacked("models") / "auxiliary.keras")
    outputs = model(inputs, training=False)
    for name in ("predictions", "auxiliary_predictions"):
        close(outputs[name], expected[f"auxiliary/{name}"])


def test_a_backbone(unpacked, expected, inputs):
    model = keras.saving.load_model(unpacked("models") / "backbone.keras")
    assert isinstance(model, NASNetBackbone)
    pyramid = keras.Model(model.inputs, model.pyramid_outputs)(inputs, training=False)
    assert {f"backbone/{level}" for level in pyramid} == {name for name in expected if name.startswith("backbone/")}
    for level, value in pyramid.items():
        close(value, expected[f"backbone/{level}"])


def test_a_folded_network(unpacked, expected, inputs):
    model = keras.saving.load_model(unpacked("models") / "folded.keras")
    assert isinstance(model, FoldedNASNet) and model.class_names == ("dark", "grey", "größer")
    close(model(inputs, training=False), expected["folded"])


SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "classes": 3, "input_shape": (32, 32, 3)}


@pytest.fixture(scope="module")
def small():
    return NASNet("nasnet_a", **SMALL)


@pytest.mark.parametrize(
    ("name", "relative"),
    [
        ("nasnet_a.weights.h5", 1e-5),
        ("nasnet_a.h5", 1e-5),
        ("nasnet_a.safetensors", 1e-5),
        ("nasnet_a_float16.safetensors", 1e-2),
    ],
)
def test_weights(name, relative, small, unpacked, expected, inputs):
    for variable in small.weights:
        variable.assign(np.zeros(variable.shape))
    load_weights(unpacked("models") / name, small)
    close(small(inputs, training=False), expected["nasnet_a"], relative)


def test_weights_of_timm(unpacked, expected, inputs):
    model = NASNet("nasnet_a", **SMALL | {"num_blocks": 6, "stem_filters": 4, "skip_reduction": True})
    load_weights(unpacked("models") / "nasnet_a_timm.safetensors", model)
    close(model(inputs, training=False), expected["nasnet_a_timm"])


def test_genotypes(unpacked):
    folder = unpacked("data") / "genotypes"
    digests = dict(line.split() for line in (folder / "digests.txt").read_text().splitlines())
    found = {name: Genotype.from_json((folder / f"{name}.json").read_text()) for name in digests}
    assert {name: genotype.digest for name, genotype in found.items()} == digests  # keys of isomorphic children
    assert all(found[genotype.name] == genotype for genotype in (NASNET_A, NASNET_B, NASNET_C))
    for name, genotype in found.items():
        assert genotype.to_json() == (folder / f"{name}.json").read_text()


@pytest.mark.parametrize("name", ["quick", "nasnet", "enas", "cascade"])
def test_plans(name, unpacked):
    folder = unpacked("data") / "plans"
    plan = get_plan(folder / f"{name}.toml")
    assert plan == Plan.from_dict(json.loads((folder / f"{name}.json").read_text())) == get_plan(name)
    assert to_toml(plan) == (folder / f"{name}.toml").read_text()


def test_features(unpacked, monkeypatch):
    model = keras_nasnet.load(unpacked("models") / "everything.keras")
    monkeypatch.chdir(unpacked("data"))
    with np.load("features.npz") as old:
        found = extract_features(model, "photos")
        assert old["paths"].tolist() == list(found.paths) and old["labels"].tolist() == list(found.labels)
        close(found.features, old["features"])


def test_a_finished_training_run(unpacked, expected, tmp_path, monkeypatch):
    folder = unpacked("training")
    recipe = get_recipe(folder / "squares.toml")
    assert get_recipe(folder / "finished" / "recipe.toml") == dataclasses.replace(recipe, dataset="squares.npz")
    assert recipe.to_toml() == (folder / "squares.toml").read_text()
    for source in (folder / "finished", unpacked("publishing") / "squares"):
        close(keras_nasnet.load(source)(_squares(), training=False), expected["training"])


def test_a_training_run_that_was_killed_goes_on(unpacked, expected, tmp_path, monkeypatch):
    folder = unpacked("training", tmp_path)
    monkeypatch.chdir(folder)
    said = []
    result = train("squares.toml", "unfinished", data="squares.npz", resume=True, say=said.append)
    assert any("goes on after step" in line for line in said)
    assert result.epochs == 3
    undisturbed, resumed = (_numbers(folder / name / "history.csv") for name in ("finished", "unfinished"))
    assert len(resumed) == 3
    for one, other in zip(undisturbed, resumed, strict=True):
        assert other == pytest.approx(one, rel=1e-3, abs=1e-6)
    close(result.network(_squares(), training=False), expected["training"], 1e-3)


def test_a_published_model_is_whole(unpacked):
    folder = unpacked("publishing") / "squares"
    model = keras.saving.load_model(folder)
    assert json.loads((folder / "preprocessing.json").read_text()) == model.preprocessing.to_dict()
    assert json.loads((folder / "class_names.json").read_text()) == list(model.class_names)


def test_a_finished_search(unpacked, tmp_path):
    folder = unpacked("searches", tmp_path) / "finished"
    with Store.open(folder / FILE, readonly=True) as store:
        assert Plan.from_dict(store.config) == get_plan(tmp_path / "small.toml")
        now = status(store)
        assert all(stage["finished"] == stage["planned"] for stage in now["stages"].values())
        assert {*now["stages"]} == {"proxy", "search", "selection", "final"}
        export_best(store, tmp_path / "best.json")
    assert (tmp_path / "best.json").read_text() == (folder / "best.json").read_text()
    assert Genotype.from_json((folder / "best.json").read_text()).name
    assert write_report(folder).read_text().count("<svg")


def test_a_search_that_was_stopped_goes_on(unpacked, tmp_path):
    folder = unpacked("searches", tmp_path)
    with Store.open(folder / "unfinished" / FILE, readonly=True) as store:
        before = len(store.trials(state="done"))
        plan = Plan.from_dict(store.config)
    search(folder / "unfinished", plan)
    (undisturbed, updates, _), (resumed, others, _) = (history(folder / name) for name in ("finished", "unfinished"))
    assert before < len(resumed)
    # What is computed with floats may differ by a digit on another processor.
    plain = [[dataclasses.replace(trial, log_prob=None, device="") for trial in all] for all in (undisturbed, resumed)]
    assert plain[0] == plain[1]
    assert [row.keys() for row in updates] == [row.keys() for row in others]
    for one, other in zip(updates, others, strict=True):
        for name, value in one.items():
            assert other[name] == (pytest.approx(value, rel=1e-3, abs=1e-6) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("onnx", "toy.onnx"),
        ("openvino", "toy.xml"),
        ("litert", "toy.tflite"),
        ("saved_model", "toy"),
        ("keras", "toy.keras"),
    ],
)
def test_exports(name, file, unpacked, expected, inputs):
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name], reason=f"needs the extra [{name}]")
    runner = FORMATS.get(name).read(unpacked("exports") / file)
    assert runner.metadata["class_names"] == ["dark", "grey", "größer"]
    close(runner.run(inputs), expected["exports"], 1e-4)


def test_a_detector(unpacked, expected):
    pytest.importorskip("official", reason="needs the extra [detection]")
    from keras_nasnet.detection import FasterRCNN
    from keras_nasnet.detection.detector_folder import read_class_names
    from keras_nasnet.detection.garden.checkpoints import restore
    from keras_nasnet.detection.garden.params import read_params

    folder = unpacked("detector")
    detector = FasterRCNN.load(folder / "published")
    assert detector.class_names == ("circle", "square") == read_class_names(folder / "run")
    network = detector.params.task.model.as_dict()
    assert read_params(folder / "run").task.model.as_dict() == network
    for name in ("published", "run"):  # the second without building all of it again
        if name == "run":
            for variable in detector.model.variables:
                variable.assign(np.zeros(variable.shape))
            restore(detector.model, folder / "run")
        (found,) = detector.predict([expected["detector/image"]])
        close(found.scores, expected["detector/scores"], 1e-3)
        close(found.boxes, expected["detector/boxes"], 1e-3)


def _squares():
    squares = np.random.default_rng(3).integers(0, 256, (3, 4, 4, 3), np.uint8)
    return np.kron(squares, np.ones((1, 4, 4, 1), np.uint8)) / np.float32(127.5) - 1


def _numbers(path):
    with open(path) as file:
        return [
            {name: float(text) for name, text in row.items() if text and name not in ("images_per_second", "seconds")}
            for row in csv.DictReader(file)
        ]
