"""Worker processes of this machine: what they answer, and what happens when they do not."""

import contextlib
import os
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import DISK_FULL, NO_EVALUATOR, Job, Task
from keras_nasnet.search.executors.local import LocalExecutor
from keras_nasnet.search.executors.placement import available_cores, places
from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.executors.worker import from_dict, run_task, to_dict
from keras_nasnet.search.space.nasbench201 import NASBench201
from keras_nasnet.search.trial import Error, Fidelity, Result
from tests.support.broken_evaluators import reward_of
from tests.support.waiting import Clock, descendants, evaluating, running, wait_for

SPACE = NASBench201()
TRIALS = count(1)
BROKEN = "tests.support.broken_evaluators"
# Evaluators of the workers that tests share, by stages that are called for what they do.
STAGES = {
    "search": {"name": f"{BROKEN}:Hashed"},
    "kept": {"name": f"{BROKEN}:Hashed"},
    "chatty": {"name": f"{BROKEN}:Chatty"},
    "grows": {"name": f"{BROKEN}:Grows"},
    **{fault: {"name": f"{BROKEN}:Hashed", "fault": fault} for fault in ("dies", "exits", "hangs", "out_of_memory")},
}


def job(folder, name="Hashed", **options):
    return Job(SPACE.to_dict(), {"search": {"name": f"{BROKEN}:{name}", **options}}, str(folder))


def task(stage="search", tokens=(0, 1, 2, 3, 4, 0), attempt=0, **fidelity):
    return Task(next(TRIALS), attempt, tokens, stage, Fidelity(3, **fidelity), seed=7)


def reports(executor, number=1):
    """Polls until there are so many."""
    found = []
    wait_for(lambda: found.extend(executor.poll(1)) or len(found) >= number)
    assert len(found) == number
    return found


