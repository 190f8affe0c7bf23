"""Stores that were damaged, or made to do harm: read, or refused in one line; no traceback, and always an end."""

import os
import sqlite3
import subprocess
import sys

import pytest

from keras_nasnet.common import limits
from keras_nasnet.search.run.stored import stored_plan, stored_schedule
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_trials
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.status import status
from tests.support import hostile_stores
from tests.support.hostile_stores import SCHEMAS

_LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
runpy.run_module("tests.support.hostile_stores", run_name="__main__")
"""


with sqlite3.connect(":memory:") as _memory:
    HAS_FULL_TEXT = bool(_memory.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchall())


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    hostile_stores.write_original(folder)
    return folder


@pytest.fixture
def make(original, tmp_path):
    """Returns the folder of a store that statements changed."""

    def change(script, *arguments):
        hostile_stores.copy_store(original, tmp_path)
        hostile_stores.change(tmp_path, script, *arguments)
        return tmp_path

    return change


@pytest.mark.security
def test_whatever_was_changed_it_is_read_or_refused_in_one_line(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", _LIMITED, "150", tmp_path], capture_output=True, text=True, env=os.environ, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    assert "'read'" in ended.stdout and "'refused'" in ended.stdout


@pytest.mark.parametrize("name", SCHEMAS)
def test_only_tables_as_this_package_makes_them_are_read(make, name):
    if "fts5" in SCHEMAS[name] and not HAS_FULL_TEXT:
        pytest.skip("this SQLite has no full text search")
    folder = make(SCHEMAS[name])
    if name in ("statistics", "false statistics", "many rows"):
        with Store.open(folder / FILE, readonly=True) as store:
            assert status(store)["trials"]["done"]
        return
    for readonly in (True, False):
        with pytest.raises(ValueError, match=r"is no store of a search|is damaged") as caught:
            Store.open(folder / FILE, readonly=readonly)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "value", "named"),
    [
        ("trials SET reward", "much", "row 3 of its table trials has a reward"),
        ("trials SET reward", float("inf"), "has a reward"),
        ("trials SET seconds", "x", "has a seconds"),
        ("trials SET finished_at", None, "has a finished_at"),
        ("trials SET finished_at", 1e300, "has a finished_at"),
        ("trials SET stage", "x", "CHECK constraint failed|has a stage"),
        ("trials SET arm", b"x", "has a arm"),
        ("trials SET tokens", "[" * 100_000, "trial 3: tokens: lists or objects lie too deeply"),
        ("trials SET tokens", "[0, 1.5, 2, 3, 4, 0]", "trial 3: tokens are no list of whole numbers"),
        ("trials SET tokens", "[0, 1, 2, 3, 4, 5]", "trial 3: token 5 is 5: it must be from 0 to 4"),
        ("trials SET tokens", f"[{'9' * 400}]", "trial 3: tokens: not JSON .an integer of 400 digits"),
        ("trials SET fidelity", "[]", "trial 3: fidelity is no JSON object"),
        ("trials SET fidelity", '{"filters": 1000000000}', "trial 3: filters is 1000000000: more than"),
        ("trials SET extra", '{"loss": "low"}', "trial 3: extra has something else than numbers by name"),
        ("trials SET extra", "a" * (limits.STORE_TEXT * 4 + 1), "has a extra"),
        ("trials SET arm", "another", "trial 3 is of 'another', which is no arm of the plan"),
        ("trials SET parent", 99, "trial 3 of search has no parent that could be one"),
        ("events SET message", b"\xff", "row 3 of its table events has a message"),
        ("updates SET numbers", '{"entropy": []}', "update 3: it has|numbers by name"),
        ("controllers SET state", "text", "has a state"),
    ],
)
def test_what_a_column_cannot_hold_is_named(make, assignment, value, named):
    folder = make(
        f"UPDATE {assignment} = ? WHERE rowid = (SELECT min(3, max(rowid)) FROM {assignment.split()[0]})", value
    )
    with pytest.raises(ValueError, match=named) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)
    assert not (folder / "report.html").exists()


def test_a_key_that_was_changed_does_not_promote_a_child_without_end(make):
    """A child whose key is not the one that its promotion has."""
    folder = make("UPDATE trials SET key = 'another' || id WHERE stage = 'search'")
    with Store.open(folder / FILE, readonly=True) as store:
        plan = stored_plan(store)
        schedule = stored_schedule(store, plan)
        promoted = {trial.parent for trial in store.trials(stage="selection")}
    promotion = schedule.promotion()
    assert promotion is None or promotion[0].id not in promoted


def test_a_text_in_a_store_is_no_formula_and_moves_no_cursor(make, tmp_path):
    folder = make("UPDATE trials SET device = ?, worker = ?", "=HYPERLINK(1)", "\x1b[2J\nx")
    with Store.open(folder / FILE, readonly=True) as store:
        export_trials(store, tmp_path / "trials.csv")
    text = (tmp_path / "trials.csv").read_text()
    assert "'=HYPERLINK(1)" in text and ",=HYPERLINK" not in text
    assert "\x1b" not in text and "\\x1b[2J\\nx" in text


@pytest.mark.parametrize("end", ["", "-wal", "-journal"])
def test_a_pipe_in_a_file_s_place_hangs_nobody(make, end):
    folder = make("SELECT 1")
    path = folder / f"{FILE}{end}"
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"no such file|a folder, pipe or device, not a file"):
        Store.open(folder / FILE, readonly=True)


def test_more_bytes_or_rows_than_a_store_has_are_refused(make, monkeypatch):
    folder = make("SELECT 1")
    monkeypatch.setattr(limits, "STORE_ROWS", 10)
    with pytest.raises(ValueError, match=r"rows of its table trials are more than 10"):
        Store.open(folder / FILE, readonly=True)
    monkeypatch.setattr(limits, "STORE_BYTES", 1000)
    with pytest.raises(ValueError, match=r"bytes are more than the 1,000 of a store"):
        Store.open(folder / FILE, readonly=True)


def test_the_search_for_damage_has_an_end(make, monkeypatch):
    folder = make(SCHEMAS["many rows"])
    monkeypatch.setattr(limits, "STORE_SECONDS", -1.0)
    with pytest.raises(ValueError, match="not found sound in -1 s"):
        Store.open(folder / FILE, readonly=True)
