"""One file over HTTP: whole or not at all, resumed where it broke off, by one process at a time."""

import errno
import os
import time
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm

from keras_nasnet.common.checksum import Checksum
from keras_nasnet.common.errors import one_line

_TRIES = 5  # in a row without a byte
_PAUSE = 0.5  # seconds before the second try; doubles with each
_TIMEOUT = (10, 30)  # seconds to connect, and without a byte
_CHUNK = 1 << 14  # bytes; of a cut connection at most these are lost
_BUSY = (408, 429, 500, 502, 503, 504)
_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


class _Busy(Exception):
    """The server says to come again."""


def download(url: str, path: Path, checksum: Checksum) -> None:
    """Download a file, unless it is there when this process' turn comes.

    What has come so far lies beside it as ".part"; a later call asks for the rest. Proxies are
    taken from the environment (HTTPS_PROXY, NO_PROXY).

    Args:
        url: where it is.
        path: of the file; it appears when it is whole and its checksum is right.
        checksum: that the file has.

    Raises:
        ValueError: if the file cannot be had or written, or its checksum is wrong.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if path.exists():  # another process has just downloaded it
                return
            partial = path.with_name(f"{path.name}.{checksum.digest[:8]}.part")
            _receive(url, partial, path.name)
            checksum.check(partial, delete=True)
            os.replace(partial, path)
    except OSError as error:
        raise ValueError(
            f"{path} cannot be written ({error.strerror or error}): "
            "make room, or let KERAS_HOME name a folder that can be written"
        ) from None


def _receive(url: str, partial: Path, name: str) -> None:
    """Fills `partial`, in as many requests as it takes."""
    failures = 0
    while True:
        before = _size(partial)
        try:
            return _request(url, partial, name)
        except (*_BROKEN, _Busy) as error:
            failures = 1 if _size(partial) > before else failures + 1
            if failures >= _TRIES:
                raise ValueError(f"{name} cannot be downloaded: {_reason(error)} ({url})") from None
        except requests.RequestException as error:  # an address or a proxy that is none
            raise ValueError(f"{name} cannot be downloaded: {_reason(error)} ({url})") from None
        time.sleep(_PAUSE * 2 ** (failures - 1))


def _request(url: str, partial: Path, name: str) -> None:
    start = _size(partial)
    # Compressed on the way, the bytes would not be the file's.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416:  # nothing is left to ask for; the checksum decides
            return
        if response.status_code in _BUSY:
            raise _Busy(f"the server answers {response.status_code} {response.reason}")
        if response.status_code not in (200, 206):
            raise ValueError(
                f"{name} cannot be downloaded: the server answers {response.status_code} {response.reason} ({url})"
            )
        if response.status_code == 200:
            start = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            partial.unlink(missing_ok=True)
            raise _Busy("the server answers with another part than asked for")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        progress = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=name, leave=False, disable=None)
        with progress, open(partial, "ab" if start else "wb") as file:
            try:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    progress.update(len(chunk))
                file.flush()
            except OSError as error:
                if error.errno == errno.ENOSPC:  # a full disk needs the room more than we the part
                    partial.unlink(missing_ok=True)
                raise


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: BaseException) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error).lower():
        return "the server is too slow"
    return one_line(error)