def do(executor, *arguments, **options):
    """Lets a worker do a task; returns the report."""
    executor.submit(task(*arguments, **options))
    return reports(executor)[0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two workers for all tests: one that a test ends is replaced."""
    everything = Job(SPACE.to_dict(), STAGES, str(tmp_path_factory.mktemp("run")), 3600.0, max_memory=400 << 20)
    executor = make_executor("local", everything, workers=2)
    yield executor
    executor.close()


def folder_of(executor):
    return Path(executor.job.folder)


@pytest.fixture
def start():
    """Starts executors, and stops them at the end."""
    started = []

    def begin(*arguments, **options):
        started.append(make_executor("local", *arguments, **options))
        return started[-1]

    yield begin
    for executor in started:
        executor.close()


def wait_until_gone(*processes):
    wait_for(lambda: not set(processes) & running().keys())


# === Answers ===


def test_workers_answer_what_the_evaluator_says(shared):
    assert shared.slots == 2
    tasks = [task(), task(tokens=(1, 1, 1, 1, 1, 1))]
    names = [shared.submit(one) for one in tasks]
    assert sorted(names) == ["worker-1", "worker-2"]
    found = sorted(reports(shared, 2), key=lambda report: report.task.trial)
    assert [report.task for report in found] == tasks
    assert [report.worker for report in found] == names
    for one, report in zip(tasks, found, strict=True):
        assert report.result == Result(reward_of(SPACE.genotype(one.tokens), 7), params=7, device="hash")
        assert report.notice is None
        assert (folder_of(shared) / "trials" / str(one.trial)).is_dir()


def test_polling_waits_and_ends_when_nothing_happens(shared, monkeypatch):
    waits = []
    monkeypatch.setattr(shared, "listen", lambda seconds: waits.append(seconds) or [])
    assert shared.poll(0.01) == []
    assert max(waits) > 0.005 and min(waits) >= 0


def test_an_evaluator_is_made_once_a_worker_and_kept(shared):
    assert len({do(shared, "kept").worker for _ in range(3)}) == 1


def test_what_is_printed_is_in_the_log_and_not_in_the_answers(shared):
    report = do(shared, "chatty")
    assert report.result.error is None
    log = (folder_of(shared) / "logs" / f"{report.worker}.log").read_text()
    assert f"trial {report.task.trial}, attempt 1, chatty: 3 epochs" in log
    assert "words on stdout" in log
    assert "words of a child" in log


def test_workers_import_what_this_process_can_and_no_tensorflow(tmp_path, start, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    (own / "my_evaluator.py").write_text(
        "import os, sys\nfrom keras_nasnet.search.trial import Result\n"
        "class Mine:\n    max_workers = None\n    def __init__(self, reward): self.reward = reward\n"
        "    def evaluate(self, genotype, fidelity, seed, folder):\n"
        "        heavy = {'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules)\n"
        "        return Result(self.reward, device=f\"{heavy} {os.environ['MINE']} {os.environ['KERAS_BACKEND']}\")\n"
    )
    monkeypatch.syspath_prepend(own)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    mine = Job(SPACE.to_dict(), {"search": {"name": "my_evaluator:Mine", "reward": 0.25}}, str(tmp_path))
    executor = start(mine, environments=[{"MINE": "its own"}])
    assert do(executor).result == Result(0.25, device="set() its own jax")
    assert list(executor.workers[0].place.cores) == available_cores()


def test_a_result_goes_through_json_unchanged():
    for result in (
        Result(0.1 + 0.2, 3, 4, 5.5, "CPU", None, {"loss": 1e-300}),
        Result(None, error=Error("nan", "the loss is nan")),
    ):
        assert from_dict(to_dict(result)) == result


# === Places ===


def test_the_cores_are_divided_among_the_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 8})
    assert [place.cores for place in places()] == [(0, 1), (2, 3, 8)]
    assert [place.cores for place in places(1)] == [(0, 1, 2, 3, 8)]
    assert [place.cores for place in places(7)] == [(0,), (1,), (2,), (3,), (8,), (0,), (1,)]
    assert places(1)[0].environment["OMP_NUM_THREADS"] == "5"
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="workers is"):
            places(wrong)


def test_the_gpus_are_divided_among_the_workers(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0, 2,5")

    def gpus(workers):
        return [place.environment["CUDA_VISIBLE_DEVICES"] for place in places(workers)]

    assert gpus(None) == ["0", "2", "5"]
    assert gpus(2) == ["0", "2,5"]
    assert gpus(4) == ["0", "2", "5", "0"]
    assert places(4)[0].environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert "CUDA_VISIBLE_DEVICES" not in places(1)[0].environment


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_a_worker_runs_on_its_cores(shared):
    wait_for(lambda: shared.poll(0.05) == [] and all(worker.ready for worker in shared.workers))
    for worker in shared.workers:
        assert os.sched_getaffinity(worker.process.pid) == set(worker.place.cores)


def test_environments_for_another_number_of_workers(tmp_path):
    with pytest.raises(ValueError, match="there are 1 environments for 2 workers"):
        LocalExecutor(job(tmp_path), 2, environments=[{}])


# === What goes wrong ===


@pytest.mark.parametrize(
    ("fault", "kind", "message"),
    [
        ("raises", "failed", "RuntimeError: this child cannot be built"),
        ("nan", "nan", "the reward is nan"),
        ("diverged", "nan", "the loss is nan at step 3"),
        ("out_of_memory", "out_of_memory", "MemoryError"),
        ("fills_the_disk", DISK_FULL, "OSError: [Errno 28] No space left on device"),
    ],
)
def test_what_goes_wrong_in_an_evaluation_has_a_kind_and_a_line(tmp_path, capsys, fault, kind, message):
    result = run_task(job(tmp_path, fault=fault), {}, task())
    assert result.reward is None
    assert result.error == Error(kind, message)
    if kind == "failed":
        assert "Traceback" in capsys.readouterr().err


class ResourceExhaustedError(Exception):
    """As TensorFlow's."""


class Raises:
    def __init__(self, error):
        self.error = error

    def evaluate(self, *_):
        raise self.error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ResourceExhaustedError("OOM when allocating tensor with shape[64,32]"), "out_of_memory"),
        (ResourceExhaustedError("log/events.tmp; No space left on device"), DISK_FULL),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate"), "out_of_memory"),
        (ValueError("x" * 1000), "failed"),
    ],
)
def test_errors_of_other_packages_are_known(tmp_path, error, kind):
    result = run_task(job(tmp_path), {"search": Raises(error)}, task())
    assert result.error.kind == kind
    assert len(result.error.message) <= 300


