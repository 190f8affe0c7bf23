"""The store: what is in it after every kind of change, and after a crash in the middle of one."""

import errno
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import FLOOR_REWARD, Error, Fidelity, Proposal, Result

CONFIG = {"name": "a search", "seed": 3, "arms": [{"controller": "random", "budget": 2}]}


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / FILE, CONFIG) as store:
        yield store


def add(store, count=1, arm="random", stage="search", **options):
    proposals = [Proposal((number, 1, 2), -0.25) for number in range(count)]
    keys, seeds = [f"key {number}" for number in range(count)], list(range(count))
    state = options.pop("state", None)
    return store.add(arm, proposals, keys, stage, Fidelity(3, images=100), seeds, state, **options)


def finish(store, trial, reward=0.5):
    store.start(trial.id, "worker-1", 1e10)
    return store.finish(trial.id, Result(reward))


# === A trial's life ===


def test_a_trial_waits_runs_and_is_done(store):
    (trial,) = add(store, state=b"asked")
    assert (trial.id, trial.state, trial.attempt, trial.consumed) == (1, "waiting", 0, False)
    assert trial.tokens == (0, 1, 2)
    assert (trial.log_prob, trial.fidelity) == (-0.25, Fidelity(3, images=100))
    running = store.start(1, "worker-1", 1234.5)
    assert (running.state, running.worker, running.lease_until) == ("running", "worker-1", 1234.5)
    result = Result(0.1 + 0.2, params=5, mult_adds=6, seconds=2.5, device="CPU", extra={"loss": 1.5, "bad": math.nan})
    done = store.finish(1, result)
    assert (done.state, done.reward, done.params, done.mult_adds) == ("done", 0.1 + 0.2, 5, 6)
    assert (done.seconds, done.device, done.extra, done.error) == (2.5, "CPU", {"loss": 1.5}, None)
    assert done.finished_at >= done.asked_at > 1e9
    assert done == store.trial(1)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (Result(None, error=Error("failed", "it broke")), "failed"),
        (Result(float("nan")), "nan"),
        (Result(float("inf")), "nan"),
        (Result(None), "nan"),
    ],
)
def test_a_trial_without_a_reward_fails_with_the_floor(store, result, kind):
    add(store)
    trial = store.finish(1, result)
    assert (trial.state, trial.reward, trial.error.kind) == ("failed", FLOOR_REWARD, kind)
    assert [(event.kind, event.trial) for event in store.events()] == [(kind, 1)]


def test_a_retry_counts_keeps_the_cost_and_may_change_the_fidelity(store):
    add(store)
    store.start(1, "worker-1", 0)
    trial = store.retry(1, Error("out_of_memory", "MemoryError"), Fidelity(3, accumulate=2), seconds=4.0)
    assert (trial.state, trial.attempt, trial.worker, trial.fidelity.accumulate) == ("waiting", 1, None, 2)
    assert [event.kind for event in store.events()] == ["out_of_memory", "retry"]
    store.start(1, "worker-2", 0)
    trial = store.finish(1, Result(0.5, seconds=2.0))
    assert (trial.state, trial.seconds, trial.error.kind) == ("done", 6.0, "out_of_memory")


def test_a_trial_that_is_released_is_as_if_it_had_not_been_started(store):
    (before,) = add(store)
    store.start(1, "worker-1", 0)
    assert store.release(1) == before


def test_what_has_ended_stays(store):
    finish(store, *add(store))
    for change in (
        lambda: store.finish(1, Result(0.9)),
        lambda: store.start(1, "worker-1", 0),
        lambda: store.retry(1, Error("failed", "")),
        lambda: store.release(1),
    ):
        with pytest.raises(sqlite3.IntegrityError, match="trial 1 is done"):
            change()
    assert store.trial(1).reward == 0.5
    assert store.events() == []


