"""A classifier as exports take it: float32, images of channels last, one output of probabilities."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.inference.folding import FoldedNASNet, fold
from keras_nasnet.inference.formats import INPUT, OUTPUT
from keras_nasnet.model import NASNet

PREDICTIONS = "predictions"  # the layer of every classifier of ours


def check(model: Any) -> None:
    """Raises TypeError for what is no network of ours, ValueError for one without a classifier."""
    if not isinstance(model, NASNet | FoldedNASNet):
        raise TypeError(f"model is a {type(model).__name__}: only a NASNet, folded or not, can be exported")
    if PREDICTIONS not in [layer.name for layer in model.layers]:
        raise ValueError(f"{model.name} has no classifier: it gives features only")
    if model.preprocessing is None:
        raise ValueError(f"{model.name} has no preprocessing: give it one, so that the export knows its images")


def metadata(model: Any) -> dict[str, Any]:
    """What an export says about its network, as JSON can hold it."""
    return {
        "name": model.name,
        "preprocessing": model.preprocessing.to_dict(),
        "class_names": None if model.class_names is None else list(model.class_names),
        "int8": None,
    }


def in_float32(model: Any) -> Any:
    """Returns the network, or if it computes in another precision an equal one in float32."""
    if isinstance(model, FoldedNASNet) or model.compute_dtype == "float32":
        return model
    exact = NASNet.from_config(model.get_config() | {"dtype": "float32"})
    exact.set_weights(model.get_weights())
    return exact


def folded(model: Any) -> FoldedNASNet:
    """Returns the network folded; a folded one as it is."""
    return model if isinstance(model, FoldedNASNet) else fold(model)


def with_probabilities(model: Any, shape: Sequence[int | None]) -> keras.Model:
    """Returns a model of one input and one output around a network, whose layers it shares.

    Args:
        model: a classifier.
        shape: of its images (batch, height, width, 3).

    Returns:
        A model that takes float32 images of this shape, channels last, and returns probabilities (batch, classes).
    """
    images = keras.Input(batch_shape=tuple(shape), dtype="float32", name=INPUT)
    channels_first = model.input_shape[1] == 3 and model.input_shape[3] != 3
    head = model.get_layer(PREDICTIONS)
    predictions = model.output[PREDICTIONS] if isinstance(model.output, dict) else model.outputs[0]
    network = keras.Model(model.inputs[0], predictions)  # without an auxiliary head
    outputs = network(keras.layers.Permute((3, 1, 2))(images) if channels_first else images)
    activation = "softmax" if head.activation is keras.activations.linear else "linear"
    return keras.Model(images, keras.layers.Activation(activation, dtype="float32", name=OUTPUT)(outputs))
