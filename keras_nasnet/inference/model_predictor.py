"""Predictors of models in memory."""

import hashlib
import json

import keras
import numpy as np

from keras_nasnet.inference.predictor import Predictor, open_predictor
from keras_nasnet.models.classifier import NASNet


def predictor(model: NASNet, engine: str | None, precision: str) -> Predictor:
    """Returns the predictor of a model with its weights as they are now, see `NASNet.predictor`."""
    return open_predictor(model.name, identity(model), lambda: model, engine, precision)


def identity(model: NASNet) -> str:
    """Returns a checksum of a model's configuration and weights."""
    digest = hashlib.sha256(json.dumps(model.get_config(), sort_keys=True, default=str).encode())
    for variable in model.weights:
        value = variable.value
        if hasattr(value, "read_value"):  # of TensorFlow: half the time that NumPy takes to ask for it
            value = value.read_value()
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(value)).tobytes())
    return digest.hexdigest()