def test_trials_are_found_by_arm_stage_and_state(store):
    add(store, 2)
    add(store, 1, arm="ppo", stage="final", parents=[1])
    finish(store, store.trial(1))
    assert [trial.id for trial in store.trials()] == [1, 2, 3]
    assert [trial.id for trial in store.trials(arm="random", state="waiting")] == [2]
    assert [(trial.id, trial.parent) for trial in store.trials(stage="final")] == [(3, 1)]
    assert store.next_id() == 4


# === Each reward is used once ===


def test_rewards_and_the_new_state_are_one_change(store):
    for trial in add(store, 3, state=b"asked"):
        finish(store, trial)
    store.consume("random", [1, 3], b"told", {"entropy": 0.5})
    assert [trial.consumed for trial in store.trials()] == [True, False, True]
    assert store.controller_state("random") == b"told"
    store.consume("random", [2], b"told more", {"entropy": 0.25})
    assert [(row["arm"], row["trials"], row["entropy"]) for row in store.metrics("random")] == [
        ("random", 2, 0.5),
        ("random", 3, 0.25),
    ]
    assert store.metrics("ppo") == []
    assert store.controller_state("ppo") is None


@pytest.mark.parametrize("ids", [[2, 1], [2, 3], [2, 4], [2, 99], [2, 2]])
def test_what_may_not_be_used_changes_nothing(store, ids):
    """1 was used, 3 still waits, 4 is another arm's, 99 is not there, 2 stands there twice."""
    add(store, 3, state=b"asked")
    add(store, 1, arm="ppo")
    for number in (1, 2, 4):
        finish(store, store.trial(number))
    store.consume("random", [1], b"told 1", {})
    with pytest.raises(sqlite3.IntegrityError, match="no reward to use, or it was used before"):
        store.consume("random", ids, b"told again", {"entropy": 0.5})
    assert [trial.id for trial in store.trials() if trial.consumed] == [1]
    assert store.controller_state("random") == b"told 1"
    assert len(store.metrics("random")) == 1


@given(data=st.data())
def test_whatever_the_order_each_reward_is_used_once(data, tmp_path_factory):
    """Changes in a random order, with the file closed and opened again in between."""
    path = tmp_path_factory.mktemp("store") / FILE
    store = Store.create(path, CONFIG)
    used: list[int] = []
    try:
        for _ in range(data.draw(st.integers(1, 25))):
            trials = store.trials()
            change = data.draw(st.sampled_from(["add", "start", "finish", "retry", "release", "consume", "reopen"]))
            if change == "reopen":
                store.close()
                store = Store.open(path)
            elif change == "add":
                add(store, data.draw(st.integers(1, 3)), state=b"state")
            elif change == "consume":
                ids = data.draw(st.lists(st.integers(1, len(trials) + 1), min_size=1, max_size=3))
                before = store.controller_state("random")
                allowed = len(set(ids)) == len(ids) and all(
                    any(trial.id == one and trial.state in ("done", "failed") for trial in trials) and one not in used
                    for one in ids
                )
                state = f"state after {[*used, *ids]}".encode()
                if allowed:
                    store.consume("random", ids, state, {})
                    used += ids
                    assert store.controller_state("random") == state
                else:
                    with pytest.raises(sqlite3.IntegrityError):
                        store.consume("random", ids, state, {})
                    assert store.controller_state("random") == before
            elif trials:
                trial = data.draw(st.sampled_from(trials))
                given = {"start": ("worker-1", 0), "finish": (Result(0.5),), "retry": (Error("failed", ""),)}
                arguments = (trial.id, *given.get(change, ()))
                legal = {"start": ["waiting"], "finish": ["waiting", "running"]}.get(change, ["running"])
                if trial.state in legal:
                    getattr(store, change)(*arguments)
                else:
                    with pytest.raises(sqlite3.IntegrityError):
                        getattr(store, change)(*arguments)
        assert sorted(trial.id for trial in store.trials() if trial.consumed) == sorted(used)
        assert len(used) == len(set(used)) == sum(row["trials"] for row in store.metrics("random")[-1:])
    finally:
        store.close()


