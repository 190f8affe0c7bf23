"""Datasets in .npz files: arrays of images and labels, checked by their headers before memory is taken. NumPy only."""

import io
import lzma
import math
import struct
import tokenize
import unicodedata
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import psutil

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.common.pixels import batch_from_array

# What people call the arrays of images and labels of each split: the first that there are count.
ARRAYS = {
    "train": (("train_images", "train_labels"), ("x_train", "y_train")),
    "validation": (
        ("validation_images", "validation_labels"),
        ("val_images", "val_labels"),
        ("x_validation", "y_validation"),
        ("x_val", "y_val"),
    ),
    "test": (("test_images", "test_labels"), ("x_test", "y_test")),
}
CLASS_NAMES = "class_names"

_HEADER_BYTES = 10_000  # what NumPy reads too
_WANTED = "pixels 0 to 255, uint8 (n, height, width, 3)"

# All that zipfile, its decompressors and NumPy raise on damaged files.
_DAMAGES = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError),
    *(IndexError, AttributeError, NotImplementedError, RuntimeError, struct.error, tokenize.TokenError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


@dataclass(frozen=True)
class Arrays:
    """The arrays of a file.

    Args:
        parts: uint8 images (n, height, width, 3) and integer labels (n,), by split.
        class_names: in order of label.
        problems: what is odd about them, a line each.
    """

    parts: Mapping[str, tuple[np.ndarray, np.ndarray]]
    class_names: tuple[str, ...]
    problems: tuple[str, ...]


def read_npz(path: Path, with_test: bool = True) -> Arrays:
    """Return the arrays of a dataset in an .npz file. Grey images become RGB, what is transparent white.

    Nothing is unpacked before sizes, shapes and types are known to fit: also each other, and the memory of the machine.

    Raises:
        ValueError: if it is no such file, damaged, asks for too much, or its arrays are not images and labels.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as archive:
            headers = _headers(archive)
            chosen = {
                split: next((pair for pair in pairs if set(pair) <= set(headers)), None)
                for split, pairs in ARRAYS.items()
                if with_test or split != "test"
            }
            if chosen["train"] is None:
                has = ", ".join(printable(name) for name in list(headers)[:10])
                raise _Unfit(f"needs the arrays train_images and train_labels, and has {has or 'none'}")
            pairs = {split: pair for split, pair in chosen.items() if pair is not None}
            for images, labels in pairs.values():
                _check(headers[images], headers[labels])
            _check_memory([headers[name] for pair in pairs.values() for name in pair])
            names = _read_names(archive, headers[CLASS_NAMES]) if CLASS_NAMES in headers else None
            parts = {
                split: (_to_rgb(_read(archive, headers[images])), _read(archive, headers[labels]).reshape(-1))
                for split, (images, labels) in pairs.items()
            }
            if names is None:
                names = _numbers(parts["train"][1])
            return Arrays(parts, names, _problems(path, parts))
    except _Unfit as error:
        raise ValueError(f"{path}: {error}") from None
    except _DAMAGES as error:
        raise ValueError(f"{path}: cannot be read as an .npz file ({one_line(error, 200)})") from None


class _Unfit(Exception):
    """What is in the file is no dataset, though it can be read."""


@dataclass(frozen=True)
class _Header:
    """What a member of the archive says of its array."""

    name: str
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.name} is {self.dtype} {self.shape}"


def _headers(archive: zipfile.ZipFile) -> dict[str, _Header]:
    """Return the headers of the arrays that a dataset may have; of others just the names count."""
    wanted = {CLASS_NAMES, *(name for pairs in ARRAYS.values() for pair in pairs for name in pair)}
    members = archive.infolist()
    if len(members) > limits.ARCHIVE_MEMBERS:
        raise _Unfit(f"it holds {len(members):,} files, more than {limits.ARCHIVE_MEMBERS:,}")
    headers = {}
    for member in members:
        name = member.filename.removesuffix(".npy")
        if name in wanted:
            if name in headers:
                raise _Unfit(f"it holds two arrays {name}")
            with archive.open(member) as file:
                headers[name] = _header(name, member, file)
    return headers


def _header(name: str, member: zipfile.ZipInfo, file: IO[bytes]) -> _Header:
    """Return the header of an array, whose length is looked at before it is read."""
    magic = file.read(8)
    version = np.lib.format.read_magic(io.BytesIO(magic))
    size = "<H" if version == (1, 0) else "<I"
    length = file.read(struct.calcsize(size))
    (count,) = struct.unpack(size, length)
    if count > _HEADER_BYTES:
        raise _Unfit(f"{name} has a header of {count:,} bytes")
    text = io.BytesIO(length + file.read(count))
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(text)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(text)
    header = _Header(name, member, shape, dtype)
    if dtype.hasobject or dtype.fields or dtype.subdtype:
        raise _Unfit(f"{name} is an array of {'Python objects' if dtype.hasobject else 'records'}: write plain numbers")
    if any(length < 0 for length in shape) or header.bytes > limits.ARRAY_BYTES:
        raise _Unfit(f"{header}: more than the {limits.ARRAY_BYTES:,} bytes that an array may have")
    begin = len(magic) + len(length) + count
    if begin + header.bytes != member.file_size:
        raise _Unfit(f"{header}, and the file holds {member.file_size - begin:,} bytes of it: it is damaged")
    return header


def _check(images: _Header, labels: _Header) -> None:
    """Raise _Unfit if two arrays are no images and their labels, as far as their headers say."""
    if images.dtype.kind not in "uif":
        raise _Unfit(f"images are {images.dtype} {images.shape}: they must be {_WANTED}")
    grey, colour = len(images.shape) == 3, len(images.shape) == 4 and images.shape[-1] in (1, 2, 3, 4)
    if not (grey or colour):
        first = len(images.shape) == 4 and images.shape[1] in (1, 3)
        order = "; the channels come last: transpose to (0, 2, 3, 1)" if first else ""
        raise _Unfit(f"images are {images.dtype} {images.shape}: they must be {_WANTED}{order}")
    if min(images.shape[1:3]) < 1:
        raise _Unfit(f"images are {images.dtype} {images.shape}: they have no pixels")
    count = images.shape[0]
    if labels.dtype.kind not in "iu" or labels.shape not in ((count,), (count, 1)):
        several = (
            "; an image can have only one label" if labels.shape[:1] == (count,) and len(labels.shape) == 2 else ""
        )
        raise _Unfit(f"labels are {labels.dtype} {labels.shape}: they must be whole numbers ({count},){several}")


def _check_memory(headers: Sequence[_Header]) -> None:
    # As they lie in the file, and as RGB.
    needed = sum(header.bytes + 3 * math.prod(header.shape[:3]) for header in headers)
    available = psutil.virtual_memory().available
    if needed > available:
        raise _Unfit(f"its arrays take {needed:,} bytes of memory, of which {available:,} are free: use a folder")


def _read(archive: zipfile.ZipFile, header: _Header) -> np.ndarray:
    with archive.open(header.member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_names(archive: zipfile.ZipFile, header: _Header) -> tuple[str, ...]:
    if len(header.shape) != 1 or header.dtype.kind not in "USiu":
        raise _Unfit(f"{header}: it must be text (classes,)")
    if not 1 <= header.shape[0] <= limits.NETWORK_CLASSES:
        raise _Unfit(f"{header}: there must be 1 to {limits.NETWORK_CLASSES:,}")
    if header.dtype.kind in "US" and header.dtype.itemsize > 4 * limits.NAME_CHARACTERS:
        raise _Unfit(f"{header}: a name has at most {limits.NAME_CHARACTERS} characters")
    array = _read(archive, header)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in array.tolist()]
    for name in names:
        name.encode()  # no lone surrogates
        if not name:
            raise _Unfit("class_names holds an empty name")
    return tuple(unicodedata.normalize("NFC", name) for name in names)


def _numbers(labels: np.ndarray) -> tuple[str, ...]:
    if not len(labels):
        raise _Unfit("it holds no training image")
    highest = int(labels.max())
    if highest >= limits.NETWORK_CLASSES:
        raise _Unfit(f"labels go up to {highest}: they must be below {limits.NETWORK_CLASSES:,}")
    return tuple(str(label) for label in range(highest + 1))


def _to_rgb(images: np.ndarray) -> np.ndarray:
    """Return images as uint8 RGB, as the same pictures from files are read.

    Raises:
        _Unfit: if their values are no pixels from 0 to 255.
    """
    try:
        return batch_from_array(images)
    except ValueError as error:
        raise _Unfit(str(error)) from None


def _problems(path: Path, parts: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> tuple[str, ...]:
    images = parts["train"][0]
    if images.size and images.max() <= 1:
        return (f"{path}: no pixel of its training images is above 1: 0 to 255 is expected",)
    return ()
