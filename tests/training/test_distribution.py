"""Several devices, several processes, and what happens when one of them is gone."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.training.devices import meet, worker_place
from keras_nasnet.training.history import read_history
from tests.support import JAX, SUPPORT, distributed_run
from tests.support.fork_server import ForkServer, Process
from tests.support.together import finish, free_ports, start, tf_configs

PROGRAM = SUPPORT / "distributed_run.py"

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
def all_runs(server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[int]]]:
    """Ten steps on one device, on two of one process, and in two processes: the runs' folders, and exit codes.

    Of the two processes one is killed, then one is stopped; both begin again each time.
    """
    folder = tmp_path_factory.mktemp("runs")
    distributed_run.write_npz(folder / "stripes.npz")
    distributed_run.RECIPE.save(folder / "recipe.toml")
    out = folder / "workers"
    options = ["--data", folder / "stripes.npz", "--resume", "--strategy", "multiworker", "--out", out / "0"]
    command = ["-c", COMMAND, "train", folder / "recipe.toml", *options]
    others = {
        "two": server.start(PROGRAM, folder / "two", "mirrored", log=folder / "two.log", LOGICAL_CPUS="2"),
        "one": server.start(PROGRAM, folder / "one", "default", log=folder / "one.log"),
    }
    codes = {
        "killed": finish(*pair(server, folder, "killed", *command, DIES="8", DIES_BY="SIGKILL")),
        "stopped": finish(*pair(server, folder, "stopped", *command, DIES="2", DIES_BY="SIGTERM")),
        "workers": finish(*pair(server, folder, "workers", PROGRAM, out, "multiworker")),
    }
    for name, code in zip(others, finish(*others.values()), strict=True):
        assert code == 0, f"{name}: {(folder / f'{name}.log').read_text()}"
    assert codes["workers"] == [0, 0], (folder / "workers0.log").read_text()
    return folder, codes


def pair(server: ForkServer, folder: Path, name: str, *command: object, **of_second: str) -> list[Process]:
    """Starts two workers."""
    first, second = tf_configs()
    return [
        server.start(*command, log=folder / f"{name}0.log", TF_CONFIG=first),
        server.start(*command, log=folder / f"{name}1.log", TF_CONFIG=second, **of_second),
    ]


@pytest.fixture
def runs(all_runs) -> Path:
    return all_runs[0]


@pytest.fixture(scope="module")
def more_runs(server: ForkServer, all_runs: tuple[Path, dict[str, list[int]]]) -> Path:
    """As `runs`; those that only the slow tests need are there too."""
    runs = all_runs[0]
    log = runs / "more.log"
    more = "central , mirrored dtype=mixed_float16 epochs=1 , mirrored dtype=mixed_bfloat16 epochs=1"
    assert finish(server.start(PROGRAM, runs / "more", more, log=log, LOGICAL_CPUS="2")) == [0], log.read_text()
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


def test_each_replica_has_its_own_random_numbers(runs):
    drawn = json.loads((runs / "two" / "random_numbers.json").read_text())
    (first,), (second,) = drawn["default"]["values"]
    for strategy in ("mirrored", "central"):
        (a, b), (c, d) = drawn[strategy]["values"]
        assert a == first and c == second
        assert len({tuple(values) for values in (a, b, c, d)}) == 4
        assert all(state == [3, 2] for state in drawn[strategy]["states"])


# --- one of two is gone


def last_line(log: Path) -> str:
    return log.read_text().strip().splitlines()[-1]


def test_a_killed_worker_ends_the_other(all_runs):
    folder, codes = all_runs
    assert codes["killed"] == [1, -9]
    assert last_line(folder / "killed0.log").startswith("Error: another worker does not answer after step ")
    assert "Traceback" not in (folder / "killed0.log").read_text()


def test_a_signal_to_one_stops_both_after_the_same_step(all_runs):
    folder, codes = all_runs
    assert codes["stopped"] == [143, 143]
    assert "goes on after step 5 of 10" in (folder / "stopped0.log").read_text()
    for log in ("stopped0.log", "stopped1.log"):
        assert last_line(folder / log).startswith("Error: stopped by SIGTERM after step 7 of 10, checkpoint written")


def test_both_go_on_with_the_curve_of_one_device(runs):
    assert "goes on after step 7 of 10" in (runs / "workers0.log").read_text()
    rows, expected = (
        [[*row.values()][:7] for row in read_history(runs / name / "0/history.csv")]  # all but speed and time
        for name in ("workers", "one")
    )
    assert len(rows) == 2
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    assert (runs / "workers/0/model.keras").exists()


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


@pytest.mark.jax
def test_jax_devices_share_a_batch(tmp_path):
    pytest.importorskip("jax")
    log = tmp_path / "log"
    variables = JAX | {"XLA_FLAGS": f"{JAX['XLA_FLAGS']} --xla_force_host_platform_device_count=2"}
    runs = "default auxiliary_weight=0 , mirrored auxiliary_weight=0"  # fewer operations to compile
    assert finish(start(PROGRAM, tmp_path, runs, log=log, **variables)) == [0], log.read_text()
    found = differences(tmp_path / "0/worker_0_replica_0.npz", tmp_path / "1/worker_0_replica_0.npz")
    assert found.pop("momentum") < 1e-2
    assert max(found.values()) < 1e-4, sorted(found.items(), key=lambda item: -item[1])[:5]
    expected, actual = (json.loads((tmp_path / f"{run}/evaluation_0.json").read_text()) for run in (0, 1))
    for (loss, *counts), (expected_loss, *expected_counts) in zip(actual, expected, strict=True):
        assert loss == pytest.approx(expected_loss, rel=1e-4)
        assert counts == expected_counts
