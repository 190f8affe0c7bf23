"""The tables of a store, and how a row becomes a `Trial`. Schema 1:

    meta(key, value)            "schema", "config" (JSON: what the search was started with)
    trials(id, arm, tokens, key, log_prob, stage, fidelity, seed, parent, state, attempt, worker, lease_until,
           reward, params, mult_adds, seconds, device, error_kind, error, extra, consumed_by, asked_at, finished_at)
                                a row a trial: see `keras_nasnet.search.trial.Trial`; tokens, fidelity and extra are
                                JSON; consumed_by is the update that used its reward, NULL until then
    controllers(arm, state)     BLOB: what `Controller.get_state` returned, after the last ask or update
    updates(id, arm, at, trials, numbers)
                                a row a `Controller.tell`: consumed trials of the arm so far; JSON of what it returned
    events(id, at, trial, kind, message)
                                what happened beside the trials themselves: start, resume, faults, quarantine, stop

Times are UNIX times in seconds.
"""

import functools
import math
import sqlite3
from collections.abc import Iterator
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json
from keras_nasnet.search.trial import STAGES, STATES, Error, Fidelity, Trial

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    arm TEXT NOT NULL,
    tokens TEXT NOT NULL,
    key TEXT NOT NULL,
    log_prob REAL,
    stage TEXT NOT NULL CHECK (stage IN ('proxy', 'search', 'selection', 'final')),
    fidelity TEXT NOT NULL,
    seed INTEGER NOT NULL,
    parent INTEGER REFERENCES trials (id),
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    attempt INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    lease_until REAL,
    reward REAL,
    params INTEGER,
    mult_adds INTEGER,
    seconds REAL NOT NULL DEFAULT 0,
    device TEXT NOT NULL DEFAULT '',
    error_kind TEXT,
    error TEXT,
    extra TEXT NOT NULL DEFAULT '{}',
    consumed_by INTEGER REFERENCES updates (id),
    asked_at REAL NOT NULL,
    finished_at REAL,
    CHECK ((state IN ('done', 'failed')) = (reward IS NOT NULL)),
    CHECK (consumed_by IS NULL OR reward IS NOT NULL)
);
CREATE INDEX trials_by_arm ON trials (arm, stage, state);
CREATE TABLE controllers (arm TEXT PRIMARY KEY, state BLOB NOT NULL);
CREATE TABLE updates (
    id INTEGER PRIMARY KEY, arm TEXT NOT NULL, at REAL NOT NULL, trials INTEGER NOT NULL, numbers TEXT NOT NULL
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, trial INTEGER REFERENCES trials (id), kind TEXT NOT NULL,
    message TEXT NOT NULL
);
"""

# The tables that SQLite's ANALYZE makes in any file.
STATISTICS = (
    "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
)


# === What must hold of every row, wherever the file comes from ===


def statements() -> dict[str, str]:
    """Return what the tables and indexes of a store are made by, as SQLite keeps it; blanks count once."""
    made = (statement for statement in SCHEMA.split(";") if statement.strip())
    return {statement.split()[2]: one_blank(statement) for statement in made}


def one_blank(statement: str) -> str:
    return " ".join(statement.split())


def checks() -> dict[str, dict[str, str]]:
    """Return for each table the conditions, in SQL, on its columns, which may hold anything by themselves."""
    text, name, count = _text(limits.STORE_TEXT), _text(limits.NAME_CHARACTERS), _whole(0, 2**63 - 1)
    number, time = _number(-limits.NUMBER, limits.NUMBER), _number(0, limits.TIME)
    optional = "{0} IS NULL OR ".format
    return {
        "trials": {
            "id": _whole(1, 2**53)("id"),
            "arm": name("arm"),
            "tokens": text("tokens"),
            "key": text("key"),
            "log_prob": optional("log_prob") + number("log_prob"),
            "stage": _one_of(STAGES)("stage"),
            "fidelity": text("fidelity"),
            "seed": count("seed"),
            "parent": optional("parent") + _whole(1, 2**53)("parent"),
            "state": _one_of(STATES)("state"),
            "attempt": count("attempt"),
            "worker": optional("worker") + name("worker"),
            "lease_until": optional("lease_until") + number("lease_until"),
            "reward": "(state IN ('done', 'failed')) = (reward IS NOT NULL) AND "
            f"(reward IS NULL OR {number('reward')})",
            "params": optional("params") + count("params"),
            "mult_adds": optional("mult_adds") + count("mult_adds"),
            "seconds": time("seconds"),
            "device": text("device"),
            "error_kind": optional("error_kind") + name("error_kind"),
            "error": f"(error IS NULL) = (error_kind IS NULL) AND (error IS NULL OR {text('error')})",
            "extra": text("extra"),
            "consumed_by": optional("consumed_by") + f"reward IS NOT NULL AND {_whole(1, 2**53)('consumed_by')}",
            "asked_at": time("asked_at"),
            "finished_at": "(reward IS NULL) = (finished_at IS NULL) AND "
            f"(finished_at IS NULL OR {time('finished_at')})",
        },
        "controllers": {
            "arm": name("arm"),
            "state": f"typeof(state) = 'blob' AND length(state) <= {limits.STORE_VALUE_BYTES}",
        },
        "updates": {"arm": name("arm"), "at": time("at"), "trials": count("trials"), "numbers": text("numbers")},
        "events": {
            "at": time("at"),
            "trial": optional("trial") + _whole(1, 2**53)("trial"),
            "kind": name("kind"),
            "message": text("message"),
        },
    }


def _text(most: int) -> Any:
    return f"typeof({{0}}) = 'text' AND length(CAST({{0}} AS BLOB)) <= {4 * most}".format


def _whole(least: int, most: int) -> Any:
    return f"typeof({{0}}) = 'integer' AND {{0}} BETWEEN {least} AND {most}".format


def _number(least: float, most: float) -> Any:
    return f"typeof({{0}}) IN ('integer', 'real') AND {{0}} BETWEEN {least!r} AND {most!r}".format


def _one_of(names: tuple[str, ...]) -> Any:
    return f"{{0}} IN ({', '.join(map(repr, names))})".format


# === Rows ===


def to_trial(row: sqlite3.Row) -> Trial:
    """Return a row of the table "trials" as a `Trial`. Raises ValueError or TypeError if its JSON is something else."""
    values = dict(row)
    kind, message = values.pop("error_kind"), values.pop("error")
    values["error"] = None if kind is None else Error(kind, message)
    values["consumed"] = values.pop("consumed_by") is not None
    tokens = parse_json(values["tokens"], "tokens")
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise ValueError("tokens are no list of whole numbers")
    values["tokens"] = tuple(tokens)
    values["fidelity"] = _fidelity(values["fidelity"])
    values["extra"] = to_numbers(values["extra"], "extra")
    return Trial(**values)


@functools.lru_cache(maxsize=100)  # thousands of trials have the same
def _fidelity(text: str) -> Fidelity:
    return Fidelity.from_dict(_mapping(text, "fidelity"))


def to_numbers(text: str, name: str) -> dict[str, float]:
    """Return JSON as numbers by name; those that are not finite are left out. Raises ValueError if it holds others."""
    return dict(_numbers(_mapping(text, name), name))


def _numbers(data: dict[str, Any], name: str) -> Iterator[tuple[str, float]]:
    for key, value in data.items():
        if type(value) not in (int, float) or len(key) > limits.NAME_CHARACTERS:
            raise ValueError(f"{name} has something else than numbers by name")
        if math.isfinite(value) and abs(value) <= limits.NUMBER:
            yield key, value


def check_depth(data: Any, name: str) -> None:
    """Raise ValueError if lists and objects lie too deeply within each other for what walks through them later."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > limits.DOCUMENT_DEPTH:
            raise ValueError(f"{name}: lists or objects lie too deeply within each other")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(one, depth + 1) for one in inner]


def _mapping(text: str, name: str) -> dict[str, Any]:
    data = parse_json(text, name)
    if not isinstance(data, dict):
        raise ValueError(f"{name} is no JSON object")
    return data
