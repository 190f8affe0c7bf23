"""A model as a folder: whole, checked before it is parsed, and nothing but a NASNet."""

import json
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet.zoo.formats.assign import same_weights
from keras_nasnet.zoo.publishing import prepare
from tests.support.damage import damaged
from tests.support.same_weights import assert_equal, values
from tests.support.small_run import METRICS, REPO, SMALL, write_run


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run's folder, and the net in it."""
    run = tmp_path_factory.mktemp("run")
    return run, write_run(run)


@pytest.fixture(scope="module")
def prepared(small, tmp_path_factory):
    return prepare(small[0], REPO, tmp_path_factory.mktemp("prepared") / "out")


@pytest.fixture
def folder(prepared, tmp_path):
    """A copy of a folder that was prepared of the run."""
    return Path(shutil.copytree(prepared, tmp_path / "out"))


def test_a_folder_holds_the_model_and_all_that_belongs_to_it(small, folder):
    _, model = small
    assert {file.name for file in folder.iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "class_names.json",
        "config.json",
        "metadata.json",
        "metrics.json",
        "model.weights.h5",
        "preprocessing.json",
    }
    assert json.loads((folder / "class_names.json").read_text()) == ["ant", "bee", "größe"]
    assert json.loads((folder / "preprocessing.json").read_text()) == model.preprocessing.to_dict()
    assert json.loads((folder / "metrics.json").read_text()) == METRICS
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    loaded = keras_nasnet.load(folder)
    assert_equal(values(loaded), values(model))
    assert loaded.class_names == model.class_names
    assert loaded.preprocessing == model.preprocessing
    assert loaded.name == "small"
    assert_equal(values(keras.saving.load_model(folder)), values(model))


def test_a_run_folder_loads_as_its_model(small):
    assert_equal(values(keras_nasnet.load(small[0])), values(small[1]))


def test_writing_again_replaces_but_nothing_else_is_touched(small, folder, tmp_path):
    (folder / "README.md").write_text("old")
    prepare(small[0], REPO, folder)
    assert "small-net" in (folder / "README.md").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(ValueError, match=r"is no model's folder"):
        prepare(small[0], REPO, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.parametrize("cases", [pytest.param(30, id="30"), pytest.param(500, id="500", marks=pytest.mark.slow)])
@pytest.mark.parametrize("file", ["config.json", "model.weights.h5", "SHA256SUMS"])
def test_a_damaged_folder_is_refused_in_one_line(small, folder, file, cases):
    content, random = (folder / file).read_bytes(), np.random.default_rng(0)
    expected, loaded = values(small[1]), 0  # loaded: only a line changed that loading does not need
    for _ in range(cases):
        (folder / file).write_bytes(damaged(content, random))
        try:
            model = keras_nasnet.load(folder)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert file == "SHA256SUMS"
            assert_equal(values(model), expected)
            assert model.class_names == small[1].class_names
            loaded += 1
    assert loaded < cases * 0.8
    (folder / file).unlink()
    if file != "SHA256SUMS":
        with pytest.raises(ValueError, match=r"no model in this folder"):
            keras_nasnet.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registered_name": "Functional", "class_name": "Functional"}, "holds a Functional"),
        ({"registered_name": None, "class_name": "Lambda"}, "holds a Lambda"),
        ({"config": {"layers": []}}, "not a NASNet"),
        ({"config": {"genotype": "nasnet_z"}}, "is not a NASNet's"),
        ({"config": SMALL | {"classes": 7}}, "is not for this model"),
        ({"config": SMALL | {"classes": 3, "num_blocks": 2}}, "is not for this model"),
    ],
)
def test_only_a_nasnet_is_ever_built(folder, change, words):
    (folder / "SHA256SUMS").unlink()  # as of somebody else
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words) as error:
        keras_nasnet.load(folder)
    assert "\n" not in str(error.value)


def test_what_reads_back_as_another_model_is_not_kept(small, folder, tmp_path, monkeypatch):
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    real = keras.saving.save_model

    def save_another(model, *arguments, **options):
        model.weights[0].assign(model.weights[0] + 1)
        real(model, *arguments, **options)
        model.weights[0].assign(model.weights[0] - 1)

    monkeypatch.setattr(keras.saving, "save_model", save_another)
    with pytest.raises(ValueError, match="another model was read back"):
        prepare(small[0], REPO, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_one_line(small, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"out cannot be written \(") as error:
        prepare(small[0], REPO, tmp_path / "file" / "out")
    assert "\n" not in str(error.value)


def test_the_same_weights_are_the_same_names_and_bits(small, tmp_path):
    first, second = small[1], keras_nasnet.load(small[0])
    assert same_weights(first, second)
    second.weights[0].assign(second.weights[0] + 1)
    assert not same_weights(first, second)
    assert not same_weights(first, first.get_layer("cell_0"))
