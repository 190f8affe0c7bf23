"""Several devices, several processes, and what happens when one of them is gone."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.training.devices import meet, worker_place
from tests.support import SUPPORT, distributed_run
from tests.support.together import finish, free_ports, start, tf_configs

PROGRAM = SUPPORT / "distributed_run.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten steps on one device, on two of one process, and in two processes; the runs' folders."""
    folder = tmp_path_factory.mktemp("runs")
    processes = {
        "two": start(PROGRAM, folder / "two", "mirrored", log=folder / "two.log", LOGICAL_CPUS="2"),
        "one": start(PROGRAM, folder / "one", "default", log=folder / "one.log"),
    }
    for index, config in enumerate(tf_configs()):
        log = folder / f"worker{index}.log"
        processes[log.stem] = start(PROGRAM, folder / "workers", "multiworker", log=log, TF_CONFIG=config)
    for name, code in zip(processes, finish(*processes.values()), strict=True):
        assert code == 0, f"{name}: {(folder / f'{name}.log').read_text()}"
    return folder


@pytest.fixture(scope="module")
def more_runs(runs: Path) -> Path:
    """As `runs`; those that only the slow tests need are there too."""
    log = runs / "more.log"
    more = "central , mirrored dtype=mixed_float16 epochs=1 , mirrored dtype=mixed_bfloat16 epochs=1"
    assert finish(start(PROGRAM, runs / "more", more, log=log, LOGICAL_CPUS="2")) == [0], log.read_text()
    return runs


def differences(left: Path, right: Path) -> dict[str, float]:
    """The relative difference of each layer's weights and BN statistics, and of the optimizer's state by kind.

    BN's offsets start at 0, and what matters is how they compare with its scales: hence a
    layer's variables are one vector. Momenta are sums of gradients, "average" is the EMA.
    """
    with np.load(left) as one, np.load(right) as other:
        assert one.files == other.files
        groups: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for key in one.files:
            path = key.split(" ", 1)[1]
            slot = next((kind for kind in ("momentum", "average") if path.endswith(f"_{kind}")), None)
            groups.setdefault(slot or path.rpartition("/")[0], []).append((one[key].ravel(), other[key].ravel()))
    result = {}
    for group, pairs in groups.items():
        expected, actual = (np.concatenate(values) for values in zip(*pairs, strict=True))
        result[group] = float(np.linalg.norm(actual - expected) / max(np.linalg.norm(expected), 1e-30))
    return result


@pytest.mark.parametrize("run", ["two/0", "workers/0"], ids=["mirrored", "multiworker"])
def test_weights_are_those_of_one_device(runs, run):
    check_weights(runs, run)


@pytest.mark.slow
def test_central_storage_is_as_one_device(more_runs):
    check_weights(more_runs, "more/0")
    check_evaluation(more_runs, "more/0")


def check_weights(runs: Path, run: str) -> None:
    found = differences(runs / "one/0/worker_0_replica_0.npz", runs / run / "worker_0_replica_0.npz")
    # Gradients are noisier than the weights they move: one step's rounding is another step's other side of a ReLU.
    assert found.pop("momentum") < 1e-2
    assert len(found) > 30
    assert max(found.values()) < 1e-4, sorted(found.items(), key=lambda item: -item[1])[:5]


def test_weights_are_the_same_on_every_replica(runs):
    first = runs / "two/0/worker_0_replica_0.npz"
    assert max(differences(first, runs / "two/0/worker_0_replica_1.npz").values()) == 0
    first = runs / "workers/0/worker_0_replica_0.npz"
    assert max(differences(first, runs / "workers/0/worker_1_replica_0.npz").values()) == 0


@pytest.mark.parametrize("run", ["two/0", "workers/0"], ids=["mirrored", "multiworker"])
def test_evaluation_is_that_of_one_device(runs, run):
    check_evaluation(runs, run)


def check_evaluation(runs: Path, run: str) -> None:
    expected = json.loads((runs / "one/0/evaluation_0.json").read_text())
    for path in sorted((runs / run).glob("evaluation_*.json")):
        for (loss, *counts), (expected_loss, *expected_counts) in zip(
            json.loads(path.read_text()), expected, strict=True
        ):
            assert loss == pytest.approx(expected_loss, rel=1e-4)
            assert counts == expected_counts


