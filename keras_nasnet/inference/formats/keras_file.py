"""Keras files: the folded network as `keras.saving.load_model` takes it where this package is installed."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.common.files import StrPath
from keras_nasnet.inference.formats.format import Format, Signature


class KerasFileFormat(Format):
    """See the module."""

    name, suffix = "keras", ".keras"
    reads = ("keras",)
    converts = False

    def write(self, model: Any, path: Path, signature: Signature) -> None:
        model.save(path)

    def read(self, path: StrPath) -> "KerasFileRunner":
        return KerasFileRunner(path)


class KerasFileRunner:
    """See `Runner`."""

    def __init__(self, path: StrPath):
        import keras

        from keras_nasnet.inference.formats.classifier import metadata, with_probabilities

        model = keras.saving.load_model(path)
        self.metadata: dict[str, Any] = metadata(model)
        self._model = with_probabilities(model, (None, *model.input_shape[1:]))

    def run(self, images: np.ndarray) -> np.ndarray:
        import keras

        return keras.ops.convert_to_numpy(self._model(images, training=False))


FORMAT = KerasFileFormat()
