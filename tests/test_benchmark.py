"""scripts/benchmark.py: what it compares is the same network."""

import importlib.util
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark.py"

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the script compares on TensorFlow"),
    pytest.mark.skipif(not SCRIPT.exists(), reason="needs the scripts of the checkout"),
]


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark"]


@pytest.fixture
def tiny(benchmark, monkeypatch):
    network = {"genotype": "nasnet_a", "num_blocks": 1, "penultimate_filters": 48, "stem": "cifar"}
    monkeypatch.setitem(benchmark.CASES, "cifar", benchmark.Case("tiny", 2, 32, 3, network))
    return benchmark.CASES["cifar"]


def test_twin_is_the_same_network(benchmark, tiny, monkeypatch):
    images, _ = benchmark.make_batch(tiny)
    ours, twin = benchmark.our_network(tiny), benchmark.stock_network(tiny)
    assert not [layer for layer in twin._flatten_layers() if type(layer).__module__.startswith("keras_nasnet")]
    benchmark.check_same(ours, twin, images)
    twin.layers[1].kernel.assign(np.zeros(twin.layers[1].kernel.shape))
    monkeypatch.setattr(benchmark, "copy_weights", lambda network, twin: None)
    with pytest.raises(RuntimeError, match="not the same as ours"):
        benchmark.check_same(ours, twin, images)


@pytest.fixture
def search(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    module = importlib.import_module("benchmark_search")
    monkeypatch.setattr(module, "CHILD", {"filters": 2, "num_blocks": 1})
    yield module
    del sys.modules["benchmark_search"]


@pytest.mark.slow
def test_a_child_is_far_sooner_at_its_first_step_than_stock_keras(search):
    times = search.measure_first_steps(1)
    assert times["ours"][0] < 0.6 * times["stock"][0]  # a fifth, where nothing else runs


def test_children_of_an_evaluator_are_timed(search):
    wall, cpu = search.measure_children({"name": "zero_cost"}, search.CHILD | {"epochs": 0}, 1)
    assert 0 < wall < 60 and cpu > 0
