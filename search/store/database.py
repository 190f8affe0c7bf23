"""The SQLite file below a store: made, opened, and changed in transactions; what goes wrong is one line."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing
from keras_nasnet.search.store import schema
from keras_nasnet.search.store.journal import (
    begin_to_write,
    changes_beside,
    choose_journal,
    journals,
    leave_wal,
    reading_modes,
)
from keras_nasnet.search.store.soundness import check_files, checked_config, restrict


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
                for side in journals(partial):
                    side.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], readonly: bool = False) -> Self:
        """Open a store that exists.

        Args:
            path: of the file.
            readonly: True to look on while another process writes, or at a store that cannot be written.

        Raises:
            ValueError: if there is no such file, it is no store, a damaged one, or one of another version.
            OSError: if it cannot be read, or, to write, cannot be written.
        """
        path = Path(path)
        check_files(path)
        *others, last = reading_modes(path) if readonly else ["mode=rw"]
        for mode in others:
            with contextlib.suppress(OSError):
                return cls._opened(path, mode)
        try:
            return cls._opened(path, last)
        except OSError as error:
            if readonly and (pending := changes_beside(path)):
                raise ValueError(
                    f"{pending} has changes that are not in {path.name} yet, and they cannot be read here "
                    f"({error.strerror}): copy the folder to a disk that can be written"
                ) from None
            raise

    @classmethod
    def _opened(cls, path: Path, mode: str) -> Self:
        uri = f"{path.absolute().as_uri()}?{mode}"
        with _said_of(path):
            connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)
            connection.row_factory = sqlite3.Row
            try:
                restrict(connection)
                if mode != "mode=rw":
                    connection.execute("PRAGMA query_only = ON")
                    return cls(path, connection, checked_config(connection, path))
                begin_to_write(connection, path)
                config = checked_config(connection, path)
                leave_wal(connection, path)
                connection.execute("PRAGMA synchronous = FULL")
                return cls(path, connection, config)
            except BaseException:
                connection.close()
                raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is on the disk afterwards, all of it; after an error or a crash, nothing.

        Raises:
            OSError: if it cannot be written; errno is ENOSPC when the disk is full.
        """
        if self._depth:
            yield
            return
        with _said_of(self.path):
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
        with _said_of(self.path):
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
    with _said_of(path), contextlib.closing(sqlite3.connect(partial, isolation_level=None)) as connection:
        connection.executescript(f"BEGIN; {schema.SCHEMA}")
        rows = {"schema": str(schema.SCHEMA_VERSION), "config": json.dumps(config)}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", rows.items())
        connection.execute("COMMIT")
        connection.execute(f"PRAGMA journal_mode = {choose_journal(path)}")


@contextlib.contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a disk into an OSError, with ENOSPC where it is full, and of damage into a ValueError.

    A change that the tables forbid stays a `sqlite3.IntegrityError`: that is no fault of the file.
    """
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.Error, MemoryError, UnicodeDecodeError) as error:  # the last: of its messages
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        full = primary == sqlite3.SQLITE_FULL or shutil.disk_usage(path.parent).free == 0
        if full and primary not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            message = "the disk is full; the store is as it was: make room, then resume the search"
            raise OSError(errno.ENOSPC, message, str(path)) from error
        if primary in _OF_THE_DISK:
            raise OSError(errno.EIO, f"the store cannot be read or written ({error})", str(path)) from error
        if primary == sqlite3.SQLITE_INTERRUPT:
            raise ValueError(f"{path}: not found sound in {limits.STORE_SECONDS:g} s") from None
        raise ValueError(f"{path} is no store of a search, or a damaged one ({one_line(error, 200)})") from None


_OF_THE_DISK = (
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
)
