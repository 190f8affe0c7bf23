"""Checkpoints of TF-slim as they are published: packed into a .tar.gz."""

import os
import tarfile
import tempfile
import zlib
from pathlib import Path

import keras

from keras_nasnet.zoo.formats.assign import Report, check_file, first_line
from keras_nasnet.zoo.formats.slim import from_slim


def from_slim_archive(path: str | os.PathLike[str], model: keras.Model, ema: bool = False) -> Report:
    """Fills a `NASNet` from the one checkpoint in a tar file, as `from_slim` does.

    It is unpacked into a temporary folder (`TMPDIR`): no links are followed, nothing is
    written outside.

    Raises:
        ValueError: if the file cannot be unpacked or has not exactly one checkpoint, and as
            `from_slim` does.
    """
    check_file(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as error:
            raise ValueError(f"{path}: cannot be unpacked ({first_line(error)})") from None
        found = sorted(Path(folder).rglob("*.index"))
        if len(found) != 1:
            raise ValueError(f"{path}: has {len(found)} checkpoints (.index), but it should have one")
        return from_slim(found[0], model, ema)
