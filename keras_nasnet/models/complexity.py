"""Multiply-adds of a network, counted as the paper counts them."""

import math
from collections.abc import Iterable

import keras

from keras_nasnet.layers.cell import Cell


def mult_adds(model: keras.Model) -> int:
    """Returns the multiply-adds of convolutions and dense layers for one image.

    Args:
        model: a `NASNet` or `NASNetBackbone` with a fixed input size.

    Raises:
        ValueError: if the input size is not fixed.
    """
    if None in model.inputs[0].shape[1:]:
        raise ValueError(f"the input is {model.inputs[0].shape}: multiply-adds need a fixed size")
    total = 0
    for layer in model.layers:
        if isinstance(layer, Cell):
            inputs = layer.input[0] if isinstance(layer.input, list | tuple) else layer.input
            height, width = _spatial(inputs.shape, layer.data_format)
            total += _cell_mult_adds(layer, height, width)
        elif isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape)
        else:
            positions = 1
            if len(layer.output.shape) == 4:
                positions = math.prod(_spatial(layer.output.shape, getattr(layer, "data_format", "channels_last")))
            total += positions * _kernel_size([layer])
    return total


def _spatial(shape: tuple[int, ...], data_format: str) -> tuple[int, int]:
    return (shape[1], shape[2]) if data_format == "channels_last" else (shape[2], shape[3])


def _kernel_size(layers: Iterable[keras.layers.Layer]) -> int:
    """Number of weights in the kernels, which are all the weights of more than one dimension."""
    return sum(math.prod(w.shape) for layer in layers for w in layer.weights if len(w.shape) > 1)


def _cell_mult_adds(cell: Cell, height: int, width: int) -> int:
    before = height * width
    behind = -(-height // cell.stride) * -(-width // cell.stride)
    total = before * _kernel_size(fit for fit in cell.fits if fit is not None)
    total += behind * _kernel_size(cell.output_fits.values())
    # Every convolution of an operation has the resolution of the cell's outputs.
    return total + behind * _kernel_size(operation for pair in cell.branches for operation in pair)
