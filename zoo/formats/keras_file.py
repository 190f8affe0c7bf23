"""Keras' own `.keras` files, which hold a whole model."""

import contextlib
import os
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.zoo.formats import saved, weights_file
from keras_nasnet.zoo.formats.assign import same_weights, weights_of
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

StrPath = str | os.PathLike[str]

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"  # of a zip archive


def check(path: StrPath) -> None:
    """Check cheaply, without Keras, that a file may be a `.keras` file.

    Raises:
        ValueError: if it is none.
    """
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)  # a pipe would hang
        if not (is_file and Path(path).suffix == ".keras" and zipfile.is_zipfile(path)):
            raise ValueError(f"{path}: not a .keras file")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from None


def read_config(path: StrPath) -> Any:
    """Return what a `.keras` file says of its model. Needs no Keras.

    Raises:
        ValueError: if the file is damaged, or holds no model.
    """
    with _opened(path) as archive:
        return _config(archive, path)


def load(path: StrPath) -> "NASNet":
    """Return the model in a `.keras` file.

    Raises:
        ValueError: if the file is damaged, or holds no `NASNet`, nor a model around one that is understood.
    """
    with _opened(path) as archive:

        @contextlib.contextmanager
        def fetch(most: int) -> Iterator[Path]:
            with tempfile.TemporaryDirectory() as folder:
                written = Path(folder, saved.WEIGHTS)
                with _damaged(path), open(written, "wb") as file:
                    shutil.copyfileobj(archive.open(_member(archive, saved.WEIGHTS, most)), file, 2**20)
                yield written

        data = _config(archive, path)
        with _damaged(path):
            size = _member(archive, saved.WEIGHTS, limits.WEIGHTS_BYTES).file_size
        return saved.load(data, os.fspath(path), size, fetch)


def verify(path: StrPath) -> None:
    """Compare the configuration and the weights in a file with their checksums.

    Raises:
        ValueError: if the file is damaged.
    """
    with _opened(path) as archive, _damaged(path):
        for name in (saved.CONFIG, saved.WEIGHTS):
            with archive.open(_member(archive, name, limits.WEIGHTS_BYTES)) as file:
                while file.read(2**20):
                    pass


@contextlib.contextmanager
def _opened(path: StrPath) -> Iterator[zipfile.ZipFile]:
    check(path)
    with contextlib.ExitStack() as stack:
        with _damaged(path):
            file = stack.enter_context(open(path, "rb"))
            _check_directory(file)
            archive = stack.enter_context(zipfile.ZipFile(file))
        yield archive


@contextlib.contextmanager
def _damaged(path: StrPath) -> Iterator[None]:
    """Say in one line what zipfile finds wrong with an archive."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        OSError,
        OverflowError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ValueError(f"{path}: cannot be loaded ({one_line(error, 300)})") from None


def _check_directory(file: BinaryIO) -> None:
    """Raise ValueError for a list of members that is larger than any honest one, before it is read."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2**16 - 22 - 20 - 56))
    tail = file.read()
    end = tail.rfind(_END)
    found = [struct.unpack_from("<HI", tail, end + 10)] if 0 <= end <= len(tail) - 22 else []
    if end >= 76 and tail[end - 76 : end - 72] == _END_64:
        found.append(struct.unpack_from("<QQ", tail, end - 76 + 32))
    for members, length in found:
        if members > limits.ARCHIVE_MEMBERS or length > limits.METADATA_BYTES:
            raise ValueError(f"a list of {members:,} members, of {length:,} bytes, is in it")


def _config(archive: zipfile.ZipFile, path: StrPath) -> Any:
    with _damaged(path):
        text = archive.read(_member(archive, saved.CONFIG, limits.METADATA_BYTES))
    return parse_json(text, f"{path}: {saved.CONFIG}")


def _member(archive: zipfile.ZipFile, name: str, most: int) -> zipfile.ZipInfo:
    """Return a member of an archive; zipfile reads no more of it than the size that it states."""
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"no {name} is in it") from None
    if info.file_size > most:
        raise ValueError(f"{name} in it has {info.file_size:,} bytes: at most {most:,} are taken")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # of others it unpacks any number at once
        raise ValueError(f"{name} in it is compressed in a way that Keras never does")
    return info


class KerasFile(WeightFormat):
    """A whole model, as Keras writes it."""

    suffixes = written = (".keras",)
    is_whole = True

    def read(self, path: StrPath, model: "keras.Model", moving_averages: bool = True) -> None:
        weights_file.assign(path, weights_of(load(path)), model, unused=weights_file.HEADS)

    def write(self, model: "NASNet", path: Path) -> None:
        model.save(path)

    def holds(self, path: Path, model: "NASNet") -> bool:
        """Return whether a file holds the model, also what it is made of."""
        found = load(path)
        return found.get_config() == model.get_config() and same_weights(found, model)


FORMAT = KerasFile()
