"""Our own weights format: safetensors, a tensor for each variable, by the variable's path.

The metadata has the key "sha256": of the tensors, checked when they are read.
"""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing
from keras_nasnet.zoo.formats.assign import Unreadable, as_weights, check_file, weights_of
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

HEADS = ("predictions/", "auxiliary_")  # of which a model for features has none
_STORED = ("float32", "float16")
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it
_DIGEST = "sha256"


class Damaged(ValueError):
    """A file that is missing, cannot be read, or does not have the checksum in it."""


def save(model: "keras.Model", path: str | os.PathLike[str], dtype: str = "float32") -> None:
    """Write all weights of a model.

    Args:
        model: a built model.
        path: of the file; it appears when it is whole.
        dtype: "float32" or "float16" (half the size; values are rounded).

    Raises:
        ValueError: if a weight does not fit into the dtype.
    """
    if dtype not in _STORED:
        raise ValueError(f"dtype is {dtype!r}: choose from {', '.join(_STORED)}")
    tensors = {}
    for name, value in weights_of(model).items():
        with np.errstate(over="ignore"):
            tensors[name] = np.ascontiguousarray(value.astype(dtype))
        if not np.isfinite(tensors[name]).all():
            raise ValueError(f"{name} has values that {dtype} cannot hold")
    write(path, tensors)


def write(path: str | os.PathLike[str], tensors: dict[str, np.ndarray], metadata: dict[str, str] | None = None) -> None:
    """Write tensors by name, with their checksum added to the metadata; the file appears when it is whole."""
    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=(metadata or {}) | {_DIGEST: _digest(tensors)})
        except SafetensorError as error:  # hides the OSError: of a full disk or a folder that cannot be written
            if match := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(match[1]), os.strerror(int(match[1])), os.fspath(path)) from None
            raise OSError(f"{path}: cannot be written ({one_line(error)})") from None


def load(path: str | os.PathLike[str], model: "keras.Model", unused: Sequence[str] = ()) -> None:
    """Fill all weights of a model from a file that `save` wrote.

    Args:
        path: of the file.
        model: a built model.
        unused: how names begin that the file may have more than the model.

    Raises:
        ValueError: if the file is broken (`Damaged`), or its tensors are not the model's; the
            message lists the difference, and the model is left as it was.
        Unreadable: if it may not be read.
    """
    assign(path, read(path), model, unused)


def assign(
    source: str | os.PathLike[str], tensors: dict[str, np.ndarray], model: "keras.Model", unused: Sequence[str] = ()
) -> None:
    """Fill all weights of a model from tensors by the variables' paths, as `load` does; `source` is for messages."""
    variables = {variable.path: variable for variable in model.weights}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {
        name: tuple(tensor.shape)
        for name, tensor in tensors.items()
        if name in variables or not name.startswith(tuple(unused))
    }
    if shapes != found:
        differing = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
        listed = "; ".join(
            f"{name}: the file has {found.get(name, 'nothing')}, the model {shapes.get(name, 'nothing')}"
            for name in differing[:5]
        )
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(f"{source} is not for this model: {listed}{more}")
    values = {name: as_weights(f"{source}: {name}", tensors[name]) for name in variables}
    for name, variable in variables.items():
        variable.assign(values[name])


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    """Return whether a file begins as those of safetensors do: with the size of a header, and a header in JSON.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER


def names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of a safetensors file's tensors.

    Raises:
        Damaged: if the file is broken.
    """
    with _opened(path) as file:
        return list(file.keys())


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Return the tensors of a safetensors file by name, checked if it has a checksum.

    Raises:
        Damaged: if the file is broken.
    """
    with _opened(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    # Without a checksum: files of the first version have no metadata, PyTorch's only their "format".
    if metadata.keys() - {"format"} and metadata.get(_DIGEST) != _digest(tensors):
        raise Damaged(f"{path}: damaged, its tensors do not have the checksum in its metadata")
    return tensors


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    try:
        check_file(path)
    except Unreadable:
        raise
    except ValueError as error:
        raise Damaged(str(error)) from None
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(f"{path}: not a safetensors file ({one_line(error)})") from None


def _digest(tensors: dict[str, np.ndarray]) -> str:
    """SHA-256 of the names, dtypes, shapes and values of tensors, in hex."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()


class WeightsFile(WeightFormat):
    """The package's own format, in which converted weights are kept."""

    suffixes = written = (".safetensors",)
    is_own = True

    def recognises(self, path: str | os.PathLike[str]) -> bool:
        """Return whether it is a file of safetensors in which the tensors' names are paths, as ours are."""
        return is_safetensors(path) and any("/" in name for name in names(path))

    def read(self, path: str | os.PathLike[str], model: "keras.Model", moving_averages: bool = True) -> None:
        load(path, model, unused=HEADS)

    def write(self, model: "NASNet", path: Path) -> None:
        save(model, path)


FORMAT = WeightsFile()
