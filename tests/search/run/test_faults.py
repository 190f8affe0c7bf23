"""What a search survives: with real processes and real signals where these are what matters."""

import errno
import functools
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import FLOOR_REWARD, Fidelity
from tests.support.small_search import CASCADE, TINY_SPACE, Inline, history, make_plan, search, start
from tests.support.waiting import SECONDS, Clock, evaluating, wait_for

LOCAL = functools.partial(make_executor, "local", workers=1)


def stored(folder):
    """Trials and events of a run."""
    with Store.open(Path(folder) / FILE, readonly=True) as store:
        return store.trials(), store.events()


def kinds(events, trial=None):
    return [event.kind for event in events if trial is None or event.trial == trial]


def until(condition, process):
    """Waits until a condition holds; returns whether it does: the search may have come to its end before."""
    wait_for(lambda: condition() or process.poll() is not None)
    return process.poll() is None


def count(folder):
    """Number of trials that ended; 0 without a store."""
    try:
        return sum(trial.finished_at is not None for trial in stored(folder)[0])
    except (ValueError, OSError):
        return 0


# === Workers ===


def test_a_child_whose_worker_is_killed_is_run_again_with_its_seed(tmp_path):
    gate = tmp_path / "gate"
    plan = make_plan(budget=2, controllers=("random",), gate=str(gate))
    killed = []

    def watch(store):
        if not killed and store.trials(state="running"):
            killed.append(evaluating(tmp_path, 1))
            os.kill(killed[0], signal.SIGKILL)
            gate.touch()

    search(tmp_path, plan, LOCAL, watch=watch)
    trials, events = stored(tmp_path)
    assert [(trial.state, trial.attempt) for trial in trials] == [("done", 1), ("done", 0)]
    assert kinds(events, 1) == ["worker_lost", "retry"]
    assert trials[0].error.message == "worker-1 was killed by SIGKILL"
    attempts = (tmp_path / "trials" / "1" / "attempts.txt").read_text().splitlines()
    assert [line.split()[1] for line in attempts] == [str(trials[0].seed)] * 2
    search(tmp_path / "undisturbed", plan)
    assert [trial.reward for trial in trials] == [trial.reward for trial in stored(tmp_path / "undisturbed")[0]]


