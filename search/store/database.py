"""The SQLite file below a store: made, opened, and changed in transactions; what goes wrong is an OSError."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from keras_nasnet.common.files import replacing
from keras_nasnet.search.store.schema import SCHEMA, SCHEMA_VERSION


class Database:
    """A file with the tables of `schema`; `create` and `open` make one.

    Attributes:
        path: of the file.
        config: what the search was started with, as plain data.
    """

    path: Path
    config: dict[str, Any]

    def __init__(self, path: Path, connection: sqlite3.Connection, config: dict[str, Any]):
        self.path = path
        self.config = config
        self._connection = connection
        self._depth = 0  # of nested transactions

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, Any]) -> Self:
        """Make a new store.

        Args:
            path: of the file.
            config: plain data that JSON can hold: what the search is started with.

        Raises:
            ValueError: if the file exists.
            OSError: if it cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise ValueError(f"{path} exists: resume that search, or choose another folder")
        with replacing(path) as partial:
            try:
                _make(partial, path, config)
            finally:
                for end in ("wal", "shm", "journal"):
                    Path(f"{partial}-{end}").unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], readonly: bool = False) -> Self:
        """Open a store that exists.

        Args:
            path: of the file.
            readonly: True to look on while another process writes.

        Raises:
            ValueError: if there is no such file, it is no store, or one of another version.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"{path}: no such file: is this the folder of a search?")
        uri = f"{path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            with _as_os_error(path):
                meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
                if "schema" in meta and meta["schema"] != str(SCHEMA_VERSION):
                    raise ValueError(
                        f"{path} has schema {meta['schema']}, this package reads {SCHEMA_VERSION}: "
                        "use the keras-nasnet that wrote it"
                    )
                config = json.loads(meta["config"])
                if not readonly:
                    connection.execute("PRAGMA synchronous = FULL")
        except (sqlite3.DatabaseError, KeyError, json.JSONDecodeError):
            connection.close()
            raise ValueError(f"{path} is no store of a search") from None
        except BaseException:
            connection.close()
            raise
        return cls(path, connection, config)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is on the disk afterwards, all of it; after an error or a crash, nothing.

        Raises:
            OSError: if it cannot be written; errno is ENOSPC when the disk is full.
        """
        if self._depth:
            yield
            return
        with _as_os_error(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself rolls back when the disk is full
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    def query(self, sql: str, *arguments: Any) -> list[sqlite3.Row]:
        """Return the rows of a SELECT; `?` stand for the arguments."""
        with _as_os_error(self.path):
            return self._connection.execute(sql, arguments).fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make(partial: Path, path: Path, config: Mapping[str, Any]) -> None:
    """Write a store without trials to `partial`; `path` is what errors call it."""
    with _as_os_error(path), contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {SCHEMA}")
        rows = {"schema": str(SCHEMA_VERSION), "config": json.dumps(config)}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


@contextlib.contextmanager
def _as_os_error(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a disk into an OSError, with ENOSPC where it is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        full = primary == sqlite3.SQLITE_FULL or shutil.disk_usage(path.parent).free == 0
        if full and primary != sqlite3.SQLITE_ERROR:
            message = "the disk is full; the store is as it was: make room, then resume the search"
            raise OSError(errno.ENOSPC, message, str(path)) from error
        if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_BUSY):
            raise OSError(errno.EIO, f"the store cannot be read or written ({error})", str(path)) from error
        raise
