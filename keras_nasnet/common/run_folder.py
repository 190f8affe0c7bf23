"""Places that one command at a time writes: the folder of a run, and files and folders that appear when they are whole.

A lock of the system's keeps others away: it ends with the process that holds it, however that ends. Reading needs none.
"""

import contextlib
import errno
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from keras_nasnet.common.escape import printable
from keras_nasnet.common.files import StrPath, short
from keras_nasnet.common.terminal import say

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"  # in the folder of a run, while a command writes it

TRAINING, SEARCH, DETECTOR, PUBLISHED = "a training run", "a search", "a detector's run", "a published model"
# By which a folder is known to be taken: a file that each kind has from its beginning.
MARKERS = {
    "checkpoint.safetensors": TRAINING,
    "store.sqlite": SEARCH,
    "params.yaml": DETECTOR,
    "SHA256SUMS": PUBLISHED,
}


def kind_of(folder: StrPath) -> str | None:
    """Return what a folder holds, one of `MARKERS`; None for nothing that is known."""
    return next((kind for name, kind in MARKERS.items() if os.path.lexists(os.path.join(folder, name))), None)


def check(folder: StrPath, kind: str, free: bool = True) -> None:
    """Check early what `run_folder` checks; nothing is made.

    Args:
        folder: of a run.
        kind: of the run.
        free: whether nobody else may be writing it, as another worker of the same run does.

    Raises:
        ValueError: if it is a file, holds another kind of run, or another process writes it.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise ValueError(f"{folder}: a file, not a folder for a run")
    _check_kind(folder, kind)
    if free:
        _check_free(folder / LOCK, folder)


def _check_kind(folder: Path, kind: str) -> None:
    found = kind_of(folder)
    if found not in (None, kind):
        raise ValueError(f"{folder} holds {found}: choose another folder")


@contextlib.contextmanager
def run_folder(folder: StrPath, kind: str) -> Iterator[None]:
    """Hold the folder of a run, which is made if it is missing, and deleted again if no run began in it.

    Args:
        folder: of the run.
        kind: of the run, one of those in `MARKERS`.

    Raises:
        ValueError: if another process writes it, or it holds another kind of run; see `check`.
        OSError: if it cannot be made.

    Example:
        >>> with run_folder("runs/mine", TRAINING):
        ...     os.path.isdir("runs/mine")
        True
        >>> os.path.exists("runs")
        False
    """
    folder = Path(folder)
    check(folder, kind)
    made = not folder.exists()
    with _folders(folder), _held(folder / LOCK, folder):
        _check_kind(folder, kind)  # another may have begun there since
        try:
            yield
        finally:
            if made and kind_of(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def output(path: StrPath) -> Iterator[None]:
    """Hold a file or folder that will appear when it is whole; folders above it are made, and go if they stay empty.

    Raises:
        ValueError: if another process writes it.
        OSError: if a folder above cannot be made.
    """
    path = Path(path)
    with _folders(path.parent), _held(_beside(path), path):
        yield


def _beside(path: Path) -> Path:
    return path.with_name(f".{short(path.name)}.lock")


@contextlib.contextmanager
def _folders(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; delete those that were made here, if they are empty at the end."""
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def _held(lock: Path, target: Path) -> Iterator[None]:
    """Hold a lock; its file is gone afterwards."""
    descriptor = _acquired(lock, target)
    try:
        yield
    finally:
        if descriptor is not None:
            # While it is held: who opens it from now on makes a new one.
            with contextlib.suppress(OSError):
                lock.unlink()
            os.close(descriptor)


def _acquired(lock: Path, target: Path) -> int | None:
    """Return the descriptor of a lock that is held; None where there are no locks."""
    if fcntl is None:
        return None
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OSError(error.errno, f"cannot be written ({error.strerror})", str(target)) from None
        try:
            if not _lock(descriptor):
                raise _taken(descriptor, target)
            if _is_same(descriptor, lock):  # else its last holder has deleted it meanwhile
                os.ftruncate(descriptor, 0)
                os.write(descriptor, _me().encode(errors="backslashreplace"))
                return descriptor
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, OSError) and error.errno in _NO_LOCKS:
                with contextlib.suppress(OSError):
                    lock.unlink()
                say(f"note: {target}: no locks on this file system: nothing keeps a second command from writing there")
                return None
            raise
        os.close(descriptor)


_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL)


def _lock(descriptor: int) -> bool:
    """Return whether a lock could be taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the latter on some network file systems
        return False
    return True


def _is_same(descriptor: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    except FileNotFoundError:
        return False


def _check_free(lock: Path, target: Path) -> None:
    """Raise ValueError if somebody holds a lock; makes no file."""
    if fcntl is None:
        return
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # there is none, or writing will say what is wrong
        return
    try:
        if not _lock(descriptor):
            raise _taken(descriptor, target)
    except OSError:  # no locks here
        return
    finally:
        os.close(descriptor)


def _taken(descriptor: int, target: Path) -> ValueError:
    owner = printable(os.pread(descriptor, 500, 0).decode(errors="replace")) or "another process"
    return ValueError(f"{target} is being written by {owner}: wait for it, or choose another name (--out)")


def _me() -> str:
    """Return who this process is, for people: its number, machine and command."""
    context = click.get_current_context(silent=True)
    command = Path(sys.argv[0] or "python").name if context is None else context.command_path
    return f"process {os.getpid()} on {platform.node() or 'this machine'} ({command})"
