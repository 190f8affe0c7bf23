"""The model card: what the Hub and people read, an example that runs, nothing of the publisher's machine."""

import json
import re
import shutil

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image

from keras_nasnet.zoo import loading, publishing
from keras_nasnet.zoo.publishing import prepare
from tests.support.eager import eagerly
from tests.support.small_run import REPO, write_run


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run's folder, and the net in it."""
    run = tmp_path_factory.mktemp("run")
    return run, write_run(run)


def card_data(folder):
    return ModelCard.load(folder / "README.md").data


def test_the_card_says_what_the_hub_reads(small, tmp_path):
    folder = prepare(small[0], REPO, tmp_path / "out", licence="MIT")
    data = card_data(folder)
    assert (data.library_name, data.license, data.model_name) == ("keras", "mit", "small-net")
    assert "keras-nasnet" in data.tags
    (result,) = data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_type) == ("toys", "test", "accuracy")
    assert result.metric_value == 0.9125
    text = (folder / "README.md").read_text()
    assert "91.25 %" in text
    assert 'name = "mine"' in text
    assert 'dataset = "photos"' in text
    assert data.datasets is None  # a folder of that name, not a set on the Hub
    assert "/home" not in text  # places on the publisher's machine


def test_the_card_of_an_entry_keeps_published_results_out_of_the_measured(small, tmp_path):
    name = "nasnet_a_cifar10"
    data = card_data(prepare(name, "me/net", tmp_path / "out"))
    assert data.datasets == ["uoft-cs/cifar10"]
    assert [result.metric_value for result in data.eval_results] == [loading.entry(name).metrics[0]["value"]]
    entry = loading.entry("nasnet_a_mobile_keras")
    card = publishing.write_card(small[1], "me/net", None, publishing.Publisher().origin(entry.name, None))
    assert "74.37 % | ImageNet validation, 50,000 images | published, not rerun here" in card
    assert "model-index" not in card


def test_a_file_of_results_that_is_none(small, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "load", lambda source: small[1])
    shutil.copytree(small[0], tmp_path / "run")
    for text in ("{", "[1]", '[{"name": "top1"}]', "{}x"):
        (tmp_path / "run" / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match="not a file of results"):
            prepare(tmp_path / "run", REPO, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_results_of_evaluate_are_published(small, tmp_path, monkeypatch):
    run, model = small
    monkeypatch.setattr(loading, "load", lambda source: model)
    result = {"model": f"{run}/", "data": "tfds:toys", "split": "test", "images": 1200, "top1": 0.5, "top5": None}
    result |= {"ece": 0.0123456789, "date": "2026-01-02", "hardware": "an abacus"}
    path = tmp_path / "results.json"
    path.write_text(f"{json.dumps(result | {'model': 'other'})}\n{json.dumps(result)}\n")
    folder = prepare(run, REPO, tmp_path / "out", results=path)
    assert [(metric["name"], metric["value"]) for metric in json.loads((folder / "metrics.json").read_text())] == [
        ("top1", 0.5),
        ("ece", 0.012346),
    ]
    card = (folder / "README.md").read_text()
    assert "| top1 | 50.00 % | tfds:toys test, 1,200 images | measured: keras-nasnet evaluate, an abacus" in card
    assert {result.dataset_split for result in card_data(folder).eval_results} == {"test"}
    path.write_text(json.dumps(result | {"data": "/home/me/toys", "split": None}))
    assert "| toys, 1,200 images |" in (prepare(run, REPO, tmp_path / "out", results=path) / "README.md").read_text()
    for text, words in (
        ("{}", "not what"),
        ("[]", "not what"),
        ("null", "not what"),
        (json.dumps(result | {"model": "other"}), "has no result of"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            prepare(run, REPO, tmp_path / "out", results=path)


@pytest.mark.parametrize(
    "options",
    [
        {"auxiliary_head": True, "input_shape": (48, 48, 3), "preprocessing": None},
        {"class_names": None},
        {"include_top": False, "class_names": None},
    ],
    ids=["auxiliary head", "no names", "no top"],
)
def test_the_example_runs_for_every_kind_of_net(tmp_path, monkeypatch, options):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", **options)
    folder = prepare(tmp_path / "run", REPO, tmp_path / "out")
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((60, 50, 3), np.uint8)).save("photo.jpg")
    with eagerly():
        exec(code.replace(f"hf://{REPO}", str(folder)), {})