def test_an_evaluator_that_cannot_be_made_is_no_fault_of_the_child(tmp_path):
    result = run_task(job(tmp_path, "CannotBeMade"), {}, task())
    assert result.error == Error(
        NO_EVALUATOR, "the evaluator of stage 'search' cannot be made: ValueError: no such data"
    )


@pytest.mark.parametrize(("fault", "how"), [("dies", "was killed by SIGKILL"), ("exits", "ended with exit code 3")])
def test_a_worker_that_dies_is_reported_and_replaced(shared, fault, how):
    lost = task(fault)
    worker = shared.submit(lost)
    (report,) = reports(shared)
    assert (report.task, report.result.error) == (lost, Error("worker_lost", f"{worker} {how}"))
    again = [shared.submit(task()) for _ in range(2)]
    assert sorted(again) == ["worker-1", "worker-2"]
    assert all(report.result.reward is not None for report in reports(shared, 2))


def test_a_worker_killed_from_outside_is_replaced(shared):
    first = shared.workers[0].process.pid
    os.kill(first, signal.SIGKILL)  # while it has nothing to do
    wait_for(lambda: shared.poll(0.1) == [] and shared.workers[0].process.pid != first)
    assert do(shared).result.error is None


def test_a_hang_ends_at_the_deadline(shared, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("keras_nasnet.search.executors.pool.time", clock)
    late = task("hangs")
    shared.submit(late)
    process = evaluating(folder_of(shared), late.trial)
    assert shared.poll(0.01) == []
    clock.ahead = 3600.0
    (report,) = reports(shared)
    assert report.task == late
    assert report.result.error == Error("timeout", "it took longer than 3600 s")
    assert report.result.seconds >= 3600
    wait_until_gone(process)


def test_a_worker_that_holds_too_much_memory_is_replaced(shared):
    report = do(shared, "grows")
    assert report.result.error is None
    assert report.notice.startswith(f"{report.worker} was replaced: it held 0.")
    assert do(shared).notice is None


def test_a_worker_that_ran_out_of_memory_is_replaced(shared):
    report = do(shared, "out_of_memory")
    assert report.result.error.kind == "out_of_memory"
    assert report.notice == f"{report.worker} was replaced: it ran out of memory"
    assert do(shared, "out_of_memory", accumulate=2).result.error is None


def test_workers_that_cannot_start_end_the_search(tmp_path, start):
    (tmp_path / "json.py").write_text("raise ImportError('this json is broken')")
    executor = start(
        job(tmp_path), environments=[{"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])}]
    )
    executor.submit(task())
    with pytest.raises(
        WorkerLost, match=r"worker-1 cannot be started, it ended with exit code 1: .*worker-1.log says why"
    ):
        for _ in range(20):
            for report in executor.poll(1):
                executor.submit(report.task)
    assert "this json is broken" in (tmp_path / "logs" / "worker-1.log").read_text()


# === The end ===


def test_closing_ends_workers_and_what_they_started(tmp_path, start):
    executor = start(job(tmp_path, "Chatty", fault="hangs"), workers=1)
    worker = executor.workers[0].process.pid
    executor.submit(task())
    sleeper = wait_for_sleeper(worker)
    executor.close()
    wait_until_gone(worker, sleeper)


_DRIVER = """
import sys, time
from tests.search.executors.test_local import job, make_executor, task
executor = make_executor("local", job(sys.argv[1], "Chatty", fault="hangs"), workers=1)
executor.submit(task())
print(executor.workers[0].process.pid, flush=True)
time.sleep(3600)
"""


def test_workers_end_with_a_driver_that_is_killed(tmp_path):
    path = os.pathsep.join(sys.path)
    driver = subprocess.Popen(
        [sys.executable, "-c", _DRIVER, tmp_path], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    worker = int(driver.stdout.readline())
    sleeper = wait_for_sleeper(worker)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    wait_until_gone(worker, sleeper)


def wait_for_sleeper(process):
    """Returns the id of the `sleep` that a worker has started."""

    def sleepers():
        for child in descendants(process):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(b"sleep"):
                    return child
        return None

    return wait_for(sleepers)
