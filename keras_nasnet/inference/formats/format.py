"""What an export format is, and what an exported network takes and returns.

Importing this imports no runtime and no Keras.
"""

import abc
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from keras_nasnet.common.files import StrPath
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.models.predictor import Runner

INPUT = "images"
OUTPUT = "probabilities"


class Calibration(Protocol):
    """Real images on which the ranges of activations are measured, one at a time: float32 (1, height, width, 3)."""

    def __iter__(self) -> Iterator[np.ndarray]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Signature:
    """What an exported network takes, and how exactly it computes.

    Args:
        batch: number of images; None for any.
        height: of the images in pixels; None for any.
        width: likewise.
        metadata: goes into the file: "name", "preprocessing" (`Preprocessing.to_dict`), "class_names"
            (a list, or None), and "int8" (None, "weights" or "full").
        calibration: real images, where "int8" is "full".

    Example:
        >>> Signature(None, 224, 224, {"name": "net", "int8": None}).shape
        (None, 224, 224, 3)
    """

    batch: int | None
    height: int | None
    width: int | None
    metadata: dict[str, Any]
    calibration: Calibration | None = None

    @property
    def shape(self) -> tuple[int | None, int | None, int | None, int]:
        """Shape of the images, with None for what may vary."""
        return (self.batch, self.height, self.width, 3)

    @property
    def int8(self) -> str | None:
        """The kind of quantisation: None, "weights" or "full"."""
        return self.metadata["int8"]


class Format(abc.ABC):
    """A format of exported networks: writes a file or a folder, and reads it again in its runtime.

    A format of one's own is a subclass, an instance of which is registered:
    `FORMATS.register("name", MyFormat())`, or an entry point of the group "keras_nasnet.export_format".

    Attributes:
        name: as `export` takes it; also the extra that installs what it needs.
        suffix: of the file, ".onnx" for example; "" for a folder.
        reads: modules that reading needs.
        writes: modules that writing needs besides TensorFlow.
        int8: kinds of quantisation that it knows, of "weights" and "full".
        quantises: modules that these need besides.
        converts: whether a network becomes another runtime's: of any backend, size, dtype and activation it is made
            into one of float32 images and probabilities. False where the Keras network itself is written.

    Example:
        >>> import pathlib
        >>> [file.name for file in FORMATS.get("openvino").files(pathlib.Path("net.xml"))]
        ['net.bin', 'net.xml']
    """

    name: str
    suffix: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()
    quantises: tuple[str, ...] = ()
    converts: bool = True

    @abc.abstractmethod
    def write(self, model: Any, path: Path, signature: Signature) -> None:
        """Write a Keras model of one input, images, and one output, probabilities."""

    @abc.abstractmethod
    def read(self, path: StrPath) -> Runner:
        """Open what `write` wrote, for the CPU and in float32.

        Raises:
            ValueError: if it was written by something else.
        """

    def files(self, path: Path) -> list[Path]:
        """Return the files or folders of an export, the one that is opened last."""
        return [path]

    def verify(self, runner: Runner, preprocessing: Preprocessing) -> None:  # noqa: B027  (not every format has more)
        """Check what an export offers besides `Runner.run`. By default there is nothing.

        Args:
            runner: that `read` returned.
            preprocessing: of the network, of the size for which `run` is asked.

        Raises:
            ValueError: if it is not what the network gives.
        """

    def require(self, writing: bool = False, int8: bool = False) -> None:
        """Raise ImportError with one line that names the extra, if a module is missing."""
        for module in (*self.reads, *(self.writes if writing else ()), *(self.quantises if int8 else ())):
            if not is_installed(module):
                raise ImportError(f"{self.name} needs {module}: pip install 'keras-nasnet[{self.name}]'")


def is_installed(module: str) -> bool:
    """Return whether a module can be imported, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a spec
        return False


def in_batches(batch: int | None, images: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the images in the batches that a network takes; all at once for None."""
    size = batch or len(images)
    for start in range(0, len(images), size):
        yield images[start : start + size]
