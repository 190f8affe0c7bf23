"""HDF5 files: read only where all that is in them is their own, and written with a checksum in front.

An HDF5 file may name other files of this machine as its content (external links, external storage, virtual datasets),
and claim any size. `opened` refuses what does before a value is read. And HDF5 itself ends the process at some damaged
files: a file that this process has not written is read by another one first.

The first 512 bytes of files written here are a user block, which HDF5 leaves to its users: here it holds the SHA-256 of
all that is behind it. HDF5 has no checksum of its own over most of a file, and an attribute inside
could vanish by the same damage. Keras reads such files like any other. Files that others wrote
have no user block, and nothing to be checked against.
"""

import contextlib
import hashlib
import io
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import h5py

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing

_BLOCK = 512  # the smallest that HDF5 allows
_NOTE = b"keras_nasnet: sha256 of what follows"
SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What h5py raises on damaged files, besides ValueError.
_UNREADABLE = (OSError, LookupError, RuntimeError, TypeError, AttributeError, MemoryError, OverflowError)
# Of HDF5 itself and h5py's: gzip, shuffle, Fletcher's checksum, szip, n bits, scale and offset, LZF. Any other would be
# a library that HDF5 looks for on this machine.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
_KINDS = "fiu"  # of NumPy's types: numbers; no text, no objects, no references into the file
_CHILD = """
import sys
from keras_nasnet.zoo.formats.h5_file import read_all
try:
    read_all(sys.argv[1])
except ValueError as error:
    print(error)
    sys.exit(2)
"""
_sound: set[str] = set()  # checksums of contents that this process has written, or that were read without harm
_LEAST_CHUNK = 2**20  # bytes; a chunk is unpacked whole, also where it is more than its dataset


def write(path: str | os.PathLike[str], fill: Callable[[h5py.File], None]) -> None:
    """Write a file that `check` can check; it appears when it is whole.

    It is made in memory: where a disk is full while HDF5 writes to it, the process ends in a segmentation fault.

    Args:
        path: of the file.
        fill: puts everything into the open file.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", userblock_size=_BLOCK) as file:
        fill(file)
    view = content.getbuffer()
    digest = hashlib.sha256(view[_BLOCK:]).hexdigest()
    view[:_BLOCK] = _block(digest)
    with replacing(path) as temporary:
        temporary.write_bytes(view)
    _sound.add(digest)


def is_h5(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as HDF5 files do, or those of `write`.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        return file.read(len(_NOTE)).startswith((SIGNATURE, _NOTE))


def check(path: str | os.PathLike[str]) -> None:
    """Check a file, if `write` wrote it.

    Raises:
        ValueError: if it is no HDF5 file, or damaged.
    """
    _digest(path)


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Yield a checked file, of which all that can be read is numbers of its own.

    What h5py raises in the block becomes an error of one line too, that names the file.

    Raises:
        ValueError: if it is damaged, refers to other files, or holds more than `limits` allows.
    """
    digest = _digest(path)
    try:
        if digest not in _sound:
            _read_elsewhere(path)
            _sound.add(digest)
        with h5py.File(path, "r") as file:
            yield file
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(str(path)) else f"{path}: {one_line(error, 300)}") from None
    except _UNREADABLE as error:
        raise ValueError(f"{path}: not a readable HDF5 file of weights ({one_line(error, 200)})") from None


def read_all(path: str | os.PathLike[str]) -> None:
    """Check a file's content and read all of it.

    Raises:
        ValueError: as `opened` does.
    """
    try:
        with h5py.File(path, "r") as file:
            _check_content(file)

            def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
                for name in item.attrs:
                    item.attrs[name]
                if isinstance(item, h5py.Dataset):
                    item[()]

            read("", file)
            file.visititems(read)
    except _UNREADABLE as error:
        raise ValueError(f"not a readable HDF5 file of weights ({one_line(error, 200)})") from None


