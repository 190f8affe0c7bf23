"""What a search survives, each with real processes and real signals."""

import errno
import functools
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import FLOOR_REWARD, Fidelity
from tests.support.small_search import CASCADE, TINY_SPACE, history, make_plan, search, start

LOCAL = functools.partial(make_executor, "local", workers=1)


def stored(folder):
    """Trials and events of a run."""
    with Store.open(Path(folder) / FILE, readonly=True) as store:
        return store.trials(), store.events()


def kinds(events, trial=None):
    return [event.kind for event in events if trial is None or event.trial == trial]


def until(condition, process=None, seconds=20.0):
    """Waits until a condition holds; returns its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the search has ended: {process.communicate()}")
        time.sleep(0.005)
    raise AssertionError(f"after {seconds} s: no {condition}")


def count(folder):
    """Number of trials that ended; 0 without a store."""
    try:
        return sum(trial.finished_at is not None for trial in stored(folder)[0])
    except (ValueError, OSError):
        return 0


# === Workers ===


def test_a_child_whose_worker_is_killed_is_run_again_with_its_seed(tmp_path):
    run = tmp_path / "run"
    plan = make_plan(seconds=30, budget=2, controllers=("random",))
    process = start(run, make_plan(budget=2, controllers=("random",), seconds=30, evaluators=_slow(0.5)))
    first = run / "trials" / "1" / "attempts.txt"
    until(lambda: first.exists() and first.read_text(), process)
    os.kill(int(first.read_text().split()[0]), signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    trials, events = stored(run)
    assert [(trial.state, trial.attempt) for trial in trials] == [("done", 1), ("done", 0)]
    assert kinds(events, 1) == ["worker_lost", "retry"]
    assert trials[0].error.message == "worker-1 was killed by SIGKILL"
    assert {line.split()[1] for line in first.read_text().splitlines()} == {str(trials[0].seed)}
    search(tmp_path / "undisturbed", plan)
    assert [trial.reward for trial in trials] == [trial.reward for trial in stored(tmp_path / "undisturbed")[0]]


def _slow(seconds):
    return {"search": {"name": "tests.support.broken_evaluators:Hashed", "seconds": seconds}}


@pytest.mark.parametrize(
    ("fault", "kind", "attempts", "options"),
    [
        ("dies", "worker_lost", 3, {}),
        ("dies", "worker_lost", 2, {"max_retries": 1}),
        ("hangs", "timeout", 2, {"seconds": 0.4}),
        ("raises", "failed", 2, {}),
        ("never_fits", "out_of_memory", 2, {}),
        ("nan", "nan", 1, {}),
        ("diverged", "nan", 1, {}),
    ],
)
def test_a_fault_that_does_not_end_costs_so_many_attempts_and_then_the_floor(tmp_path, fault, kind, attempts, options):
    plan = make_plan(budget=2, controllers=("evolution",), fault=fault, share=0.5, **options)
    search(tmp_path, plan, LOCAL)
    trials, events = stored(tmp_path)
    assert sorted(trial.state for trial in trials) == ["done", "failed"], "one child of two has the fault"
    assert all(trial.consumed for trial in trials), "the controller is told of both"
    (failed,) = (trial for trial in trials if trial.state == "failed")
    assert (failed.reward, failed.error.kind, failed.attempt) == (FLOOR_REWARD, kind, attempts - 1)
    assert len((tmp_path / "trials" / str(failed.id) / "attempts.txt").read_text().splitlines()) == attempts
    found = [name for name in kinds(events, failed.id) if name != "recycled"]
    assert found == [kind, "retry"] * (attempts - 1) + [kind] + ["quarantine"] * (kind != "nan")


@pytest.mark.parametrize(
    ("fault", "kind", "accumulate"),
    [
        ("dies", "worker_lost", 1),
        ("hangs", "timeout", 1),
        ("raises", "failed", 1),
        ("out_of_memory", "out_of_memory", 2),
    ],
)
def test_a_fault_that_passes_costs_an_attempt_and_no_reward(tmp_path, fault, kind, accumulate):
    plan = make_plan(budget=1, controllers=("random",), fault=fault, only=1, seconds=0.6)
    search(tmp_path, plan, LOCAL)
    ((trial,), events) = stored(tmp_path)
    assert (trial.state, trial.attempt, trial.error.kind) == ("done", 1, kind)
    assert trial.fidelity == Fidelity(1, accumulate=accumulate)
    assert [name for name in kinds(events, 1) if name != "recycled"] == [kind, "retry"]
    assert trial.reward > FLOOR_REWARD


def test_a_child_that_fails_every_time_is_not_run_any_more(tmp_path):
    plan = make_plan(budget=25, controllers=("random",), space=TINY_SPACE, fault="raises", share=0.4)
    search(tmp_path, plan, LOCAL)
    trials, events = stored(tmp_path)
    ran = {trial.id for trial in trials if (tmp_path / "trials" / str(trial.id)).exists()}
    bad = {trial.key for trial in trials if trial.state == "failed"}
    assert bad and bad != {trial.key for trial in trials}
    for key in bad:
        same = [trial for trial in trials if trial.key == key]
        assert {trial.reward for trial in same} == {FLOOR_REWARD}
        assert [trial.id for trial in same if trial.id in ran] == [same[0].id]
        assert {trial.error.message for trial in same[1:]} <= {
            f"in quarantine: trial {same[0].id} of the same child failed every time"
        }
    assert len(trials) > len(ran)
    assert kinds(events).count("quarantine") == len(bad)
    assert all(trial.id in ran for trial in trials if trial.state == "done")


# === The driver ===


@pytest.mark.parametrize("seed", [0, 1])
def test_a_search_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path, seed):
    plan = make_plan(
        budget=30, seed=seed, seconds=30, evaluators=_all_stages(0.004, fault="raises", share=0.1), **CASCADE
    )
    search(tmp_path / "undisturbed", plan)
    rng, kills = random.Random(seed), 0
    run = tmp_path / "run"
    while True:
        process = start(run, plan)
        target = count(run) + rng.randint(1, 60)
        try:
            until(lambda target=target: count(run) >= target, process)
            time.sleep(rng.random() * 0.01)
        except AssertionError:  # it came to its end
            break
        process.kill()
        process.communicate()
        kills += 1
    assert process.returncode == 0
    assert kills >= 3
    assert history(run) == history(tmp_path / "undisturbed")
    assert kinds(stored(run)[1]).count("resume") >= kills - 1


def _all_stages(seconds, **options):
    config = {"name": "tests.support.broken_evaluators:Hashed", "seconds": seconds, **options}
    return dict.fromkeys(("proxy", "search", "selection", "final"), config)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_search_and_the_same_command_goes_on(tmp_path, number, code):
    plan = make_plan(budget=6, evaluators=_all_stages(0.1))
    run = tmp_path / "run"
    process = start(run, plan)
    until(lambda: count(run) >= 3, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err.strip().splitlines() == [err.strip()]
    assert f"stopped by {number.name} after" in err
    assert f"keras-nasnet search run --resume {run} goes on" in err
    trials, events = stored(run)
    assert {trial.state for trial in trials} <= {"waiting", "done"}
    assert kinds(events)[-1] == "stop"
    process = start(run, plan)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "the end; imported:\n"), err
    search(tmp_path / "undisturbed", plan)
    assert history(run) == history(tmp_path / "undisturbed")


def test_a_second_driver_refuses_and_the_first_goes_on(tmp_path):
    plan = make_plan(budget=4, evaluators=_all_stages(0.2))
    run = tmp_path / "run"
    first = start(run, plan)
    until(lambda: count(run) >= 1, first)
    _, err = (second := start(run, plan)).communicate(timeout=20)
    assert second.returncode == 2
    assert f"another process runs the search in {run}: wait for it, or stop it" in err
    assert "Traceback" not in err
    _, err = first.communicate(timeout=30)
    assert first.returncode == 0, err
    assert [trial.state for trial in stored(run)[0]] == ["done"] * 8


# === The disk ===


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here: root may")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("evaluator", ["Hashed", "Quiet"])
def test_a_full_disk_stops_the_search_which_goes_on_when_there_is_room(small_disk, tmp_path, evaluator):
    """Of "Hashed" the evaluations write a file each; of "Quiet" the store alone grows."""
    plan = make_plan(evaluator, budget=100)
    run = small_disk / "run"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    process = start(run, plan, file=tmp_path / "plan.json")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the disk is full" in err
    assert "Traceback" not in err
    before = history(run)
    assert 0 < len(before[0]) < 200
    assert not any(trial.error for trial in stored(run)[0]), "no child is to blame"
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    process = start(run, plan, file=tmp_path / "plan.json")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    search(tmp_path / "undisturbed", plan)
    assert history(run) == history(tmp_path / "undisturbed")


def test_a_worker_whose_disk_is_full_stops_the_search(tmp_path):
    plan = make_plan(budget=3, fault="fills_the_disk")
    with pytest.raises(OSError, match="the disk of worker-1 is full; make room, then resume") as caught:
        search(tmp_path, plan, LOCAL)
    assert caught.value.errno == errno.ENOSPC
    trials, events = stored(tmp_path)
    assert [(trial.state, trial.attempt) for trial in trials] == [("waiting", 0)]
    assert kinds(events) == ["start", "stop"]
