"""Keras files: the folded network as `keras.saving.load_model` takes it where this package is installed."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.inference.formats import Signature


def write(model: Any, path: Path, signature: Signature) -> None:
    """Writes the model."""
    model.save(path)


def read(path: str | os.PathLike[str]) -> "Loaded":
    """Loads a model."""
    return Loaded(path)


class Loaded:
    """See `Runner`."""

    def __init__(self, path: str | os.PathLike[str]):
        import keras

        from keras_nasnet.inference.classifier import metadata, with_probabilities

        model = keras.saving.load_model(path)
        self.metadata: dict[str, Any] = metadata(model)
        self.model = with_probabilities(model, (None, *model.input_shape[1:]))

    def run(self, images: np.ndarray) -> np.ndarray:
        import keras

        return keras.ops.convert_to_numpy(self.model(images, training=False))