# === The file ===


def test_any_sqlite_tool_reads_it(store, tmp_path):
    finish(store, *add(store))
    store.event("stop", "that is all")
    with sqlite3.connect(tmp_path / FILE) as connection:
        row = connection.execute(
            "SELECT tokens, reward, fidelity, consumed_by FROM trials WHERE state = 'done'"
        ).fetchone()
        assert json.loads(row[0]) == [0, 1, 2]
        assert (row[1], json.loads(row[2])["epochs"], row[3]) == (0.5, 3, None)
        assert connection.execute("SELECT kind, message FROM events").fetchall() == [("stop", "that is all")]
        assert json.loads(connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()[0]) == CONFIG
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_one_may_look_on_while_another_writes(store, tmp_path):
    with Store.open(tmp_path / FILE, readonly=True) as reader:
        assert reader.config == CONFIG
        with store.transaction():
            add(store)
            assert reader.trials() == []
        assert len(reader.trials()) == 1
        with pytest.raises(OSError, match="readonly"):
            reader.event("stop", "not by a reader")
    assert store.events() == []


def test_a_store_is_made_once(store, tmp_path):
    with pytest.raises(ValueError, match="exists: resume that search"):
        Store.create(tmp_path / FILE, CONFIG)
    assert {path.name for path in tmp_path.iterdir()} <= {FILE, f"{FILE}-wal", f"{FILE}-shm"}


def test_a_folder_without_a_store(tmp_path):
    with pytest.raises(ValueError, match="no such file: is this the folder of a search"):
        Store.open(tmp_path / FILE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"words, " * 1000, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_store(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match="is no store of a search"):
        Store.open(tmp_path / FILE)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_database_of_something_else(tmp_path):
    connection = sqlite3.connect(tmp_path / FILE)
    connection.executescript("CREATE TABLE meta (key, value); INSERT INTO meta VALUES ('owner', 'another program')")
    connection.close()
    with pytest.raises(ValueError, match="is no store of a search"):
        Store.open(tmp_path / FILE)


def test_a_store_of_another_version(store, tmp_path):
    store.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(ValueError, match="has schema 99, this package reads 1: use the keras-nasnet that wrote it"):
        Store.open(tmp_path / FILE)


# === Crashes ===

_DIES = """
import os, signal, sys
from keras_nasnet.search.store.store import Store
from keras_nasnet.search.trial import Fidelity, Proposal, Result
store = Store.open(sys.argv[1])
with store.transaction():
    store.add("random", [Proposal((9,))], ["key"], "search", Fidelity(), [0], b"new")
    store.consume("random", [1], b"newer", {})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_kill_in_the_middle_of_a_change_leaves_what_was(store, tmp_path):
    finish(store, *add(store, state=b"asked"))
    before = store.trials()
    store.close()
    died = subprocess.run([sys.executable, "-c", _DIES, tmp_path / FILE], check=False)
    assert died.returncode == -signal.SIGKILL
    with Store.open(tmp_path / FILE) as store:
        assert store.trials() == before
        assert store.controller_state("random") == b"asked"
        store.consume("random", [1], b"told", {})


def test_an_error_in_the_middle_of_a_change_leaves_what_was(store):
    with pytest.raises(KeyError), store.transaction():
        add(store, 2, state=b"asked")
        store.event("stop", "")
        raise KeyError
    assert store.trials() == []
    assert store.events() == []
    assert store.controller_state("random") is None
    add(store)


def test_a_store_that_cannot_be_written_is_said_in_one_line(store, tmp_path):
    """A page limit is what a full disk is to SQLite: SQLITE_FULL."""
    store._connection.execute("PRAGMA max_page_count = 1")
    add(store)
    with pytest.raises(OSError, match="the disk is full; the store is as it was: make room") as caught:
        add(store, 1, state=os.urandom(200_000))
    assert caught.value.errno == errno.ENOSPC
    assert [trial.id for trial in store.trials()] == [1]
    assert store.controller_state("random") is None
