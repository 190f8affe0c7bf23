"""scripts/benchmarks: what it compares is the same network."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support import ROOT, environment

pytest.importorskip("scripts.benchmarks", reason="needs the scripts of the checkout")
from scripts.benchmarks import common, search, train
from scripts.benchmarks import inference_gpu as gpu

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="they compare on TensorFlow")


@pytest.fixture
def tiny(monkeypatch):
    network = {"genotype": "nasnet_a", "num_blocks": 1, "penultimate_filters": 48, "stem": "cifar"}
    monkeypatch.setitem(train.CASES, "cifar", train.Case("tiny", 2, 32, 3, network))
    return train.CASES["cifar"]


def test_twin_is_the_same_network(tiny, monkeypatch):
    images, _ = train.make_batch(tiny)
    ours, twin = train.our_network(tiny), train.stock_network(tiny)
    assert not [layer for layer in twin._flatten_layers() if type(layer).__module__.startswith("keras_nasnet")]
    train.check_same(ours, twin, images)
    twin.layers[1].kernel.assign(np.zeros(twin.layers[1].kernel.shape))
    monkeypatch.setattr(train, "copy_weights", lambda network, twin: None)
    with pytest.raises(RuntimeError, match="not the same as ours"):
        train.check_same(ours, twin, images)


@pytest.fixture
def small_children(monkeypatch):
    monkeypatch.setattr(search, "CHILD", {"filters": 2, "num_blocks": 1})


@pytest.mark.slow
def test_a_child_is_far_sooner_at_its_first_step_than_stock_keras(small_children):
    times = search.measure_first_steps(1)
    assert times["ours"][0] < 0.6 * times["stock"][0]  # a fifth, where nothing else runs


def test_children_of_an_evaluator_are_timed(small_children):
    wall, cpu = search.measure_children({"name": "zero_cost"}, search.CHILD | {"epochs": 0}, 1)
    assert 0 < wall < 60 and cpu > 0


def test_gpu_rows_have_parts_of_what_the_card_reaches_and_reasons():
    card = {"mult_adds": 5e9, "flops": 1e12, "bytes": 1e11}
    found = {
        "card": [card, card],
        "unfolded": [{"failed": "out of memory"}, {"seconds": 0.4, "compile": 20, "bytes": 1e10}],
        "folded": [{"seconds": 0.2, "compile": 12, "bytes": 1e10}] * 2,
        "timm": [{"seconds": 0.4, "mode": "default"}, {"seconds": 0.8, "mode": "default"}],
    }
    speeds, parts = gpu.cells(gpu.Case("large", 8, "float32", "gpu"), found)
    assert speeds == ["out of memory", "40.0", "13.3", "-", "3.00x", "-", "12 s"]
    # 2 x 5e9 x 8 FLOP in 0.2 s of 1e12; 1e10 bytes in 0.2 s of 1e11
    assert parts == ["1 T/s", "0.1 T/s", "-", "40.0 %", "15.0 %", "-", "50.0 %"]


def test_too_little_memory_is_told_from_other_failures():
    assert gpu.reason_of(RuntimeError("RESOURCE_EXHAUSTED: Failed to allocate 1.5GiB")) == "out of memory"
    assert gpu.reason_of(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "out of memory"
    assert gpu.reason_of(ValueError("a | b\nmore")) == "ValueError: a / b"


def test_the_gpu_benchmark_needs_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = None; from scripts.benchmarks.__main__ import main; "
        "main(['inference-gpu', '--help'], standalone_mode=False); assert 'keras' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert "--torch-mode" in result.stdout, result.stderr
    assert not result.returncode, result.stderr


def test_all_topics_are_one_command():
    command = [sys.executable, "-m", "scripts.benchmarks", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    for topic in ("train", "search", "shared", "detect", "inference", "inference-gpu"):
        assert f"  {topic} " in result.stdout, result.stderr


def test_a_process_of_its_own_returns_what_the_function_does_or_says_why_not():
    assert common.in_new_process(common.median_ratio, [4, 6, 9], [2, 2, 2]) == 3
    with pytest.raises(common.ProcessFailed, match="ZeroDivisionError") as error:
        common.in_new_process(common.median_ratio, [1], [0])
    assert error.value.code == 1
