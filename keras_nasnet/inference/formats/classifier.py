"""Classifiers as exports take them: float32, channels last, one output of probabilities."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.inference.folding import FoldedNASNet, check_is_whole, fold
from keras_nasnet.inference.formats.format import INPUT, OUTPUT
from keras_nasnet.models.classifier import NASNet

PREDICTIONS = "predictions"  # name of the layer that classifies


def check(model: Any) -> None:
    """Raise TypeError for another model than a NASNet, ValueError for one without a classifier or preprocessing."""
    if not isinstance(model, NASNet | FoldedNASNet):
        raise TypeError(
            f"model is a {type(model).__name__}: only a NASNet, folded or not, can be exported; of a model around one "
            "keras_nasnet.load makes one"
        )
    check_is_whole(model)
    if PREDICTIONS not in [layer.name for layer in model.layers]:
        raise ValueError(f"{model.name} has no classifier: it gives features only")
    if model.preprocessing is None:
        raise ValueError(f"{model.name} has no preprocessing: give it one, so that the export knows its images")


def metadata(model: Any) -> dict[str, Any]:
    """Return what an export carries about its network, as JSON can hold it."""
    return {
        "name": model.name,
        "preprocessing": model.preprocessing.to_dict(),
        "class_names": None if model.class_names is None else list(model.class_names),
        "int8": None,
    }


def rebuilt(model: Any, height: int | None, width: int | None) -> Any:
    """Return an equal network that takes images of a size, in float32, channels last, without an auxiliary head.

    Raises:
        ValueError: for a folded network of another size: what is folded stays as it is.
    """
    if isinstance(model, FoldedNASNet):
        if model.input_shape[1:] != (height, width, 3):
            raise ValueError(f"{model.name} is folded and keeps its size: export the network that it was folded from")
        return model
    config = model.get_config()
    wanted = config | {
        "input_shape": [height, width, 3],
        "data_format": "channels_last",
        "dtype": "float32",
        "auxiliary_head": False,
    }
    if keras.dtype_policies.get(config["dtype"]).name == "float32":
        wanted["dtype"] = config["dtype"]
    if wanted == config:
        return model
    other = NASNet.from_config(wanted)
    values = {variable.path: variable for variable in model.weights}
    for variable in other.weights:
        variable.assign(values[variable.path])
    return other


def folded(model: Any) -> FoldedNASNet:
    """Return the network folded; a folded one as it is."""
    return model if isinstance(model, FoldedNASNet) else fold(model)


def with_probabilities(model: Any, shape: Sequence[int | None]) -> keras.Model:
    """Return a model of one input and one output around a network, whose layers it shares.

    Args:
        model: a classifier that `rebuilt` returned.
        shape: of its images (batch, height, width, 3).

    Returns:
        A model that takes float32 images of this shape, channels last, and returns probabilities (batch, classes).
    """
    images = keras.Input(batch_shape=tuple(shape), dtype="float32", name=INPUT)
    head = model.get_layer(PREDICTIONS)
    activation = "softmax" if head.activation is keras.activations.linear else "linear"
    outputs = keras.layers.Activation(activation, dtype="float32", name=OUTPUT)(model(images))
    return keras.Model(images, outputs)