def _read_elsewhere(path: str | os.PathLike[str]) -> None:
    """Calls `read_all` in a process of its own, and raises what it raises; also where that process ends before."""
    command = [sys.executable, "-P", "-c", _CHILD, os.fspath(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, timeout=limits.READING_SECONDS, text=True, check=False
        )
    except (OSError, TypeError):  # no process can be started here, or no Python is known
        return read_all(path)
    except subprocess.TimeoutExpired:
        raise ValueError(f"cannot be read within {limits.READING_SECONDS} seconds") from None
    if done.returncode == 2:
        raise ValueError(done.stdout.strip())
    if done.returncode != 0:
        raise ValueError(f"not a readable HDF5 file of weights: what reads it ends ({done.returncode})")
    return None


def _digest(path: str | os.PathLike[str]) -> str:
    """Returns the checksum of a file's content, which is the one in front of it, if one is; raises as `check` does."""
    try:
        with open(path, "rb") as file:
            block = file.read(_BLOCK)
            file.seek(0 if block.startswith(SIGNATURE) else _BLOCK)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if not block.startswith(SIGNATURE) and block != _block(digest):
        raise ValueError(f"{path}: not a readable HDF5 file of weights, or damaged")
    return digest


def _check_content(file: h5py.File) -> None:
    """Raises ValueError for links and datasets that are not plain content; groups are opened one after the other."""
    waiting, seen, count, size = [(file, "", 0)], {_address(file)}, 0, 0
    while waiting:
        group, path, depth = waiting.pop()
        _check_attributes(group, path)
        for name in group:
            count += 1
            if count > limits.ARCHIVE_MEMBERS:
                raise ValueError(f"has more than {limits.ARCHIVE_MEMBERS:,} groups and datasets")
            place = f"{path}/{name}".lstrip("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{place} is a link: weights are read from the file itself only")
            item = group[name]
            if _address(item) in seen:
                continue
            seen.add(_address(item))
            if isinstance(item, h5py.Group):
                if depth >= limits.DOCUMENT_DEPTH:
                    raise ValueError("has groups too deeply within each other")
                waiting.append((item, place, depth + 1))
            elif isinstance(item, h5py.Dataset):
                size += _checked_size(item, place)
                if size > limits.WEIGHTS_BYTES:
                    raise ValueError(f"claims more than {limits.WEIGHTS_BYTES:,} bytes of values")


def _address(item: h5py.Group | h5py.Dataset | h5py.Datatype) -> int:
    """The same for two links to one thing."""
    return int(h5py.h5o.get_info(item.id).addr)


def _checked_size(dataset: h5py.Dataset, place: str) -> int:
    """Returns the bytes of a dataset's values; raises ValueError unless they are numbers in this file."""
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"{place} lies in another file: weights are read from the file itself only")
    if dataset.shape is None or dataset.dtype.kind not in _KINDS or dataset.dtype.subdtype is not None:
        raise ValueError(f"{place} holds {dataset.dtype}, not numbers")
    _check_attributes(dataset, place)
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    if dataset.chunks is not None:
        chunk = math.prod(dataset.chunks) * dataset.dtype.itemsize
        if chunk > max(size, _LEAST_CHUNK):
            raise ValueError(f"{place} is packed in pieces of {chunk:,} bytes, which are more than it has")
        settings = dataset.id.get_create_plist()
        filters = {settings.get_filter(number)[0] for number in range(settings.get_nfilters())}
        if filters - _FILTERS:
            raise ValueError(f"{place} is packed in a way that HDF5 itself does not know")
    return size


def _check_attributes(item: h5py.Group | h5py.Dataset, place: str) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        size = math.prod(attribute.shape or ()) * attribute.dtype.itemsize
        if size > limits.METADATA_BYTES:
            raise ValueError(f"{place or 'the file'} has an attribute of {size:,} bytes")


def _block(digest: str) -> bytes:
    return (_NOTE + f" byte {_BLOCK} is {digest}\n".encode()).ljust(_BLOCK, b"\0")
