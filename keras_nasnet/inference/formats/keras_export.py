"""Keras' own `model.export`, which several formats start from."""

from pathlib import Path
from typing import Any

import keras

from keras_nasnet.inference.formats.format import INPUT, Signature


def keras_export(model: keras.Model, path: Path, form: str, signature: Signature, **options: Any) -> None:
    """Write a model in a format of Keras, with the shapes of a signature."""
    spec = keras.InputSpec(shape=signature.shape, dtype="float32", name=INPUT)
    model.export(str(path), format=form, verbose=False, input_signature=[spec], **options)
