"""Whether a file is a sound store: it may come from anywhere.

It is opened only if its tables are those that this package makes, SQLite finds it sound, and each row is within its
limits: a view may have no end, and a trigger or a table of another kind does what its maker wants.
"""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.search.store import schema
from keras_nasnet.search.store.journal import journals

_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
}


def check_files(path: Path) -> None:
    """Raise ValueError unless a store's file, and what SQLite keeps beside it, are files that can be looked at."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: no such file: is this the folder of a search?") from None
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path}: no such file: is this the folder of a search?")
    with open(path, "rb"):  # SQLite does not say why it cannot
        pass
    for file in (path, *journals(path)):
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(file)
            if not stat.S_ISREG(status.st_mode):
                raise ValueError(f"{file}: a folder, pipe or device, not a file")
            if status.st_size > limits.STORE_BYTES:
                raise ValueError(
                    f"{file}: {status.st_size:,} bytes are more than the {limits.STORE_BYTES:,} of a store"
                )


def restrict(connection: sqlite3.Connection) -> None:
    """Take from a connection what no store needs."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.STORE_VALUE_BYTES)
    for kind, most in _LIMITS.items():
        connection.setlimit(kind, most)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")


def checked_config(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Return the configuration in a store. Raises ValueError unless it is one, and sound."""
    end = time.monotonic() + limits.STORE_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchmany(100)
    made = {name: schema.one_blank(sql) for _, name, sql in rows if sql is not None and sql not in schema.STATISTICS}
    meta = {}
    if made.get("meta") == schema.statements()["meta"]:
        keys = "key IN ('schema', 'config') AND typeof(value) = 'text'"
        meta = dict(connection.execute(f"SELECT key, value FROM meta WHERE {keys} LIMIT 2").fetchall())
    if meta.keys() != {"schema", "config"}:
        raise ValueError(f"{path} is no store of a search")
    if meta["schema"] != str(schema.SCHEMA_VERSION):
        raise ValueError(
            f"{path} has schema {printable(meta['schema'])[:20]}, this package reads {schema.SCHEMA_VERSION}: "
            "use the keras-nasnet that wrote it"
        )
    if made != schema.statements():
        name = sorted(made.items() ^ schema.statements().items())[0][0]
        raise ValueError(f"{path} is no store of a search as this package makes it: {name[:100]!r} is another")
    ((sound,),) = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if sound != "ok":
        said = one_line(ValueError(str(sound).removeprefix("*** in database main ***")), 200)
        raise ValueError(f"{path} is damaged ({said}): what `sqlite3 {path.name} .recover` saves may be read")
    for table, columns in schema.checks().items():
        _check_rows(connection, path, table, columns)
    connection.set_progress_handler(None, 0)
    if len(meta["config"]) > limits.DOCUMENT_BYTES:
        raise ValueError(f"{path}: its configuration is longer than {limits.DOCUMENT_BYTES:,} characters")
    config = parse_json(meta["config"], f"{path}: its configuration")
    if not isinstance(config, dict):
        raise ValueError(f"{path}: its configuration is no JSON object")
    schema.check_depth(config, f"{path}: its configuration")
    return config


def _check_rows(connection: sqlite3.Connection, path: Path, table: str, columns: Mapping[str, str]) -> None:
    """Raise ValueError unless all rows of a table have what its columns must have, and are not too many."""
    wrong = " ".join(f"WHEN NOT coalesce({condition}, 0) THEN '{column}'" for column, condition in columns.items())
    found = connection.execute(
        f"SELECT row, wrong FROM (SELECT rowid AS row, CASE {wrong} END AS wrong FROM {table}) "
        "WHERE wrong IS NOT NULL LIMIT 1"
    ).fetchall()
    for row, column in found:
        raise ValueError(f"{path} is damaged: row {row} of its table {table} has a {column} that cannot be")
    ((count,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    if count > limits.STORE_ROWS:
        raise ValueError(f"{path}: {count:,} rows of its table {table} are more than {limits.STORE_ROWS:,}")
