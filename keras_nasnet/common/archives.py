"""Archives that may come from anywhere: looked through with limits, and unpacked under names of our own."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line

# What damaged archives raise, besides ValueError.
_DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, LookupError),
    *(RuntimeError, NotImplementedError, OverflowError, MemoryError, AttributeError, TypeError, RecursionError),
)
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)
_PIECE = 2**20  # bytes that are unpacked at a time
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))


@contextlib.contextmanager
def opened_zip(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Yields a zip file that holds no more than `limits` allows; what `zipfile` raises becomes a line.

    Raises:
        ValueError: if it is damaged, or would unpack to too much.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
            raise ValueError(f"{path}: not a file")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > limits.ARCHIVE_MEMBERS:
                raise ValueError(f"{len(members):,} files in it are more than {limits.ARCHIVE_MEMBERS:,}")
            _check_size(sum(member.file_size for member in members), os.path.getsize(path))
            yield archive
    except (ValueError, *_DAMAGED) as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {_reason(error)}") from None


def unpack_tar(path: str | os.PathLike[str], folder: Path, new_name: Callable[[str], str | None]) -> None:
    """Unpacks the wanted files of a tar file, plain or packed by gzip, bzip2 or xz, whatever it is called.

    Nothing but regular files is written, and only under the names that `new_name` gives: names in the archive, links
    and devices lead nowhere.

    Args:
        path: of the tar file.
        folder: that the files are written to.
        new_name: returns the name to write a file under, for its name without folders; None for what is not wanted.

    Raises:
        ValueError: if it is damaged, or would unpack to more than `limits` allows.
    """
    try:
        with open(path, "rb") as file, _unpacked(file) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            for number, member in enumerate(archive, 1):
                archive.members = []  # type: ignore[attr-defined]  # they would all be kept
                if number > limits.ARCHIVE_MEMBERS:
                    raise ValueError(f"more than {limits.ARCHIVE_MEMBERS:,} files are in it")
                name = new_name(re.split(r"[/\\]", member.name)[-1])
                if name is None:
                    continue
                if member.type not in _PLAIN or member.sparse is not None:
                    if member.isdir():
                        continue
                    raise ValueError(f"{member.name} in it is a link, a device or a file with holes")
                source = archive.extractfile(member)
                assert source is not None
                with open(folder / name, "wb") as target:
                    shutil.copyfileobj(source, target, _PIECE)
                if os.path.getsize(folder / name) != member.size:
                    raise ValueError(f"{member.name} in it is cut off")
    except (ValueError, *_DAMAGED) as error:
        raise ValueError(f"{path}: cannot be unpacked ({_reason(error)})") from None


def is_tar(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file begins as a tar file does, plain or packed.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(512)
    return start[257:262] == b"ustar" or any(start.startswith(magic) for magic, _ in _OPENERS)


class _Forward(io.RawIOBase):
    """What comes out of a stream, read once from front to back, in pieces and in all as much as is allowed.

    Args:
        stream: of unpacked bytes.
        packed: size of the file that they come from.
    """

    def __init__(self, stream: Any, packed: int):
        self._stream, self._packed, self._place, self._last = stream, packed, 0, b""
        self._again = False  # whether the last byte is read once more, as `tarfile` does to see that it is there

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place - self._again

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= limits.METADATA_BYTES:  # names and other text of a member are read whole
            raise ValueError(f"{size:,} bytes of text belong to a file in it")
        if size == 0:
            return b""
        again, self._again = self._last if self._again else b"", False
        pieces, missing = [again], size - len(again)
        while missing and (piece := self._stream.read(missing)):
            pieces.append(piece)
            missing -= len(piece)
            self._place += len(piece)
            _check_size(self._place, self._packed)
        content = b"".join(pieces)
        self._last = content[-1:]
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        if whence != 0 or place < self._place - len(self._last):
            raise ValueError("its files lie over each other")
        self._again = place < self._place
        while self._place < place and self.read(min(_PIECE, place - self._place)):
            pass
        return self.tell()


@contextlib.contextmanager
def _unpacked(file: IO[bytes]) -> Iterator[Any]:
    start = file.read(8)
    file.seek(0)
    opener = next((opener for magic, opener in _OPENERS if start.startswith(magic)), None)
    size = os.fstat(file.fileno()).st_size
    if opener is None:
        yield _Forward(file, size)
    else:
        with opener(file, "rb") as stream:
            yield _Forward(stream, size)


def _check_size(unpacked: int, packed: int) -> None:
    """Raises ValueError where a file unpacks to more than is allowed, as bombs do."""
    most = min(limits.WEIGHTS_BYTES, limits.UNPACKED_BYTES + limits.UNPACKED_TIMES * packed)
    if unpacked > most:
        raise ValueError(f"{packed:,} bytes that unpack to more than {most:,}")


def _reason(error: BaseException) -> str:
    return one_line(error, 200)
