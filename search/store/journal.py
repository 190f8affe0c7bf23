"""Where SQLite notes changes: a log beside the store (WAL), or on network file systems a rollback journal.

A WAL lets others read while one writes, by memory that all processes of one machine share. A network file system gives
no such memory, and a medium that cannot be written no place for it.
"""

import os
import re
import sqlite3
from pathlib import Path

MOUNTS = "/proc/self/mountinfo"  # Linux; other systems have no such file, and are taken at their word
# Where processes of several machines see a file, or memory that is mapped is not shared at once. FUSE may be anything.
_NETWORK = re.compile(
    r"9p|acfs|afs|autofs|beegfs|bees?fs.*|ceph|cifs|coda|davfs2?|fuse|fuse\.(?!lxcfs|ntfs|exfat).*|gfs2?|glusterfs|gpfs|"
    r"hdfs|ibrix|lustre|mfs|mmfs|moosefs|ncpfs?|nfs\d*|ocfs2?|orangefs|panfs|prl_fs|pvfs2?|quobyte|smb\d*|smbfs|"
    r"vboxsf|virtiofs|vmhgfs|vxfs|wekafs|yfs"
)


def network_file_system(path: str | os.PathLike[str], mounts: str | os.PathLike[str] | None = None) -> str | None:
    """Return the type of the network file system on which a file or folder lies, such as "nfs4"; None on others.

    Args:
        path: of a file or folder, which need not be there yet.
        mounts: the system's table of mounts, as in proc_pid_mountinfo(5); default: `MOUNTS`.
    """
    try:
        lines = Path(mounts or MOUNTS).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = os.path.join(os.path.realpath(path), "")
    longest, found = -1, None
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        if len(fields) < 6:
            continue
        point = os.path.join(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]), "")
        if place.startswith(point) and len(point) >= longest:  # of two at one point the later is on top
            longest, found = len(point), kind
    return found if found is not None and _NETWORK.fullmatch(found) else None


def journals(path: Path) -> list[Path]:
    """Return the files that SQLite may keep beside a store: log, its index, and rollback journal."""
    return [Path(f"{path}-{end}") for end in ("wal", "shm", "journal")]


def choose_journal(path: Path) -> str:
    """Return the journal mode of a new store."""
    return "DELETE" if network_file_system(path.parent) else "WAL"


def reading_modes(path: Path) -> list[str]:
    """Return the modes of SQLite's addresses in which a store is tried to be read, one after the other.

    Where nothing else is left, it is taken for a file that nobody changes; then nothing is written beside it.

    Raises:
        ValueError: if it has a log on a network file system, where the processes of one machine alone may read it.
    """
    if not _has_wal(path):
        return ["mode=ro"]
    pending = changes_beside(path)
    if kind := network_file_system(path):
        if pending is not None:
            raise ValueError(
                f"{pending} has changes that are not in {path.name} yet, and cannot be shared on {kind}, a network "
                "file system: resume the search on the machine that ran it, or copy the folder to a disk of this one"
            )
        return ["mode=ro&immutable=1"]
    return ["mode=ro"] if pending is not None else ["mode=ro", "mode=ro&immutable=1"]


def changes_beside(path: Path) -> Path | None:
    """Return the log or rollback journal beside a store that has something in it, if there is one."""
    log, _, journal = journals(path)
    return next((file for file in (log, journal) if file.exists() and file.stat().st_size), None)


def begin_to_write(connection: sqlite3.Connection, path: Path) -> None:
    """Keep a new connection from sharing memory through files that do not give it."""
    if network_file_system(path):
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")


def leave_wal(connection: sqlite3.Connection, path: Path) -> None:
    """Take the log of a store that was moved to a network file system into it, and use none any more."""
    if network_file_system(path):
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = NORMAL")
        connection.execute("SELECT 1 FROM meta").fetchone()  # frees the lock


def _has_wal(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(20)[18:] == b"\2\2"
