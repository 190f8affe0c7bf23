"""LiteRT (TensorFlow Lite) files: by Keras' own export, which is `tf.lite.TFLiteConverter`.

Their metadata are a zip behind the flatbuffer, the convention of TFLite Metadata: `unzip model.tflite` shows
metadata.json, and labels.txt with a class a line.
"""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.accelerate.quiet import quiet
from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.escape import printable
from keras_nasnet.common.files import StrPath
from keras_nasnet.inference.formats.format import Format, Signature, in_batches

METADATA = "metadata.json"
LABELS = "labels.txt"


class LiteRTFormat(Format):
    """See the module."""

    name, suffix = "litert", ".tflite"
    reads = ("ai_edge_litert",)
    int8 = ("weights", "full")

    def write(self, model: Any, path: Path, signature: Signature) -> None:
        import tensorflow as tf

        from keras_nasnet.inference.formats.keras_export import keras_export

        # LiteRT's own operations: a file that needs TensorFlow's runs nowhere but in TensorFlow.
        options: dict[str, Any] = {"target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}}
        if signature.int8:
            options["optimizations"] = [tf.lite.Optimize.DEFAULT]
        if signature.int8 == "full":
            images = signature.calibration
            assert images is not None
            options["representative_dataset"] = lambda: ([image] for image in images)
        keras_export(model, path, "litert", signature, **options)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(zipfile.ZipInfo(METADATA), json.dumps(signature.metadata))
            if signature.metadata["class_names"]:
                labels = "".join(f"{printable(name)}\n" for name in signature.metadata["class_names"])
                file.writestr(zipfile.ZipInfo(LABELS), labels)

    def read(self, path: StrPath) -> "LiteRTRunner":
        return LiteRTRunner(path)


class LiteRTRunner:
    """A file in LiteRT, on all cores of the CPU; see `Runner`."""

    def __init__(self, path: StrPath):
        from ai_edge_litert.interpreter import Interpreter

        try:
            with zipfile.ZipFile(path) as file:
                size = file.getinfo(METADATA).file_size
                if size > limits.METADATA_BYTES:
                    raise ValueError(f"{path}: {METADATA} of {size:,} bytes, more than {limits.METADATA_BYTES:,}")
                self.metadata: dict[str, Any] = parse_json(file.read(METADATA), f"{path}: {METADATA}")
        except (zipfile.BadZipFile, KeyError):
            raise ValueError(f"{path}: not an export of keras-nasnet, it has no {METADATA}") from None
        self.interpreter = Interpreter(os.fspath(path), num_threads=os.cpu_count())
        [self.input] = self.interpreter.get_input_details()
        [self.output] = self.interpreter.get_output_details()
        batch = int(self.input["shape_signature"][0])
        self.batch = None if batch < 0 else batch
        self._prepared: tuple[int, ...] | None = None  # the shape for which there is memory

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._run(part) for part in in_batches(self.batch, images)])

    def _run(self, images: np.ndarray) -> np.ndarray:
        if self._prepared != images.shape:
            self.interpreter.resize_tensor_input(self.input["index"], images.shape)
            with quiet():  # the library prints which delegates it has made
                self.interpreter.allocate_tensors()
            self._prepared = images.shape
        self.interpreter.set_tensor(self.input["index"], images)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])


FORMAT = LiteRTFormat()
