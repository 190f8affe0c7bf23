"""OpenVINO IR, an .xml and its .bin: by `openvino.convert_model`."""

import functools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.accelerate.openvino import openvino
from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.files import StrPath
from keras_nasnet.inference.formats.format import INPUT, OUTPUT, Format, Signature, in_batches

KEY = "keras_nasnet"  # of the metadata in the model's rt_info, which are JSON


@functools.cache
def core() -> Any:
    """Return OpenVINO's Core, the same one in the whole process.

    Its plug-in for CPUs gives the thread that makes it a stack for signals, and takes the stack's memory back with the
    Core. Were that to happen in another thread (the garbage collector runs in any), the next signal, such as that of
    Ctrl-C, would end the process by a segmentation fault (seen with OpenVINO 2026.4.1).
    """
    return openvino().Core()


class OpenVINOFormat(Format):
    """See the module."""

    name, suffix = "openvino", ".xml"
    reads = ("openvino",)
    int8, quantises = ("weights", "full"), ("nncf",)

    def write(self, model: Any, path: Path, signature: Signature) -> None:
        import tensorflow as tf

        @tf.function(autograph=False, input_signature=[tf.TensorSpec(signature.shape, tf.float32)])
        def compute(images: Any) -> Any:
            return model(images, training=False)

        # As Keras' own export does, which first looks through all of a model's objects, for longer than this takes.
        graph = openvino().convert_model(compute.get_concrete_function())
        if signature.int8:
            graph = _quantise(graph, signature)
        graph.inputs[0].set_names({INPUT})
        graph.outputs[0].set_names({OUTPUT})
        graph.set_rt_info(json.dumps(signature.metadata), KEY)
        openvino().save_model(graph, path, compress_to_fp16=False)

    def read(self, path: StrPath) -> "OpenVINORunner":
        return OpenVINORunner(path)

    def files(self, path: Path) -> list[Path]:
        return [path.with_suffix(".bin"), path]  # the weights, then the graph


class OpenVINORunner:
    """A file in OpenVINO, on the CPU, in float32 also where the processor has bfloat16; see `Runner`."""

    def __init__(self, path: StrPath):
        graph = core().read_model(path)
        if not graph.has_rt_info(KEY):
            raise ValueError(f"{path}: not an export of keras-nasnet, it has no rt_info {KEY!r}")
        self.metadata: dict[str, Any] = parse_json(graph.get_rt_info(KEY).astype(str), f"{path}: metadata")
        batch = graph.inputs[0].partial_shape[0]
        self.batch = None if batch.is_dynamic else batch.get_length()
        # Set always: by default OpenVINO takes bfloat16 where the processor has AMX.
        self.compiled = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self.compiled({INPUT: part})[OUTPUT] for part in in_batches(self.batch, images)])


def _quantise(graph: Any, signature: Signature) -> Any:
    """Quantise by NNCF, OpenVINO's own tool."""
    import nncf

    nncf.set_log_level(logging.ERROR)
    images = signature.calibration
    if images is None:
        return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM)
    return nncf.quantize(graph, nncf.Dataset(images), subset_size=len(images), preset=nncf.QuantizationPreset.MIXED)


FORMAT = OpenVINOFormat()
