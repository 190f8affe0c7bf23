"""Checksums of files: what is not what it should be is deleted."""

import hashlib
from pathlib import Path
from typing import Any


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


def remove(path: Path) -> int:
    """Deletes a file; of a link also what it points to. Returns the bytes that it had."""
    target = path.resolve()
    size = target.stat().st_size
    path.unlink()
    target.unlink(missing_ok=True)
    return size
