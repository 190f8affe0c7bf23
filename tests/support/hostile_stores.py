"""Damaged and hostile stores of searches, and what all commands that read one say of them.

    python -m tests.support.hostile_stores COUNT FOLDER

Prints how many were read and how many refused; ends with an error where one is neither, in one line.
"""

import contextlib
import copy
import functools
import json
import os
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.runner import Runner
from keras_nasnet.search.run.stored import stored_plan
from keras_nasnet.search.run.trust import foreign_code
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_best, export_trials
from keras_nasnet.search.view.progress import summary
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.scalars import Scalars
from keras_nasnet.search.view.status import status
from tests.support.damage import damaged
from tests.support.small_search import CASCADE, Inline, make_plan, search

EVALUATOR = "tests.support.broken_evaluators:Hashed"
DEEP = "[" * 100_000
VALUES = (
    None, 0, -1, 1, 2**62, -(2**63), 1.5, -1e308, 1e308, float("inf"), "", "x", "search", "done", "random", "NaN", DEEP,
    '{"a":' * 5000, "9" * 400, "[]", "{}", "null", '{"epochs": 1e999}', '{"epochs": true}',
    f'{{"epochs": {"9" * 400}}}',
    '{"filters": 1000000000}', '{"loss": "x"}', '{"loss": NaN, "at": 3, "trials": "x"}', "[1, 2]", "[0,1,2,3,4,99]",
    "\x1b[2J\n<script>", "=HYPERLINK(1)", "../../../x", "a" * 300_000, b"", b"\xff" * 50, b"{}", "\ud7ff\uffff\u202e",
)  # fmt: skip
SCHEMAS = {
    "an endless view": "ALTER TABLE trials RENAME TO t; CREATE VIEW trials AS WITH RECURSIVE r(id) AS "
    "(SELECT 1 UNION ALL SELECT id + 1 FROM r) SELECT t.* FROM r, t",
    "an endless view of events": "DROP TABLE events; CREATE VIEW events AS WITH RECURSIVE r(id) AS "
    "(SELECT 1 UNION ALL SELECT id + 1 FROM r) SELECT id, 1.0 AS at, NULL AS trial, 'x' AS kind, 'x' AS message FROM r",
    "a view of the configuration": "ALTER TABLE meta RENAME TO m; CREATE VIEW meta AS SELECT * FROM m",
    "an endless configuration": "DROP TABLE meta; CREATE VIEW meta AS WITH RECURSIVE r(key) AS "
    "(SELECT 'schema' UNION ALL SELECT key || 'x' FROM r) SELECT key, '1' AS value FROM r",
    "a trigger": "CREATE TRIGGER more AFTER UPDATE ON trials BEGIN DELETE FROM controllers; END",
    "another table": "CREATE TABLE more (x)",
    "another index": "CREATE INDEX more ON trials (hex(zeroblob(10)))",
    "a table in another table's place": "DROP TABLE events; CREATE TABLE events (id, at, trial, kind)",
    "a column that is computed": "DROP TABLE updates; CREATE TABLE updates (id INTEGER PRIMARY KEY, arm TEXT, at REAL, "
    "trials INTEGER, numbers TEXT GENERATED ALWAYS AS (hex(zeroblob(100000000))))",
    "a table without row ids": "DROP TABLE controllers; CREATE TABLE controllers (arm TEXT PRIMARY KEY, state BLOB NOT "
    "NULL) WITHOUT ROWID",
    "a costly check": "DROP TABLE events; CREATE TABLE events (id INTEGER PRIMARY KEY, at REAL NOT NULL, "
    "trial INTEGER, kind TEXT NOT NULL, message TEXT NOT NULL, CHECK (length(hex(zeroblob(400000000))) > 0)); "
    "INSERT INTO events VALUES (1, 1, 1, 'x', 'x')",
    "no table": "DROP TABLE updates",
    "statistics": "ANALYZE",
    "false statistics": "ANALYZE; DELETE FROM sqlite_stat1; "
    "INSERT INTO sqlite_stat1 VALUES ('trials', 'trials_by_arm', 'x')",
    "a search in the full text": "CREATE VIRTUAL TABLE more USING fts5(x)",
    "two tables in one place": "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'trials') "
    "WHERE name = 'events'",
    "a text that is no statement": "PRAGMA writable_schema = ON; "
    "UPDATE sqlite_master SET sql = 'CREATE TABLE trials (' || hex(zeroblob(100000)) WHERE name = 'trials'",
    "a name that is no text": "PRAGMA writable_schema = ON; UPDATE sqlite_master SET name = CAST(x'ff94' AS TEXT), "
    "sql = 'CREATE TABLE ' || CAST(x'ff94' AS TEXT) || ' (' WHERE name = 'events'",
    "many rows": "WITH RECURSIVE r(id) AS (SELECT 100 UNION ALL SELECT id + 1 FROM r LIMIT 20000) "
    "INSERT INTO events SELECT id, 1.0, NULL, 'start', 'x' FROM r",
}


def write_original(folder: Path) -> None:
    """Writes a small search that has all: proposals by proxy, rungs, finals, faults, updates."""
    search(folder, make_plan(budget=6, fault="raises", share=0.3, **CASCADE))
    shutil.rmtree(folder / "trials")
    with sqlite3.connect(folder / FILE) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


