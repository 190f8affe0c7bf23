"""A Ray cluster of two nodes on this machine: what its workers answer, and what happens when they or a node die.

Ray is the extra `[ray]`; where it is not installed, all but the test that says so is skipped.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import NO_EVALUATOR, Job, Task
from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.run.presets import to_toml
from keras_nasnet.search.space.nasbench201 import NASBench201
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Fidelity, Result
from tests.support.broken_evaluators import reward_of
from tests.support.small_search import history, make_plan, search
from tests.support.small_search import start as start_process
from tests.support.waiting import SECONDS, Clock, descendants, evaluating, running, wait_for

os.environ |= {
    # Read by `import ray`: a cluster on the loopback address is one on the loopback address, also for its drivers.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A dead node is noticed in 2 seconds, not in 15, and what waits for a dead head ends soon.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
}
NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "node_ip_address": "127.0.0.1",  # no port is open to other machines
    "include_dashboard": False,
}
SPACE = NASBench201()
# A worker has an evaluator for each stage: here one that is right, and others that are not.
BROKEN = "tests.support.broken_evaluators"
# A worker has an evaluator for each stage, called for what it does.
STAGES = {
    "search": {"name": f"{BROKEN}:Hashed"},
    "grows": {"name": f"{BROKEN}:Grows"},
    "cannot be made": {"name": f"{BROKEN}:CannotBeMade"},
    **{fault: {"name": f"{BROKEN}:Hashed", "fault": fault} for fault in ("hangs", "raises", "dies")},
}


def job(folder, **stages):
    return Job(SPACE.to_dict(), STAGES | stages, str(folder), 3600.0, max_memory=400 << 20)


def task(trial=1, stage="search", tokens=(0, 1, 2, 3, 4, 0)):
    return Task(trial, 0, tokens, stage, Fidelity(3), seed=7)


def reports(executor, count=1):
    """Polls until there are so many."""
    found = []
    wait_for(lambda: found.extend(executor.poll(0.5)) or len(found) >= count)
    assert len(found) == count
    return found


def wait_for_slots(executor, count):
    wait_for(lambda: executor.poll(0.1) == [] and executor.slots == count)


@pytest.fixture(scope="module")
def cluster():
    """Two nodes with one core each."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'keras-nasnet[ray]'")
    from ray.cluster_utils import Cluster

    before = descendants(os.getpid())
    nodes = Cluster()
    try:
        nodes.add_node(**NODE)
        nodes.add_node(**NODE)
        yield nodes
    finally:
        nodes.shutdown()
    wait_for(lambda: not descendants(os.getpid()) - before)


@pytest.fixture
def start(cluster):
    """Starts executors, and stops them at the end."""
    started = []

    def begin(*arguments, **options):
        started.append(make_executor("ray", *arguments, **({"address": cluster.address, "num_cpus": 1} | options)))
        return started[-1]

    yield begin
    for executor in started:
        executor.close()  # once more does no harm


# === What it refuses ===


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras_nasnet.search.executors.ray_cluster", raising=False)
    monkeypatch.delitem(sys.modules, "keras_nasnet.search.executors.ray_connection", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"^the engine 'ray' needs Ray.*: pip install 'keras-nasnet\[ray\]'$"):
        make_executor("ray", job(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "^workers is 0: it must be a whole number from 1 up$"),
        ({"num_cpus": 1.5}, "^num_cpus is 1.5: it must be a whole number from 1 up$"),
        ({"num_cpus": 64}, "^no node of the Ray cluster has the 64 CPU that a worker needs: set num_cpus$"),
        ({"address": "127.0.0.1:1"}, "^no Ray cluster answers at 127.0.0.1:1: .*; `ray start --head` starts one$"),
    ],
)
def test_what_cannot_work_is_refused_at_once(tmp_path, start, options, message):
    with pytest.raises(ValueError, match=message):
        start(job(tmp_path), **options)


