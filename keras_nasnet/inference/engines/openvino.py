"""OpenVINO: compiled networks in files; one image is computed on all cores, many are computed side by side."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.accelerate.openvino import openvino
from keras_nasnet.inference.engines.compiled import CompiledEngine
from keras_nasnet.inference.engines.engine import PRECISIONS
from keras_nasnet.inference.formats.format import Signature
from keras_nasnet.inference.formats.openvino import FORMAT, core

if TYPE_CHECKING:
    import keras

ONE, MANY = "one.blob", "many.blob"
_HINTS = {ONE: "LATENCY", MANY: "THROUGHPUT"}
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVINOEngine(CompiledEngine):
    """See the module."""

    name, title = "openvino", "OpenVINO"
    module = distribution = extra = "openvino"
    precisions = PRECISIONS

    def compile(self, model: "keras.Model", signature: Signature, folder: Path, precision: str) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            file = Path(temporary, f"network{FORMAT.suffix}")
            FORMAT.write(model, file, signature)
            compile_file(file, folder, precision)

    def open_folder(self, folder: Path, metadata: dict[str, Any], precision: str) -> "BlobRunner":
        return BlobRunner(folder, metadata, precision)

    def depends_on(self) -> dict[str, str]:
        return {"processor": processor()}


def processor() -> str:
    """Return a checksum of the instructions that this machine's processor has."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        known = next(line for line in text.splitlines() if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        import platform

        known = f"{platform.machine()} {platform.processor()}"
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def images_at_once(height: int | None, width: int | None) -> int:
    """Return how many images one core computes at a time, where there are many: what its cache holds (measured)."""
    if height is None or width is None:
        return 1  # they may differ in size
    fitting = min(8, 2 * 224 * 224 // (height * width))
    return 1 << (fitting.bit_length() - 1) if fitting else 1


def compile_file(path: Path, folder: Path, precision: str) -> None:
    """Compile an OpenVINO file of any number of images, and writes what comes out into a folder."""
    graph = core().read_model(path)
    _, height, width, channels = (
        None if side.is_dynamic else side.get_length() for side in graph.input(0).partial_shape
    )
    several = images_at_once(height, width)
    for blob, images in ((ONE, 1), (MANY, several)):
        if blob == MANY and several == 1:
            continue  # the other one does
        graph.reshape([images, height or -1, width or -1, channels])
        content = core().compile_model(graph, "CPU", _options(blob, precision)).export_model()
        (folder / blob).write_bytes(content if isinstance(content, bytes) else content.getvalue())


def _options(blob: str, precision: str) -> dict[str, Any]:
    # Set always: by default OpenVINO takes bfloat16 where the processor has instructions for it.
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "PERFORMANCE_HINT": _HINTS[blob],
    }
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if allowed != os.cpu_count():  # otherwise OpenVINO chooses better: it leaves out the second thread of each core
        options["INFERENCE_NUM_THREADS"] = allowed
    return options


class BlobRunner:
    """A compiled network, see `Runner`; for one thread at a time.

    Args:
        folder: that `compile_file` filled on a machine like this one.
        metadata: of the network.
        precision: with which it was compiled.
    """

    def __init__(self, folder: Path, metadata: dict[str, Any], precision: str):
        self.metadata = metadata
        self._precision = precision
        # Mapped, not read: weights are in memory once. "c": OpenVINO wants to be able to write, though it does not.
        self._blobs = {blob: np.memmap(folder / blob, np.uint8, "c") for blob in _HINTS if (folder / blob).exists()}
        self._one: Any = self._load(ONE).create_infer_request()
        self._many: Any = None  # made when there are many
        self._at_once = 1

    def run(self, images: np.ndarray) -> np.ndarray:
        """One image by all cores; many side by side, each core its own, which takes less time together."""
        images = np.ascontiguousarray(images)
        if len(images) > 1 and self._many is None:
            self._prepare_many()
        size = self._at_once
        results: list[Any] = [None] * (len(images) // size if len(images) > 1 else 0)
        for place in range(len(results)):
            self._many.start_async([images[place * size : (place + 1) * size]], (results, place), share_inputs=True)
        if results:
            self._many.wait_all()
        for place in range(len(results) * size, len(images)):
            self._one.infer([images[place : place + 1]], share_inputs=True)
            results.append(self._one.get_output_tensor().data.copy())
        return np.concatenate(results)

    def _prepare_many(self) -> None:
        compiled = self._load(MANY)
        self._at_once = compiled.input(0).partial_shape[0].get_length()
        self._many = openvino().AsyncInferQueue(compiled)
        self._many.set_callback(_keep)

    def _load(self, blob: str) -> Any:
        content = openvino().Tensor(self._blobs.get(blob, self._blobs[ONE]), shared_memory=True)
        return core().import_model(content, "CPU", _options(blob, self._precision))


def _keep(request: Any, results_and_place: tuple[list[np.ndarray], int]) -> None:
    results, place = results_and_place
    results[place] = request.get_output_tensor().data.copy()


ENGINE = OpenVINOEngine()
