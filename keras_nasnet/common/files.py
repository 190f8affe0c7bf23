"""Files and folders that appear when they are whole: written beside their place, then moved into it."""

import contextlib
import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

StrPath = str | os.PathLike[str]

_LONGEST = 100  # bytes of a name of which a temporary one is made: file systems know 255
_OLD_SECONDS = 7 * 24 * 3600  # a temporary file of another machine, not written for so long, is a killed process'


@contextlib.contextmanager
def replacing(path: StrPath, sync: bool = False) -> Iterator[Path]:
    """Yields a temporary path, which takes the place of `path` when the block ends without an error.

    Until then a file that is there stays as it was, also if this process is killed. The folder is made if it is
    missing. What killed processes of this machine left of the same file is deleted. The file gets the mode that the
    umask gives, also from libraries that make files for their user alone.

    Args:
        path: of the file. The temporary path lies in the same folder and has the same suffix.
        sync: whether the content is on the disk before it takes its place, for files that must outlive a crash of the
            machine.

    Raises:
        OSError: if it cannot be written; nothing of it is left then.

    Example:
        >>> with replacing("notes.txt") as temporary:
        ...     _ = temporary.write_text("whole")
        >>> Path("notes.txt").read_text()
        'whole'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in leftovers(path):
        left.unlink(missing_ok=True)
    temporary = _temporary(path)
    try:
        mode = _mode_of_new_files(temporary)
        yield temporary
        if stat.S_IMODE(os.stat(temporary).st_mode) != mode:
            with contextlib.suppress(PermissionError):  # of disks that know no modes
                os.chmod(temporary, mode)
        if sync:
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: StrPath, text: str, sync: bool = False) -> None:
    """Writes a text file in UTF-8, which appears when it is whole; see `replacing`."""
    with replacing(path, sync) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: StrPath, data: bytes, sync: bool = False) -> None:
    """Writes a file, which appears when it is whole; see `replacing`."""
    with replacing(path, sync) as temporary:
        temporary.write_bytes(data)


def leftovers(path: StrPath) -> list[Path]:
    """Returns temporary files or folders of `path` that killed processes left: dead ones of this machine, old ones."""
    path = Path(path)
    pattern = re.compile(
        rf"\.{re.escape(short(path.name))}\.([^.]+)\.(\d+)\.[0-9a-f]{{8}}\.tmp{re.escape(_suffix(path))}", re.DOTALL
    )
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    found = [(path.parent / name, match) for name in names if (match := pattern.fullmatch(name))]
    return [left for left, match in found if (match[1] == _host() and not _is_alive(int(match[2]))) or _is_old(left)]


@contextlib.contextmanager
def replacing_folder(folder: StrPath) -> Iterator[Path]:
    """Yields an empty temporary folder, which takes the place of `folder` when the block ends without an error.

    What killed processes of this machine left of the same folder is deleted.

    Args:
        folder: to be written; what was there is deleted once the new one has its place.

    Raises:
        OSError: if it cannot be written; what was there stays then.
    """
    folder = Path(folder)
    with temporary_folder(folder) as temporary:
        new, old = temporary / "new", temporary / "old"
        new.mkdir()
        yield new
        try:
            if folder.exists():
                os.replace(folder, old)
            os.replace(new, folder)
        finally:
            if old.exists() and not folder.exists():  # stopped between the two
                os.replace(old, folder)


@contextlib.contextmanager
def temporary_folder(path: StrPath) -> Iterator[Path]:
    """Yields an empty folder beside `path`, for what will be moved there; it is deleted when the block ends.

    Unlike those of `tempfile` it is as open to others as the umask says, so that what is moved out of it is too. The
    folder above is made if it is missing. What killed processes of this machine left is deleted.

    Raises:
        OSError: if it cannot be made.
    """
    path = Path(path)
    for left in leftovers(path):
        shutil.rmtree(left, ignore_errors=True)
    temporary = _temporary(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_room(folder: StrPath, size: int) -> None:
    """Checks that a file of a size can be written: libraries in C say little, or crash, when a disk is full.

    Args:
        folder: in which it shall lie.
        size: in bytes.

    Raises:
        OSError: if there is no room, or no right to write so much; nothing is left.

    Example:
        >>> check_room(".", 1000)
        >>> check_room(".", 2**62)
        Traceback (most recent call last):
        OSError: ...
    """
    descriptor, name = tempfile.mkstemp(prefix=".room.", dir=folder)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except (AttributeError, OSError) as error:  # macOS has no such function
        if isinstance(error, OSError) and error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
        if shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
    finally:
        os.close(descriptor)
        os.unlink(name)


def has_room(folder: StrPath) -> bool:
    """Returns whether a file of a megabyte can be written to a folder: disks, quotas and limits may be exhausted."""
    try:
        check_room(folder, 2**20)
    except OSError:
        return False
    return True


def short(name: str) -> str:
    """Returns a file's name, or what stands for it where it is too long for something to be added to it."""
    data = os.fsencode(name)
    return name if len(data) <= _LONGEST else hashlib.sha256(data).hexdigest()[:32]


def _temporary(path: Path) -> Path:
    """Returns a name that nobody else has: not on another machine, in another container, or in another thread."""
    return path.with_name(f".{short(path.name)}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp{_suffix(path)}")


def _suffix(path: Path) -> str:
    return path.suffix if len(path.suffix) <= 16 else ""


def _mode_of_new_files(path: Path) -> int:
    """Returns the mode of a new file in a place: the umask, or the folder's own list, decides. None is left there."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)
        os.unlink(path)


@functools.cache
def _host() -> str:
    """Returns a name for where process numbers count: this machine, or a container on it."""
    name = re.sub(r"[^\w-]+", "-", platform.node())[:40] or "localhost"
    try:
        return f"{name}-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return name


def _is_old(path: Path) -> bool:
    """Returns whether nobody has written for so long that nobody will."""
    try:
        return time.time() - os.lstat(path).st_mtime > _OLD_SECONDS
    except OSError:
        return False


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
