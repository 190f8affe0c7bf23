"""Files and folders that appear when they are whole: written beside their place, then moved into it."""

import contextlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

StrPath = str | os.PathLike[str]

_counter = itertools.count()


@contextlib.contextmanager
def replacing(path: StrPath, sync: bool = False) -> Iterator[Path]:
    """Yields a temporary path, which takes the place of `path` when the block ends without an error.

    Until then a file that is there stays as it was, also if this process is killed. The folder is made if it is
    missing. What killed processes of this machine left of the same file is deleted.

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
        yield temporary
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
    """Returns temporary files or folders of `path` that processes of this machine left when they were killed."""
    path = Path(path)
    pattern = re.compile(
        rf"\.{re.escape(path.name)}\.{re.escape(_host())}\.(\d+)\.\d+\.tmp{re.escape(path.suffix)}", re.DOTALL
    )
    try:
        names = os.listdir(path.parent)
    except OSError:
        return []
    found = [(path.parent / name, match) for name in names if (match := pattern.fullmatch(name))]
    return [left for left, match in found if not _is_alive(int(match[1]))]


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
    for left in leftovers(folder):
        shutil.rmtree(left, ignore_errors=True)
    temporary = _temporary(folder)
    new = temporary / "new"
    try:
        new.mkdir(parents=True)
        yield new
        if folder.exists():
            os.replace(folder, temporary / "old")
        os.replace(new, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{next(_counter)}.tmp{path.suffix}")


def _host() -> str:
    return re.sub(r"[^\w-]+", "-", platform.node())[:40] or "localhost"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
