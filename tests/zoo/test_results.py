"""docs/results.md: what scripts/make_results.py writes, and up to date with the catalog."""

import functools
import importlib.util
from dataclasses import replace

import pytest
from PIL import Image

from keras_nasnet import zoo
from tests.support import ROOT
from tests.support.eager import eagerly

SCRIPT, PAGE = ROOT / "scripts" / "make_results.py", ROOT / "docs" / "results.md"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="needs the scripts of the checkout")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_results", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def entries():
    return [zoo.info(name) for name in zoo.list()]


def test_published_results_are_the_catalog_s(script, entries):
    table = script.published(entries)
    assert table in PAGE.read_text()
    assert table.count("\n") == 1 + sum(len(entry.published) for entry in entries)
    assert "| nasnet_a_mobile_keras | ImageNet validation, 50,000 images | top1 | 74.366 % |" in table


def test_measured_results_are_the_catalog_s(script, entries):
    own = [entry for entry in entries if entry.metrics]
    assert own
    rows = [line for line in PAGE.read_text().splitlines() if line.count("|") == 11 and " % |" in line]
    assert [row.split("|")[1].strip() for row in rows] == [entry.name for entry in own]
    for row, entry in zip(rows, own, strict=True):
        metric = next(metric for metric in entry.metrics if metric["name"] == "top1")
        shown = float(row.split("|")[6].strip(" %")) / 100
        assert shown == pytest.approx(metric["value"], abs=script.TOLERANCE)
        assert row.split("|")[3].strip() in metric["data"]  # so many images


def test_another_accuracy_than_the_catalog_s_is_refused(script, entries, monkeypatch, tmp_path):
    (own,) = [entry for entry in entries if entry.name == "nasnet_a_cifar10"]
    for name in own.class_names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / name / "black.png")
    monkeypatch.setitem(script.DATA, "CIFAR-10 test", str(tmp_path))
    monkeypatch.setattr(zoo, "evaluate", functools.lru_cache(zoo.evaluate))
    with (
        eagerly(),
        pytest.raises(SystemExit, match=r"nasnet_a_cifar10: top-1 is 0\.1000, the catalog says .*: correct its entry"),
    ):
        script.measure(own, None)
    (metric,) = own.metrics
    evaluation = script.measure(replace(own, metrics=(metric | {"value": 0.1},)), None)
    text = script.page([evaluation], entries)
    assert evaluation.to_markdown_row() in text
    assert "| bird | 1 |" in text
    assert script.published(entries) in text
