"""OpenVINO, as fast as it is: a compiled network in a file, one image on all cores or many images side by side."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

BLOB = "network.blob"
ONE, MANY = "LATENCY", "THROUGHPUT"


def processor() -> str:
    """What the compiled network belongs to besides OpenVINO's version: the instructions that this machine has."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        known = next(line for line in text.splitlines() if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        import platform

        known = f"{platform.machine()} {platform.processor()}"
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def compile_file(path: Path, blob: Path) -> None:
    """Compiles an OpenVINO file of one image and writes what comes out."""
    import openvino

    core = openvino.Core()
    content = core.compile_model(core.read_model(path), "CPU", _options(ONE)).export_model()
    blob.write_bytes(content if isinstance(content, bytes) else content.getvalue())


def _options(hint: str) -> dict[str, Any]:
    # In float32: bfloat16, which OpenVINO likes where there is AMX, is no float32.
    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": hint}
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if allowed != os.cpu_count():  # else OpenVINO knows better: it leaves out the second threads of a core
        options["INFERENCE_NUM_THREADS"] = allowed
    return options


class Compiled:
    """A compiled network, see `keras_nasnet.inference.formats.Runner`; for one thread at a time.

    Args:
        blob: that `compile_file` wrote on a machine like this one.
        metadata: of the network.
    """

    def __init__(self, blob: Path, metadata: dict[str, Any]):
        import openvino

        self.metadata = metadata
        self._blob = openvino.Tensor(np.memmap(blob, np.uint8, "r"))  # of the file, even if that is deleted
        self._one: Any = self._load(ONE).create_infer_request()
        self._many: Any = None

    def run(self, images: np.ndarray) -> np.ndarray:
        """One image by all cores; several side by side, each by few of them, which takes less time together."""
        if len(images) == 1:
            self._one.infer([np.ascontiguousarray(images)], share_inputs=True)
            return self._one.get_output_tensor().data.copy()
        import openvino

        if self._many is None:
            self._many = openvino.AsyncInferQueue(self._load(MANY))
            self._many.set_callback(_keep)
        images, results = np.ascontiguousarray(images), [np.empty(0)] * len(images)
        for place in range(len(images)):
            self._many.start_async([images[place : place + 1]], (results, place), share_inputs=True)
        self._many.wait_all()
        return np.concatenate(results)

    def _load(self, hint: str) -> Any:
        import openvino

        return openvino.Core().import_model(self._blob, "CPU", _options(hint))


def _keep(request: Any, results_and_place: tuple[list[np.ndarray], int]) -> None:
    results, place = results_and_place
    results[place] = request.get_output_tensor().data.copy()
