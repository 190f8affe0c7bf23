"""One file over HTTP: whole or not at all, resumed where it broke off, by one process at a time."""

import errno
import os
import time
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm

from keras_nasnet.common import limits
from keras_nasnet.common.checksum import Checksum
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable

_TRIES = 5  # in a row without a byte
_PAUSE = 0.5  # seconds before the second try; doubles with each
_TIMEOUT = (10, 30)  # seconds to connect, and without a byte
_CHUNK = 1 << 14  # bytes; of a cut connection at most these are lost
_BUSY = (408, 429, 500, 502, 503, 504)
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class _Busy(Exception):
    """The server says to come again."""


class _Refused(ValueError):
    """What no further request would change."""


class _TooLarge(_Refused):
    """A file that is larger than it may be."""


def download(url: str, path: Path, checksum: Checksum, most: int | None = None) -> None:
    """Download a file, unless it is there when this process' turn comes.

    What has come so far lies beside it as ".part"; a later call asks for the rest. Proxies are
    taken from the environment (HTTPS_PROXY, NO_PROXY).

    Args:
        url: where it is.
        path: of the file; it appears when it is whole and its checksum is right.
        checksum: that the file has.
        most: bytes that it may have; default `limits.DOWNLOAD_BYTES`.

    Raises:
        ValueError: if the file cannot be had or written, is too large, or its checksum is wrong.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists():  # another process has just downloaded it
                return
            partial = path.with_name(f"{path.name}.{checksum.digest[:8]}.part")
            try:
                _receive(url, partial, path.name, limits.DOWNLOAD_BYTES if most is None else most)
            except _TooLarge:
                partial.unlink(missing_ok=True)
                raise
            checksum.check(partial, delete=True)
            os.replace(partial, path)
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, or let KERAS_HOME name a folder that can be written"
        ) from None


def _receive(url: str, partial: Path, name: str, most: int) -> None:
    """Fills `partial`, in as many requests as it takes."""
    failures = 0
    while True:
        before = _size(partial)
        try:
            return _request(url, partial, name, most)
        except (*_BROKEN, _Busy) as error:
            failures = 1 if _size(partial) > before else failures + 1
            if failures >= _TRIES:
                raise ValueError(f"{name} cannot be downloaded: {_reason(error)} ({url})") from None
        except _Refused:
            raise
        except (requests.RequestException, ValueError) as error:  # an address or a proxy that is none
            raise ValueError(f"{name} cannot be downloaded: {_reason(error)} ({url})") from None
        time.sleep(_PAUSE * 2 ** (failures - 1))


def _request(url: str, partial: Path, name: str, most: int) -> None:
    start = _size(partial)
    # Compressed on the way, the bytes would not be the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416:  # nothing is left to ask for; the checksum decides
            return
        answer = f"the server answers {response.status_code} {printable(response.reason)[:100]}"
        if response.status_code in _BUSY:
            raise _Busy(answer)
        if response.status_code not in (200, 206):
            raise _Refused(f"{name} cannot be downloaded: {answer} ({url})")
        if response.status_code == 200:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            partial.unlink(missing_ok=True)
            raise _Busy("the server answers with another part than asked for")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() and len(length) <= limits.INTEGER_DIGITS else None
        _check_size(name, total or start, most)
        progress = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, leave=False, disable=None)
        with progress, open(partial, "ab" if start else "wb") as file:
            try:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    progress.update(len(chunk))
                    _check_size(name, file.tell(), most)  # what a server says of the size need not be so
                file.flush()
            except OSError as error:
                if error.errno == errno.ENOSPC:  # a full disk needs the room more than we the part
                    partial.unlink(missing_ok=True)
                raise


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise _TooLarge(f"{name} cannot be downloaded: it has {size:,} bytes or more, and may have {most:,}")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "the server is too slow"
    return one_line(error)
