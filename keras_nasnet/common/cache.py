"""A cache of compiled networks: made once on a machine, and read again only if they are what was written.

They lie under `KERAS_HOME` (default ~/.keras) in models/keras_nasnet/compiled, a folder each, which may be
deleted at any time.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from keras_nasnet.common.checksum import SUMS, read_sums, sha256, write_sums
from keras_nasnet.common.files import has_room, temporary_folder
from keras_nasnet.common.home import home

# A compiled network: its name and a checksum of all that it depends on; dots in front and more behind are of what was
# killed or locked.
_NAME = re.compile(r"\.?([\w-]+)\.[0-9a-f]{20}(?:\.|$)")
KEPT = 8  # compiled networks of one name; of more, those that were not used for the longest time go

Read = TypeVar("Read")


def cached(name: str, key: Mapping[str, Any], make: Callable[[Path], None], read: Callable[[Path], Read]) -> Read:
    """Return what is read from a folder, which is made the first time.

    What was changed since it was written, and what `read` cannot read, is made anew. Of processes that want
    the same one makes it, the others wait. Where the cache cannot be written, all is made each time.

    Args:
        name: of the network, for people.
        key: all that the content depends on, as JSON can hold it.
        make: fills an empty folder.
        read: reads a folder that was filled.

    Example:
        >>> from pathlib import Path
        >>> def make(folder: Path) -> None:
        ...     _ = (folder / "network").write_text("compiled")
        >>> cached("net", {"version": 1}, make, lambda folder: (folder / "network").read_text())
        'compiled'
    """
    place = _place(name, key)
    with contextlib.suppress(_Unusable):
        return _read(place, read)
    with contextlib.ExitStack() as stack:
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{place}.lock"))
            temporary = stack.enter_context(temporary_folder(place))
        except OSError:
            return _make_elsewhere(make, read)
        with contextlib.suppress(_Unusable):  # another process has just made it
            return _read(place, read)
        new = temporary / "new"
        new.mkdir()
        try:
            make(new)
        except Exception:  # runtimes say in their own ways, or not at all, that a disk is full
            if has_room(temporary):
                raise
            stack.close()
            return _make_elsewhere(make, read)
        with contextlib.suppress(OSError):  # a full disk keeps nobody from a result
            for file in new.iterdir():  # on the disk before they count as whole
                with open(file, "rb+") as opened:
                    os.fsync(opened.fileno())
            write_sums(new)
            if place.exists():
                os.replace(place, temporary / "damaged")
            os.replace(new, place)
            _prune(name)
        return read(place if place.exists() else new)


def names() -> set[str]:
    """Return the names of which there is something compiled, or left of what was killed."""
    try:
        found = os.listdir(_folder())
    except OSError:
        return set()
    return {match[1] for name in found if (match := _NAME.match(name))}


def has(name: str) -> bool:
    """Return whether there is something compiled of a name, or left of what was killed."""
    return _plain(name) in names()


def clear(name: str) -> int:
    """Delete the compiled networks of a name; returns the bytes that were freed.

    Raises:
        OSError: if something cannot be deleted.
    """
    freed, folder = 0, _folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:  # also what a killed process left, and locks
        match = _NAME.match(path.name)
        if match is None or match[1] != _plain(name):
            continue
        if path.is_dir():
            freed += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed


def _make_elsewhere(make: Callable[[Path], None], read: Callable[[Path], Read]) -> Read:
    """Where the cache cannot hold it: made in the folder for temporary files, and for this process alone."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            make(Path(folder))
        except Exception:
            if has_room(Path(folder)):
                raise
            raise ValueError(
                f"the disks of {_folder()} and {folder} are full: make room, or let KERAS_HOME or TMPDIR name a folder "
                "on another one"
            ) from None
        return read(Path(folder))


class _Unusable(Exception):
    """A folder is missing, or is not what was written."""


def _read(place: Path, read: Callable[[Path], Read]) -> Read:
    if not _is_sound(place):
        raise _Unusable
    try:
        result = read(place)
    except Exception:  # a runtime says in its own way that it does not take what it has written
        raise _Unusable from None
    with contextlib.suppress(OSError):
        os.utime(place)  # what was used last is kept
    return result


def _is_sound(place: Path) -> bool:
    try:
        sums = read_sums(place)
        if {file.name for file in place.iterdir()} != {SUMS, *sums}:
            return False
        return all(sha256(place / file) == digest for file, digest in sums.items())
    except (OSError, ValueError):
        return False


def _folder() -> Path:
    return home() / "compiled"


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "_", name)[-60:] or "network"


def _place(name: str, key: Mapping[str, Any]) -> Path:
    text = json.dumps(key, sort_keys=True)
    return _folder() / f"{_plain(name)}.{hashlib.sha256(text.encode()).hexdigest()[:20]}"


def _folders(name: str) -> Iterator[Path]:
    return (path for path in _folder().glob(f"{_plain(name)}.*") if re.fullmatch(r"\.[0-9a-f]{20}", path.suffix))


def _prune(name: str) -> None:
    by_use = sorted(_folders(name), key=lambda path: path.stat().st_mtime, reverse=True)
    for folder in by_use[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
        Path(f"{folder}.lock").unlink(missing_ok=True)
