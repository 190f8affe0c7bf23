"""scripts/benchmark.py: what it compares is the same network."""

import importlib.util
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.support import SCRIPTS

SCRIPT = SCRIPTS / "benchmark.py"

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


@pytest.fixture
def gpu(benchmark, monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    yield importlib.import_module("benchmark_gpu")
    del sys.modules["benchmark_gpu"]


def test_gpu_rows_have_parts_of_what_the_card_reaches_and_reasons(gpu):
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


def test_too_little_memory_is_told_from_other_failures(gpu):
    assert gpu.reason_of(RuntimeError("RESOURCE_EXHAUSTED: Failed to allocate 1.5GiB")) == "out of memory"
    assert gpu.reason_of(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "out of memory"
    assert gpu.reason_of(ValueError("a | b\nmore")) == "ValueError: a / b"


def test_the_gpu_benchmark_needs_no_tensorflow():
    code = (
        "import sys; sys.modules['tensorflow'] = None; sys.argv[0] = 'benchmark.py'; import benchmark, benchmark_gpu; "
        "benchmark.main(['inference-gpu', '--help'], standalone_mode=False); assert 'keras' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True)
    assert "--torch-mode" in result.stdout, result.stderr
    assert not result.returncode, result.stderr