def changed(original: Path, folder: Path, number: int) -> None:
    """Writes a store that was changed in a way that the number decides."""
    rng = np.random.default_rng(number)
    folder.mkdir()
    path = folder / FILE
    if number % 3 == 0:
        path.write_bytes(damaged((original / FILE).read_bytes(), rng))
        return
    copy_store(original, folder)
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        if number % 3 == 1:
            _change_values(connection, rng)
        elif number % 2:
            _change_config(connection, rng)
        else:
            connection.executescript(list(SCHEMAS.values())[number // 6 % len(SCHEMAS)])
        connection.commit()


def copy_store(original: Path, folder: Path) -> None:
    shutil.copyfile(original / FILE, folder / FILE)


def change(folder: Path, script: str, *arguments: object) -> None:
    """Runs statements on a store; only one where it has arguments."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        if arguments:
            connection.execute(script, arguments)
        else:
            connection.executescript(script)
        connection.commit()


def _change_values(connection: sqlite3.Connection, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 3)):
        table = ("trials", "trials", "trials", "controllers", "updates", "events", "meta")[rng.integers(7)]
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = connection.execute(f"SELECT rowid FROM {table}").fetchall()
        row = rows[rng.integers(len(rows))][0]
        value = VALUES[rng.integers(len(VALUES))]
        column = columns[rng.integers(len(columns))]
        with contextlib.suppress(sqlite3.Error, OverflowError):
            shape = "CAST(? AS TEXT)" if isinstance(value, bytes) and rng.random() < 0.5 else "?"
            connection.execute(f"UPDATE {table} SET {column} = {shape} WHERE rowid = ?", (value, row))


def _change_config(connection: sqlite3.Connection, rng: np.random.Generator) -> None:
    config = json.loads(connection.execute("SELECT value FROM meta WHERE key = 'config'").fetchone()[0])
    text = json.dumps(changed_data(config, rng))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'config'", (text,))


def changed_data(data: object, rng: np.random.Generator) -> object:
    """Returns plain data with one to three of its values replaced, left out or put elsewhere."""
    data = copy.deepcopy(data)
    for _ in range(rng.integers(1, 4)):
        places = list(_places(data))
        holder, name = places[rng.integers(len(places))]
        chance = rng.random()
        if chance < 0.15:
            del holder[name]
        elif chance < 0.3 and isinstance(holder, dict):
            holder[str(VALUES[rng.integers(10, len(VALUES))])[:50]] = holder.pop(name)
        elif chance < 0.4:
            other, key = places[rng.integers(len(places))]
            holder[name] = copy.deepcopy(other[key]) if key in other or isinstance(other, list) else None
        else:
            holder[name] = _NEW[rng.integers(len(_NEW))]
        if not data:
            break
    return data


_NEW: tuple[object, ...] = (
    None, True, 0, -1, 2, 10**9, 10**12, 10**18, 1e300, float("nan"), float("inf"), "", "x", "a:b", "os:system", [], {},
    [[]], {"": {}}, {"name": "nasnet"}, "../../x", "\x1b[2J", "a" * 5000,
    functools.reduce(lambda x, _: [x], range(80), 1),
)  # fmt: skip


def _places(data: object) -> Iterator[tuple[dict | list, object]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for name, value in list(items):
        yield data, name
        yield from _places(value)


def look_at(folder: Path) -> None:
    """Does all that commands do with a store: status, report, exports, scalars, and going on."""
    with Store.open(folder / FILE, readonly=True) as store:
        json.dumps(status(store))
        assert summary(status(store)).isprintable()
        write_report(folder)
        export_trials(store, folder / "trials.csv")
        export_best(store, folder / "best.json")
        scalars = Scalars(folder)
        scalars(store)
        scalars.close()
        plan = stored_plan(store)
    if _is_small(plan) and not [name for name in foreign_code(plan) if name != f"evaluator {EVALUATOR}"]:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # of children that fail
            Runner(folder, plan, Inline).run()


def _is_small(plan: Plan) -> bool:
    children = plan.proposals * sum(arm.budget for arm in plan.arms)
    return max(children, plan.finalists, len(plan.rungs)) <= 50


def outcome(folder: Path) -> str:
    """Returns how a store was taken: "read", or "refused" in one line."""
    try:
        look_at(folder)
    except (ValueError, TypeError, OSError) as error:
        text = str(error)
        if "\n" in text or len(text) > 1500 or type(error).__name__ not in ("ValueError", "TypeError", "OSError"):
            raise RuntimeError(f"{type(error).__name__}: {text[:3000]!r}") from error
        return "refused"
    return "read"


def main(count: int, folder: Path) -> None:
    write_original(folder / "original")
    counts: Counter[str] = Counter()
    longest = 0.0
    for number in range(count):
        place = folder / str(number)
        changed(folder / "original", place, number)
        begun = time.monotonic()
        try:
            counts[outcome(place)] += 1
        except Exception as error:
            counts[f"{type(error).__name__}"] += 1
            import traceback

            print(number, "".join(traceback.format_exception(error)[-6:])[-1500:], flush=True)
        longest = max(longest, time.monotonic() - begun)
        shutil.rmtree(place)
    print(dict(counts), f"{longest:.1f} s at most")
    sys.exit(len(counts.keys() - {"read", "refused"}))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main(int(sys.argv[1]), Path(sys.argv[2]))
