"""Nothing that is published says where it lay on the publisher's machine: all bytes of all files are searched."""

import json
import os
import re

import pytest
from PIL import Image

from keras_nasnet import NASNet
from keras_nasnet.models.weights import save_model
from keras_nasnet.training.finetuning import finetune
from keras_nasnet.zoo.publishing import prepare, read_metrics
from tests.support.eager import eagerly
from tests.support.private import leaks
from tests.support.small_run import METRICS, REPO, SMALL, write_run
from tests.support.toy import GENOTYPE

RECIPE = """
name = "mine"
dataset = "/home/someone/My photos"
variant = "/home/someone/secret.keras"
[network]
genotype = "%s"
"""


def test_a_run_of_whose_data_the_last_name_is_told(tmp_path):
    write_run(tmp_path)
    (tmp_path / "best.json").write_text(GENOTYPE.to_json())
    (tmp_path / "recipe.toml").write_text(RECIPE % (tmp_path / "best.json"))
    (tmp_path / "metrics.json").write_text(
        json.dumps([METRICS[0] | {"data": "/home/someone/My photos validation, 40 images"}])
    )
    folder = prepare(tmp_path, REPO, tmp_path / "published")
    assert leaks(folder, "someone/My", "/home/", tmp_path) == []
    card = (folder / "README.md").read_text()
    for text in ("My photos validation, 40 images", 'dataset = "My photos"'):
        assert text in card
    assert json.loads((folder / "metrics.json").read_text())[0]["data"] == "My photos validation, 40 images"


@pytest.mark.parametrize("relative", [False, True])
def test_a_fine_tuning(tmp_path, monkeypatch, relative):
    monkeypatch.chdir(tmp_path)
    for color in ("red", "blue"):
        (tmp_path / "photos" / color).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (32, 32), color).save(tmp_path / "photos" / color / f"{number}.png")
    save_model(NASNet(**SMALL, classes=3), tmp_path / "source.keras")
    start = "" if relative else f"{tmp_path}/"
    settings = ["image_size=32", "batch=6"]
    with eagerly():
        finetune(f"{start}photos", f"{start}source.keras", 1, f"{start}run", settings=settings, say=lambda line: None)
    folder = prepare(f"{start}run", REPO, tmp_path / "published")
    assert leaks(folder, tmp_path) == []
    assert "photos validation" in (folder / "metrics.json").read_text()


def test_a_child_of_a_search(tmp_path):
    path = tmp_path / "search" / "best.json"
    path.parent.mkdir()
    path.write_text(GENOTYPE.to_json())
    save_model(NASNet(**SMALL | {"genotype": str(path)}, classes=3), tmp_path / "child.keras")
    assert leaks(prepare(tmp_path / "child.keras", REPO, tmp_path / "published"), tmp_path) == []


def test_what_is_called_by_a_path_is_refused_and_nothing_is_kept(tmp_path):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", class_names=["ant", "bee", f"{tmp_path}/run/cat"])
    with pytest.raises(ValueError, match=r"would publish the path .* of this machine"):
        prepare(tmp_path / "run", REPO, tmp_path / "published")
    assert os.listdir(tmp_path) == ["run"]


def test_text_of_others_is_text_on_the_card(tmp_path):
    write_run(tmp_path, class_names=["<b>", "|", "x"])
    result = METRICS[0] | {
        "data": "<script>alert(1) | test, 4 images",
        "script": "[click](http://host.example)",
    }
    (tmp_path / "metrics.json").write_text(json.dumps([result]))
    fence = "```\\n# Another card\\n<b>"
    (tmp_path / "recipe.toml").write_text(f'name = "<img src=x> [a](b)"\ndataset = "{fence}"\n')
    card = (prepare(tmp_path, REPO, tmp_path / "published") / "README.md").read_text()
    body = card.split("\n---\n", 1)[1]
    before, code, after = body.partition("````toml\n")
    assert code and "````\n" in after and "<b>" in after.split("\n````\n")[0]
    for text in (before, after.split("\n````\n")[1]):
        assert not re.search(r"(?<!\\)(<|>|\[click|\[a\])", text.split("## Use")[0] + text.split("## Results")[-1])
    assert "\\<script\\>" in before


@pytest.mark.parametrize(
    "change", [{"value": "high"}, {"value": float("nan")}, {"data": 5}, {"script": ["a"]}, {"seed": "x"}]
)
def test_results_that_are_none(tmp_path, change):
    (tmp_path / "metrics.json").write_text(json.dumps([METRICS[0] | change]))
    with pytest.raises(ValueError, match="not a file of results"):
        read_metrics(tmp_path)
