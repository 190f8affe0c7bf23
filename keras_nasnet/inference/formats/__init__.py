"""What a network can be exported as: one module a format, each of which writes a file and reads it again.

Importing these modules imports no runtime and no Keras: reading a file imports its runtime alone.
"""

import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

INPUT = "images"
OUTPUT = "probabilities"


class Runner(Protocol):
    """An exported network in its runtime.

    Attributes:
        metadata: what `Signature.metadata` was.
    """

    metadata: dict[str, Any]

    def run(self, images: np.ndarray) -> np.ndarray:
        """Returns float32 probabilities (n, classes) of preprocessed float32 images (n, height, width, 3)."""
        ...


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
    """

    batch: int | None
    height: int | None
    width: int | None
    metadata: dict[str, Any]
    calibration: Calibration | None = None

    @property
    def shape(self) -> tuple[int | None, int | None, int | None, int]:
        return (self.batch, self.height, self.width, 3)

    @property
    def int8(self) -> str | None:
        return self.metadata["int8"]


@dataclass(frozen=True)
class Format:
    """Args:
    name: as `export` takes it.
    suffix: of the file; "" for a folder.
    module: of this package, that writes and reads it.
    reads: the modules that reading needs.
    writes: those that writing needs besides TensorFlow.
    int8: the kinds of quantisation it knows.
    quantises: the modules that these need besides.
    """

    name: str
    suffix: str
    module: str
    reads: tuple[str, ...]
    writes: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()
    quantises: tuple[str, ...] = ()

    def load(self) -> ModuleType:
        """Returns its module, which has `write(model, path, signature)` and `read(path) -> Runner`."""
        return importlib.import_module(f"{__name__}.{self.module}")

    def require(self, writing: bool = False, int8: bool = False) -> None:
        """Raises ImportError with one line that names the extra, if a module is missing."""
        for module in (*self.reads, *(self.writes if writing else ()), *(self.quantises if int8 else ())):
            if not _is_installed(module):
                raise ImportError(f"{self.name} needs {module}: pip install 'keras-nasnet[{self.name}]'")


FORMATS = {
    found.name: found
    for found in (
        Format("onnx", ".onnx", "onnx", ("onnxruntime",), ("onnx", "tf2onnx"), ("full",)),
        Format("openvino", ".xml", "openvino", ("openvino",), (), ("weights", "full"), ("nncf",)),
        Format("litert", ".tflite", "litert", ("ai_edge_litert",), (), ("weights", "full")),
        Format("saved_model", "", "saved_model", ("tensorflow",)),
        Format("keras", ".keras", "keras_file", ("keras",)),
    )
}


def find(name: str) -> Format:
    """Returns a format by its name.

    Raises:
        ValueError: if there is none of this name.
    """
    if name not in FORMATS:
        raise ValueError(f"to is {name!r}: choose from {', '.join(FORMATS)}")
    return FORMATS[name]


def files(form: Format, path: Path) -> list[Path]:
    """The files of an export, the one that is opened last: OpenVINO keeps its weights beside the graph."""
    return [path.with_suffix(".bin"), path] if form.name == "openvino" else [path]


def in_batches(batch: int | None, images: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the images in the batches that a network takes."""
    size = batch or len(images)
    for start in range(0, len(images), size):
        yield images[start : start + size]


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a spec
        return False
