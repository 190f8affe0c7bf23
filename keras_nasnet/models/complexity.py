"""Multiply-adds of a network, counted as the paper counts them."""

import math
from typing import Any

import keras

from keras_nasnet.layers.convolution import kernel_size, positions


def mult_adds(model: keras.Model) -> int:
    """Return the multiply-adds of convolutions and dense layers for one image.

    Args:
        model: a `NASNet` or `NASNetBackbone` with a fixed input size.

    Raises:
        ValueError: if the input size is not fixed.

    Example:
        >>> mult_adds(keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=10))
        4768704
    """
    if None in model.inputs[0].shape[1:]:
        raise ValueError(f"the input is {model.inputs[0].shape}: multiply-adds need a fixed size")
    return sum(_layer_mult_adds(layer) for layer in model.layers)


def _layer_mult_adds(layer: Any) -> int:
    if hasattr(layer, "mult_adds"):
        inputs = layer.input
        found: int = layer.mult_adds([i.shape for i in inputs] if isinstance(inputs, list | tuple) else inputs.shape)
        return found
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape)
    shape = layer.output.shape
    return kernel_size(layer) * (
        positions(shape, getattr(layer, "data_format", "channels_last")) if len(shape) == 4 else 1
    )