@pytest.mark.slow
@pytest.mark.parametrize("run", ["more/1", "more/2"], ids=["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_trains_on_two_devices(more_runs, run):
    states = [np.load(more_runs / run / f"worker_0_replica_{replica}.npz") for replica in range(2)]
    for key in states[0].files:
        assert np.isfinite(states[0][key]).all(), key
        np.testing.assert_array_equal(states[0][key], states[1][key])
    one = np.load(more_runs / "one/0/worker_0_replica_0.npz")
    kernel = next(key for key in one.files if key.endswith(" stem_convolution/kernel"))
    np.testing.assert_allclose(states[0][kernel], one[kernel], atol=0.02)


def test_each_replica_has_its_own_random_numbers(tmp_path):
    code = """
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.recipe import Recipe
from keras_nasnet.training.steps.tensorflow import TensorFlowStep

def draws(name, times):
    devices = Devices(name)
    with devices.scope():
        layer = keras.layers.Dropout(0.5, seed=3)
        step = TensorFlowStep(layer, keras.optimizers.SGD(), Recipe("x"), devices.tf_strategy)
    strategy = devices.tf_strategy or tf.distribute.get_strategy()
    draw = tf.function(lambda: strategy.run(lambda: keras.random.uniform([4], seed=layer.seed_generator)))
    values = [strategy.experimental_local_results(draw()) for _ in range(times)]
    states = strategy.experimental_local_results(layer.seed_generator.state.value)
    return [[v.numpy().tolist() for v in step] for step in values], [s.numpy().tolist() for s in states]

(first,), (second,) = draws("default", 2)[0]
for name in ("mirrored", "central"):
    ((a, b), (c, d)), states = draws(name, 2)
    assert a == first and c == second, name
    assert len({tuple(x) for x in (a, b, c, d)}) == 4, name
    assert all(state == [3, 2] for state in states), (name, states)
"""
    log = tmp_path / "log"
    assert finish(start("-c", code, log=log)) == [0], log.read_text()


# --- one of two is gone


# What a user runs, but it ends itself at a given step by a signal.
COMMAND = """
import os, signal, sys
from keras_nasnet.cli.main import main
from keras_nasnet.training.steps.tensorflow import TensorFlowStep
train, steps = TensorFlowStep.train, []
def counted(self, *arguments):
    steps.append(1)
    if os.environ.get("DIES") == str(len(steps)):
        os.kill(os.getpid(), getattr(signal, os.environ["DIES_BY"]))
    return train(self, *arguments)
TensorFlowStep.train = counted
main(prog_name="keras-nasnet")
"""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[object]]:
    folder = tmp_path_factory.mktemp("command")
    distributed_run.write_npz(folder / "stripes.npz")
    distributed_run.RECIPE.save(folder / "recipe.toml")
    yield ["-c", COMMAND, "train", folder / "recipe.toml", "--data", folder / "stripes.npz", "--resume"]


def start_workers(command: list[object], folder: Path, **of_second: str) -> list[subprocess.Popen[bytes]]:
    configs = tf_configs()
    options = ["--strategy", "multiworker", "--out", folder / "run"]
    return [
        start(*command, *options, log=folder / "0.log", TF_CONFIG=configs[0]),
        start(*command, *options, log=folder / "1.log", TF_CONFIG=configs[1], **of_second),
    ]


def last_line(log: Path) -> str:
    return log.read_text().strip().splitlines()[-1]


def test_a_killed_worker_ends_the_other_and_both_resume(runs, command, tmp_path):
    first, second = start_workers(command, tmp_path, DIES="8", DIES_BY="SIGKILL")
    assert finish(second) == [-9]
    begun = time.monotonic()
    assert finish(first) == [1]
    assert time.monotonic() - begun < 60
    assert last_line(tmp_path / "0.log").startswith("Error: another worker does not answer after step ")
    assert "Traceback" not in (tmp_path / "0.log").read_text()

    # Again, and SIGTERM to one: both stop after the same step, with a checkpoint.
    assert finish(*start_workers(command, tmp_path, DIES="2", DIES_BY="SIGTERM")) == [143, 143]
    assert "goes on after step 5 of 10" in (tmp_path / "0.log").read_text()
    for log in ("0.log", "1.log"):
        assert last_line(tmp_path / log).startswith("Error: stopped by SIGTERM after step 7 of 10, checkpoint written")

    assert finish(*start_workers(command, tmp_path)) == [0, 0], (tmp_path / "0.log").read_text()
    assert "goes on after step 7 of 10" in (tmp_path / "0.log").read_text()
    timeless = slice(0, 7)  # all but speed and time
    expected = [row.split(",")[timeless] for row in (runs / "workers/0/history.csv").read_text().splitlines()]
    found = [row.split(",")[timeless] for row in (tmp_path / "run/history.csv").read_text().splitlines()]
    assert len(found) == 3 and found[0] == expected[0]
    for row, expected_row in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose([*map(float, row)], [*map(float, expected_row)], rtol=1e-5)
    assert (tmp_path / "run/model.keras").exists()


# --- before it begins


def test_waits_for_a_worker_that_does_not_come_up():
    here, there = (f"127.0.0.1:{port}" for port in free_ports(2))
    with pytest.raises(WorkerLost, match=rf"^worker 0 \({there}\) did not come up within 1 s: start all workers$"):
        meet([there, here], 1, print, seconds=1)


def test_a_port_in_use():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ValueError, match=rf"^TF_CONFIG: worker 0 cannot listen on port {port} \(Address already"):
            meet([f"localhost:{port}"], 0, print)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "needs TF_CONFIG"),
        ("{}", "needs TF_CONFIG"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "needs TF_CONFIG"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "index is 1, but there are 1"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}', "of type 'worker'"),
    ],
)
def test_wrong_tf_config(config, message):
    with pytest.raises(ValueError, match=message):
        worker_place(config)


def test_worker_place():
    config = '{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}'
    assert worker_place(config) == (1, ["a:1", "b:2"])


# --- JAX


def test_jax_devices_share_a_batch(tmp_path):
    pytest.importorskip("jax")
    log = tmp_path / "log"
    flags = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    assert finish(start(PROGRAM, tmp_path, "default , mirrored", log=log, **flags)) == [0], log.read_text()
    found = differences(tmp_path / "0/worker_0_replica_0.npz", tmp_path / "1/worker_0_replica_0.npz")
    assert found.pop("momentum") < 1e-2
    assert max(found.values()) < 1e-4, sorted(found.items(), key=lambda item: -item[1])[:5]
    expected, actual = (json.loads((tmp_path / f"{run}/evaluation_0.json").read_text()) for run in (0, 1))
    for (loss, *counts), (expected_loss, *expected_counts) in zip(actual, expected, strict=True):
        assert loss == pytest.approx(expected_loss, rel=1e-4)
        assert counts == expected_counts
