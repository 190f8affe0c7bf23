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

import json
import sqlite3

from keras_nasnet.search.trial import Error, Fidelity, Trial

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


def to_trial(row: sqlite3.Row) -> Trial:
    """Return a row of the table "trials" as a `Trial`."""
    values = dict(row)
    kind, message = values.pop("error_kind"), values.pop("error")
    values["error"] = None if kind is None else Error(kind, message)
    values["consumed"] = values.pop("consumed_by") is not None
    values["tokens"] = tuple(json.loads(values["tokens"]))
    values["fidelity"] = Fidelity.from_dict(json.loads(values["fidelity"]))
    values["extra"] = json.loads(values["extra"])
    return Trial(**values)
