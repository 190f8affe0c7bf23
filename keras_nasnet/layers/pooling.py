"""SAME pooling, as each of the public code bases understands it."""

from typing import Any

import keras
import numpy as np
from keras import ops

# What a strided pool does at the border. "same": padding never counts (TF-slim, where the
# public weights were trained). "keras": zeros are pooled like pixels (keras.applications).
# "timm": zeros count in averages, not in maxima.
POOL_PADDINGS = ("same", "keras", "timm")


def pool(inputs: Any, kind: str, size: int, stride: int, pool_padding: str, data_format: str) -> Any:
    """Pool a 4D tensor with SAME padding.

    Args:
        inputs: float tensor, (batch, height, width, channels) or channels first.
        kind: "max" or "average".
        size: side of the window in pixels.
        stride: 1 or 2.
        pool_padding: one of `POOL_PADDINGS`; they differ where the stride is 2.
        data_format: "channels_last" or "channels_first".

    Returns:
        A tensor of the same rank and dtype, height and width divided by the stride, rounded up.
    """
    zeros_count = stride > 1 and pool_padding != "same"
    if kind == "average":
        pooled = _average_pool(inputs, size, stride, data_format)
        return pooled * _window_fraction(inputs, size, stride, data_format) if zeros_count else pooled
    pooled = ops.max_pool(inputs, size, stride, padding="same", data_format=data_format)
    if zeros_count and pool_padding == "keras":
        touches_border = _window_fraction(inputs, size, stride, data_format) < 1
        pooled = ops.where(touches_border, ops.relu(pooled), pooled)  # max(., 0)
    return pooled


def _average_pool(inputs: Any, size: int, stride: int, data_format: str) -> Any:
    if keras.backend.backend() != "torch":
        return ops.average_pool(inputs, size, stride, padding="same", data_format=data_format)
    # Keras on PyTorch repeats the border where the padding is not symmetric.
    axes = spatial_axes(data_format)
    padding = [(0, 0)] * 4
    for axis in axes:
        length = inputs.shape[axis]
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        padding[axis] = (total // 2, total - total // 2)
    pooled = ops.average_pool(ops.pad(inputs, padding), size, stride, padding="valid", data_format=data_format)
    return pooled / _window_fraction(inputs, size, stride, data_format)


def _window_fraction(inputs: Any, size: int, stride: int, data_format: str) -> Any:
    """The part of each SAME window that lies inside the image, broadcastable to the output."""
    fraction: Any = 1.0
    for axis in spatial_axes(data_format):
        length = ops.shape(inputs)[axis]
        if isinstance(length, int):
            line = _line_inside(np, length, size, stride)
        else:  # known only when the graph runs
            line = _line_inside(ops, length, size, stride)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        # Divided as floats: TensorFlow divides integers in float64, which LiteRT does not know.
        fraction = fraction * (ops.reshape(ops.cast(line, inputs.dtype), shape) / size)
    return fraction


def _line_inside(xp: Any, length: Any, size: int, stride: int) -> Any:
    outputs = (length + stride - 1) // stride
    before = xp.maximum((outputs - 1) * stride + size - length, 0) // 2
    start = xp.arange(outputs) * stride - before
    return xp.minimum(start + size, length) - xp.maximum(start, 0)


def spatial_axes(data_format: str) -> tuple[int, int]:
    """Return the axes of height and width in a 4D tensor."""
    return (1, 2) if data_format == "channels_last" else (2, 3)