def test_a_child_that_hangs_costs_a_second_attempt_and_then_the_floor(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("keras_nasnet.search.executors.pool.time", clock)

    def watch(store):
        for trial in store.trials(state="running"):
            attempts = tmp_path / "trials" / str(trial.id) / "attempts.txt"
            wait_for(lambda: attempts.exists() and len(attempts.read_text().splitlines()) > trial.attempt)  # noqa: B023
            clock.ahead += 1000.0

    search(tmp_path, make_plan(budget=1, controllers=("random",), fault="hangs", seconds=999.0), LOCAL, watch=watch)
    ((trial,), events) = stored(tmp_path)
    assert (trial.state, trial.reward, trial.attempt, trial.error.kind) == ("failed", FLOOR_REWARD, 1, "timeout")
    assert kinds(events, 1) == ["timeout", "retry", "timeout", "quarantine"]


@pytest.mark.parametrize(
    ("fault", "kind", "attempts", "executor", "options"),
    [
        ("dies", "worker_lost", 3, LOCAL, {}),
        ("lost", "worker_lost", 2, Inline, {"max_retries": 1}),
        ("late", "timeout", 2, Inline, {}),
        ("raises", "failed", 2, Inline, {}),
        ("never_fits", "out_of_memory", 2, Inline, {}),
        ("nan", "nan", 1, Inline, {}),
        ("diverged", "nan", 1, Inline, {}),
    ],
)
def test_a_fault_that_does_not_end_costs_so_many_attempts_and_then_the_floor(
    tmp_path, fault, kind, attempts, executor, options
):
    plan = make_plan(budget=2, controllers=("evolution",), fault=fault, share=0.5, **options)
    search(tmp_path, plan, executor)
    trials, events = stored(tmp_path)
    assert sorted(trial.state for trial in trials) == ["done", "failed"], "one child of two has the fault"
    assert all(trial.consumed for trial in trials), "the controller is told of both"
    (failed,) = (trial for trial in trials if trial.state == "failed")
    assert (failed.reward, failed.error.kind, failed.attempt) == (FLOOR_REWARD, kind, attempts - 1)
    assert len((tmp_path / "trials" / str(failed.id) / "attempts.txt").read_text().splitlines()) == attempts
    assert kinds(events, failed.id) == [kind, "retry"] * (attempts - 1) + [kind] + ["quarantine"] * (kind != "nan")


@pytest.mark.parametrize(
    ("fault", "kind", "accumulate", "executor"),
    [
        ("lost", "worker_lost", 1, Inline),
        ("late", "timeout", 1, Inline),
        ("raises", "failed", 1, Inline),
        ("out_of_memory", "out_of_memory", 2, LOCAL),
    ],
)
def test_a_fault_that_passes_costs_an_attempt_and_no_reward(tmp_path, fault, kind, accumulate, executor):
    plan = make_plan(budget=1, controllers=("random",), fault=fault, only=1)
    search(tmp_path, plan, executor)
    ((trial,), events) = stored(tmp_path)
    assert (trial.state, trial.attempt, trial.error.kind) == ("done", 1, kind)
    assert trial.fidelity == Fidelity(1, accumulate=accumulate)
    assert kinds(events, 1) == ["recycled"] * (executor is LOCAL) + [kind, "retry"]
    assert trial.reward > FLOOR_REWARD


def test_a_child_that_fails_every_time_is_not_run_any_more(tmp_path):
    plan = make_plan(budget=25, controllers=("random",), space=TINY_SPACE, fault="raises", share=0.4)
    search(tmp_path, plan)
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


def test_a_search_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path):
    plan = make_plan(budget=10, seed=1, fault="raises", share=0.1, **CASCADE)
    search(tmp_path / "undisturbed", plan)
    whole = count(tmp_path / "undisturbed")
    rng, kills = random.Random(0), 0
    run = tmp_path / "run"
    while True:
        process = start(run, plan)
        target = count(run) + rng.randint(whole // 6, whole // 4)
        if not until(lambda target=target: count(run) >= target, process):
            break
        process.kill()
        process.communicate()
        kills += 1
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert kills >= 3
    assert history(run) == history(tmp_path / "undisturbed")
    assert kinds(stored(run)[1]).count("resume") >= kills - 1


def test_sigterm_stops_the_search_and_the_same_command_goes_on(tmp_path):
    """SIGINT, by the command line: see tests/cli/test_search.py."""
    gate = tmp_path / "gate"
    plan = make_plan(budget=3, gate=str(gate), held=3)
    run = tmp_path / "run"
    process = start(run, plan)
    assert until(lambda: count(run) >= 2 and len(stored(run)[0]) == 3, process), process.communicate()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 143
    assert err.strip().splitlines() == [err.strip()]
    assert "stopped by SIGTERM after" in err
    assert f"keras-nasnet search run --resume {run} goes on" in err
    trials, events = stored(run)
    assert [trial.state for trial in trials] == ["done", "done", "waiting"]
    assert kinds(events)[-1] == "stop"
    gate.touch()
    process = start(run, plan)
    out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (0, "the end; imported:\n"), err
    search(tmp_path / "undisturbed", plan)
    assert history(run) == history(tmp_path / "undisturbed")


def test_a_second_driver_refuses_and_the_first_goes_on(tmp_path):
    gate = tmp_path / "gate"
    plan = make_plan(budget=2, gate=str(gate), held=2)
    run = tmp_path / "run"
    first = start(run, plan)
    assert until(lambda: count(run) >= 1, first), first.communicate()
    with pytest.raises(ValueError, match=rf"{run} is being written by process \d+ on .*: wait for it"):
        search(run, plan)
    gate.touch()
    _, err = first.communicate(timeout=SECONDS)
    assert first.returncode == 0, err
    assert [trial.state for trial in stored(run)[0]] == ["done"] * 4


# === The disk ===


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of one megabyte, two thirds of which are taken."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here: root may")
    (folder / "ballast").write_bytes(bytes(700_000))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def check_that_it_goes_on_with_room(small_disk, run, plan, undisturbed):
    before = history(run)
    assert 0 < len(before[0]) < 80
    assert not any(trial.error for trial in stored(run)[0]), "no child is to blame"
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    search(run, plan)
    search(undisturbed, plan)
    assert history(run) == history(undisturbed)


def test_a_full_disk_stops_the_search_which_goes_on_when_there_is_room(small_disk, tmp_path):
    """The evaluations write nothing: the store alone grows."""
    plan, run = make_plan("Quiet", budget=40), small_disk / "run"
    process = start(run, plan, file=tmp_path / "plan.json")
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1
    assert "the disk is full" in err
    assert "Traceback" not in err
    check_that_it_goes_on_with_room(small_disk, run, plan, tmp_path / "undisturbed")


def test_evaluations_that_fill_the_disk_stop_the_search_as_well(small_disk, tmp_path):
    """They write a file each."""
    plan, run = make_plan(budget=40), small_disk / "run"
    with pytest.raises(OSError, match="full") as caught:
        search(run, plan)
    assert caught.value.errno == errno.ENOSPC
    check_that_it_goes_on_with_room(small_disk, run, plan, tmp_path / "undisturbed")


def test_a_worker_whose_disk_is_full_stops_the_search(tmp_path):
    plan = make_plan(budget=3, fault="fills_the_disk")
    with pytest.raises(OSError, match="the disk of worker-1 is full; make room, then resume") as caught:
        search(tmp_path, plan, LOCAL)
    assert caught.value.errno == errno.ENOSPC
    trials, events = stored(tmp_path)
    assert [(trial.state, trial.attempt) for trial in trials] == [("waiting", 0)]
    assert kinds(events) == ["start", "stop"]