def test_workers_that_cannot_start_end_the_search_after_a_few_tries(tmp_path, start, monkeypatch):
    monkeypatch.setattr("keras_nasnet.search.executors.ray_cluster._LOOK_SECONDS", 0.1)
    with pytest.raises(WorkerLost, match=r"^no worker can be started: .* in its creation task: TypeError: "):
        start(replace(job(tmp_path), folder=None), workers=1)


# === Clusters ===


def test_a_cluster_to_which_this_process_is_connected_is_taken_and_left_as_it_is(tmp_path, start, cluster):
    import ray

    ray.init(address=cluster.address, log_to_driver=False)
    try:
        executor = start(job(tmp_path), address=None, workers=1)
        executor.submit(task(1, "hangs"))
        process = evaluating(tmp_path, 1)
        executor.close()
        wait_for(lambda: process not in running())
        assert ray.is_initialized()
        assert cluster.head_node.all_processes["raylet"][0].process.poll() is None
    finally:
        ray.shutdown()


# === Answers ===


def test_both_nodes_work_and_answer_and_one_that_hangs_is_killed_while_the_other_goes_on(tmp_path, start, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("keras_nasnet.search.executors.pool.time", clock)
    executor = start(job(tmp_path))
    wait_for_slots(executor, 2)
    tasks = [task(1), task(2, tokens=(1, 1, 1, 1, 1, 1))]
    names = [executor.submit(one) for one in tasks]
    assert sorted(names) == ["worker-1@127.0.0.1", "worker-2@127.0.0.1"]
    found = sorted(reports(executor, 2), key=lambda report: report.task.trial)
    assert [report.task for report in found] == tasks
    assert [report.worker for report in found] == names
    for one, report in zip(tasks, found, strict=True):
        assert report.result == Result(reward_of(SPACE.genotype(one.tokens), 7), params=7, device="hash")
        assert report.notice is None
    parents = running()
    assert len({parents[evaluating(tmp_path, one.trial)] for one in tasks}) == 2  # one node is one raylet

    hung = executor.submit(task(3, "hangs"))
    process = evaluating(tmp_path, 3)
    assert executor.submit(task(4, "raises")) != hung
    failed = reports(executor)[0]
    assert failed.task == task(4, "raises")
    assert (failed.result.error.kind, failed.result.error.message) == (
        "failed",
        "RuntimeError: this child cannot be built",
    )
    clock.ahead = 3600.0
    late = reports(executor)[0]
    assert late.worker == hung
    assert (late.result.error.kind, late.result.error.message) == ("timeout", "it took longer than 3600 s")
    assert late.result.seconds >= 3600
    wait_for(lambda: process not in running())
    wait_for_slots(executor, 2)
    assert executor.submit(task(5, "raises")) == failed.worker  # it has the stage's evaluator
    assert reports(executor)[0].task == task(5, "raises")


def test_the_backend_goes_along_and_signals_stay_with_the_search(tmp_path, start, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / "my_evaluator.py").write_text(
        "import os, sys\nfrom keras_nasnet.search.trial import Result\n"
        "class Mine:\n    max_workers = None\n"
        "    def evaluate(self, genotype, fidelity, seed, folder):\n"
        "        print('words on stdout')\n"
        "        heavy = {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)\n"
        "        return Result(0.25, device=f\"{heavy} {os.environ['KERAS_BACKEND']}\")\n"
    )
    monkeypatch.syspath_prepend(own)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    before = signal.getsignal(signal.SIGTERM)
    executor = start(job(tmp_path, search={"name": "my_evaluator:Mine"}), workers=1)
    assert signal.getsignal(signal.SIGTERM) is before
    executor.submit(task())
    assert reports(executor)[0].result == Result(0.25, device="set() jax")
    log = (tmp_path / "logs" / "worker-1.log").read_text()
    assert "trial 1, attempt 1, search: 3 epochs" in log
    assert "words on stdout" in log


# === Faults ===


def test_a_worker_that_dies_or_is_spoilt_is_replaced_and_only_the_task_that_it_has_is_lost(tmp_path, start):
    """One worker, though there is room for two; it is killed while it is free, dies in a task, and grows too large."""
    executor = start(job(tmp_path), workers=1)
    for trial in (1, 2):
        executor.submit(task(trial))
        assert reports(executor)[0].result.error is None
    assert executor.slots == 1
    first = evaluating(tmp_path, 1)
    assert evaluating(tmp_path, 2) == first
    os.kill(first, signal.SIGKILL)
    wait_for_slots(executor, 0)
    wait_for_slots(executor, 1)

    executor.submit(task(3, "dies"))
    lost = reports(executor)[0]
    assert lost.task == task(3, "dies")
    assert lost.result.error.kind == "worker_lost"
    assert lost.result.error.message.startswith("worker-1@127.0.0.1 is gone: The actor died unexpectedly")
    assert "\n" not in lost.result.error.message
    wait_for_slots(executor, 1)

    executor.submit(task(4, "grows"))
    report = reports(executor)[0]
    assert report.result.error is None
    assert report.notice.startswith("worker-1@127.0.0.1 was replaced: it held 0.")
    wait_for_slots(executor, 1)

    executor.submit(task(5))
    report = reports(executor)[0]
    assert (report.result.error, report.notice) == (None, None)
    assert len({evaluating(tmp_path, trial) for trial in (1, 3, 4, 5)}) == 4
    executor.submit(task(6, "cannot be made"))
    error = reports(executor)[0].result.error
    assert error.kind == NO_EVALUATOR
    assert error.message.startswith("worker-1@127.0.0.1: the evaluator of stage 'cannot be made' cannot be made")


def test_a_search_outlives_a_node_and_takes_a_new_one(tmp_path, start, cluster):
    """One node of two is killed, with all its processes, while both work; later another joins."""
    (node,) = cluster.worker_nodes
    raylet = node.all_processes["raylet"][0].process.pid
    executors, slots, killed = [], [], []
    gate = tmp_path / "gate"  # is opened when the new node is there: until then both are at work, and nothing ends

    def executor(of):
        executors.append(start(of))
        return executors[0]

    def watch(store):
        slots.append(executors[0].slots)
        at_work = store.trials(state="running")
        if not killed and len(at_work) == 2:
            workers = {trial.id: evaluating(tmp_path / "run", trial.id) for trial in at_work}
            on_node = {raylet, *descendants(raylet)}
            killed.extend(trial for trial, worker in workers.items() if worker in on_node)
            for process in on_node:
                os.kill(process, signal.SIGKILL)
        elif killed and slots[-1] == 1 and len(cluster.worker_nodes) == 1:
            cluster.add_node(**NODE)
        elif killed and slots[-1] == 2 and 1 in slots[slots.index(2) :]:
            gate.touch()

    plan = make_plan(budget=12, gate=str(gate))
    outcome = search(tmp_path / "run", plan, executor, watch=watch)
    assert outcome.best.keys() == {"evolution", "random"}
    assert len(killed) == 1, "each node had one of the two"
    at = slots.index(2)
    assert 1 in slots[at:], "the node is missed"
    assert 2 in slots[at + slots[at:].index(1) :], "the new one works"
    with Store.open(tmp_path / "run" / FILE, readonly=True) as store:
        trials = store.trials()
    assert [trial.state for trial in trials] == ["done"] * 24
    lost = trials[killed[0] - 1]
    assert (lost.attempt, lost.error.kind) == (1, "worker_lost")
    assert " is gone: " in lost.error.message
    assert [trial.id for trial in trials if trial.error] == killed, "the other node's child was not disturbed"
    assert all(trial.reward == reward_of(SPACE.genotype(trial.tokens), trial.seed) for trial in trials)
    assert all(trial.consumed for trial in trials)


# === The end ===


@pytest.fixture
def plan(tmp_path):
    """A search whose second child waits for a gate."""
    return make_plan(budget=3, controllers=("random",), gate=str(tmp_path / "gate"), held=2)


@pytest.fixture
def driver(tmp_path):
    """Starts a search in a process that ends with the test; returns it and its worker, at the second child."""
    started, own = [], set()

    def begin(start):
        started.append(start())
        second = tmp_path / "run" / "trials" / "2" / "attempts.txt"
        wait_for(lambda: second.exists() or started[0].poll() is not None)
        assert started[0].poll() is None, started[0].communicate()
        own.update(descendants(started[0].pid))
        return started[0], evaluating(tmp_path / "run", 2)

    yield begin
    for one in ({started[0].pid} | descendants(started[0].pid) | own) & running().keys():
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    started[0].communicate()


def goes_on(folder, plan):
    (folder / "gate").touch()
    search(folder / "run", plan)
    search(folder / "undisturbed", plan)
    assert history(folder / "run") == history(folder / "undisturbed")


def connections(processes, kind):
    for one in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            yield from psutil.Process(one).net_connections(kind)


def listening(processes):
    """The addresses and ports at which processes listen."""
    return {
        (connection.laddr.ip.removeprefix("::ffff:"), connection.laddr.port)
        for connection in connections(processes, "inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


def asks_for_a_token(port):
    """Whether what listens there is a web server that answers nobody without a token."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/get_or_create_runtime_env", data=b"", timeout=5)
    except urllib.error.HTTPError as error:
        return error.code == 401
    except (OSError, http.client.HTTPException):  # it speaks gRPC
        return False


@pytest.fixture
def command(tmp_path, driver, plan, monkeypatch):
    """`keras-nasnet search run --engine ray`, as it is: a user has none of the variables of these tests."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'keras-nasnet[ray]'")
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # of other clusters
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (tmp_path / "plan.toml").write_text(to_toml(plan))
    arguments = ["--preset", tmp_path / "plan.toml", "--out", tmp_path / "run", "--engine", "ray", "--workers", "1"]
    program = [sys.executable, "-m", "keras_nasnet.cli.main", "search", "run", *arguments]
    return driver(
        lambda: subprocess.Popen(
            program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
    )


def test_a_cluster_of_its_own_is_closed_to_others_and_ends_on_ctrl_c(tmp_path, command, plan):
    process, worker = command
    own = descendants(process.pid)
    assert worker in own
    places = listening(own | {process.pid})
    assert {host for host, _ in places} == {"127.0.0.1"}, "no other machine reaches it"
    assert any(asks_for_a_token(port) for _, port in places), "no other user does"
    paths = {Path(one.laddr) for one in connections(own, "unix") if one.laddr}
    assert paths
    for path in paths:
        (private,) = (folder for folder in path.parents if folder.name.startswith("ray-"))
        assert private.stat().st_mode & 0o777 == 0o700
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to the whole group
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert f"keras-nasnet search run --resume {tmp_path / 'run'} goes on" in err
    wait_for(lambda: not own & running().keys())
    assert not private.exists()
    goes_on(tmp_path, plan)


def test_a_ray_that_keeps_no_to_loopback_is_refused(monkeypatch):
    connection = pytest.importorskip("keras_nasnet.search.executors.ray_connection", exc_type=ValueError)
    ended = []
    monkeypatch.setattr(connection, "_init", lambda *_, **__: None)
    monkeypatch.setattr(connection.ray, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(connection.ray.util, "get_node_ip_address", lambda: "192.0.2.7")
    with pytest.raises(ValueError, match=r"listens at 192.0.2.7, where other machines reach it, not at 127.0.0.1"):
        connection.connect("local")
    assert ended


def test_the_workers_of_a_driver_that_is_killed_end_and_the_cluster_does_not(
    tmp_path, cluster, driver, plan, monkeypatch
):
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    process, worker = driver(lambda: start_process(tmp_path / "run", plan, "ray", group=True))
    assert running()[worker] in {node.all_processes["raylet"][0].process.pid for node in cluster.list_all_nodes()}
    process.kill()
    process.wait()  # until then it holds the folder
    wait_for(lambda: worker not in running())
    assert cluster.head_node.all_processes["raylet"][0].process.poll() is None
    goes_on(tmp_path, plan)
