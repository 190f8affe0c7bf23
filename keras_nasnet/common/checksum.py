"""Checksums of files: what is not what it should be is deleted."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"  # of a published folder; `sha256sum -c` reads it


def expected(source: dict[str, Any]) -> tuple[str, str]:
    """Returns the kind ("sha256" or "md5") and the checksum, in hex, of an entry's source."""
    kind = "sha256" if "sha256" in source else "md5"
    return kind, source[kind]


def check(path: Path, kind: str, digest: str, delete: bool = True) -> None:
    """Checks a file, which is deleted if it is wrong and `delete` is set; a link with what it points to.

    Raises:
        ValueError: if the file cannot be read or its checksum is not `digest`; says both.
    """
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, kind).hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if found == digest:
        return
    what = f"its {kind} is {found}, but it should be {digest}"
    if not delete:
        raise ValueError(f"{path} is damaged or another file: {what}")
    try:
        remove(path)
    except OSError as error:
        raise ValueError(f"{path} is damaged or another file: {what}; delete it ({error.strerror})") from None
    raise ValueError(f"{path} was damaged or another file and is deleted: {what}; run again to download it")


def sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sums(folder: Path, files: Iterable[str], name: str) -> None:
    """Checks files of a published folder against its SHA256SUMS, if it has one.

    Raises:
        ValueError: if a file or the list is damaged, or the list lacks a file; `name` is that of the model.
    """
    path = folder / SUMS
    if not path.exists():
        return
    try:
        pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        sums = {file: digest for digest, file in pairs}
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: {SUMS} is damaged ({' '.join(str(error).split())})") from None
    for file in files:
        if file not in sums:
            raise ValueError(f"{name}: {SUMS} is damaged, it has no line for {file}")
        check(folder / file, "sha256", sums[file], delete=False)


def remove(path: Path) -> int:
    """Deletes a file; of a link also what it points to. Returns the bytes that it had."""
    target = path.resolve()
    size = target.stat().st_size
    path.unlink()
    target.unlink(missing_ok=True)
    return size
