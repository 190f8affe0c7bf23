"""Checksums of files; a download that does not have the one it should have is deleted."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from keras_nasnet.common.documents import read_text
from keras_nasnet.common.errors import one_line

_BLOBS = "blobs"  # the folder of the Hub's cache to which the links in its snapshots point
SUMS = "SHA256SUMS"  # of a folder; `sha256sum -c` reads it


@dataclass(frozen=True)
class Checksum:
    """The checksum that a file should have.

    Args:
        kind: "sha256" or "md5".
        digest: the checksum in hex.
    """

    kind: str
    digest: str

    def check(self, path: Path, delete: bool) -> None:
        """Check a file.

        Args:
            path: of the file.
            delete: whether a file that is wrong is deleted; see `remove`.

        Raises:
            ValueError: if the file cannot be read or has another checksum; says both.
        """
        try:
            found = _digest(path, self.kind)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
        if found == self.digest:
            return
        what = f"its {self.kind} is {found}, but it should be {self.digest}"
        if not delete:
            raise ValueError(f"{path} is damaged or another file: {what}")
        try:
            remove(path)
        except OSError as error:
            raise ValueError(f"{path} is damaged or another file: {what}; delete it ({error.strerror})") from None
        raise ValueError(f"{path} was damaged or another file and is deleted: {what}; run again to download it")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    return _digest(path, "sha256")


def write_sums(folder: Path) -> None:
    """Write SHA256SUMS, with a line for each file in a folder and below it."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    lines = [f"{sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def read_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file that a folder's SHA256SUMS names.

    Raises:
        ValueError: if it cannot be read, or is damaged.
    """
    lines = read_text(folder / SUMS).splitlines()
    return {file: digest for digest, file in (line.split("  ", 1) for line in lines)}


def check_sums(folder: Path, files: Iterable[str], name: str) -> None:
    """Check files of a published folder against its SHA256SUMS, if it has one.

    Args:
        folder: that was published.
        files: names of those to be checked.
        name: of the model, for messages.

    Raises:
        ValueError: if a file or the list is damaged, or the list lacks a file.
    """
    if not (folder / SUMS).exists():
        return
    try:
        sums = read_sums(folder)
    except ValueError as error:
        raise ValueError(f"{name}: {SUMS} is damaged ({one_line(error)})") from None
    for file in files:
        if file not in sums:
            raise ValueError(f"{name}: {SUMS} is damaged, it has no line for {file}")
        Checksum("sha256", sums[file]).check(folder / file, delete=False)


def remove(path: Path) -> int:
    """Delete a file, of the Hub's cache also what it points to; return the bytes that were freed.

    Other links point to what is somebody's own.
    """
    target = path.resolve()
    is_owned = not path.is_symlink() or target.parent.name == _BLOBS
    size = target.stat().st_size if is_owned else 0
    path.unlink()
    if is_owned:
        target.unlink(missing_ok=True)
    return size


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
