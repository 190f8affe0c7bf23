"""ONNX files, for ONNX Runtime: by Keras' own export, which is tf2onnx."""

import json
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.inference.formats.format import INPUT, OUTPUT, Format, Signature, in_batches

KEY = "keras_nasnet"  # of the metadata, which are JSON
OPSET = 17


class OnnxFormat(Format):
    """See the module."""

    name, suffix = "onnx", ".onnx"
    reads, writes = ("onnxruntime",), ("onnx", "tf2onnx")
    int8 = ("full",)

    def write(self, model: Any, path: Path, signature: Signature) -> None:
        import onnx

        from keras_nasnet.inference.formats.keras_export import keras_export

        logging.getLogger("tf2onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # Keras asks for np.object, for the sake of older tf2onnx
            keras_export(model, path, "onnx", signature, opset_version=OPSET)
        if signature.int8:
            _quantise(path, signature)
        graph = onnx.load(path)
        _rename(graph.graph, graph.graph.output[0].name, OUTPUT)
        dimensions = (("batch", "height", "width", None), ("batch", None))
        for value, names in zip((graph.graph.input[0], graph.graph.output[0]), dimensions, strict=True):
            for dimension, name in zip(value.type.tensor_type.shape.dim, names, strict=True):
                if name and not dimension.dim_value:
                    dimension.dim_param = name
        entry = graph.metadata_props.add()
        entry.key, entry.value = KEY, json.dumps(signature.metadata)
        onnx.checker.check_model(graph, full_check=True)
        onnx.save(graph, path)

    def read(self, path: StrPath) -> "OnnxRunner":
        return OnnxRunner(path)


class OnnxRunner:
    """A file in ONNX Runtime, on the CPU; see `Runner`."""

    def __init__(self, path: StrPath):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
        properties = self.session.get_modelmeta().custom_metadata_map
        if KEY not in properties:
            raise ValueError(f"{path}: not an export of keras-nasnet, it has no metadata {KEY!r}")
        self.metadata: dict[str, Any] = parse_json(properties[KEY], f"{path}: metadata")
        batch = self.session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) else None

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self.session.run([OUTPUT], {INPUT: part})[0] for part in in_batches(self.batch, images)])


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
    graph.output[0].name = new


def _quantise(path: Path, signature: Signature) -> None:
    """Quantise to full int8 by ONNX Runtime's own tool: weights by channel, ranges of activations from real images."""
    from onnxruntime import quantization

    assert signature.calibration is not None

    class Reader(quantization.CalibrationDataReader):
        def __init__(self, images: Any):
            self.images = iter(images)

        def get_next(self) -> Any:
            image = next(self.images, None)
            return None if image is None else {INPUT: image}

    logging.getLogger().addFilter(_is_no_hint)
    with replacing(path) as quantised:
        try:
            quantization.quantize_static(
                path,
                quantised,
                Reader(signature.calibration),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
            )
        finally:
            logging.getLogger().removeFilter(_is_no_hint)


def _is_no_hint(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()


FORMAT = OnnxFormat()
