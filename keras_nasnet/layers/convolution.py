"""The parts that operations and cells are made of: convolutions that end in batch normalization.

All of them take tensors that have been rectified already: the paper's order is ReLU,
convolution, BN, and a cell rectifies each hidden state once for all who read it.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_nasnet.accelerate.cpu_convolution import Conv2D
from keras_nasnet.accelerate.quick_layer import QuickLayer
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.layers.folder import Folder
from keras_nasnet.layers.inner_layers import InnerLayers

Shape = tuple[int | None, ...]

# TF-slim's arg_scopes: variance_scaling_initializer(mode="FAN_OUT"), whose factor is 2.
KERNEL_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}


def kernel_initializer() -> keras.initializers.Initializer:
    """Return a new initializer of the released code for a kernel."""
    return keras.initializers.deserialize(KERNEL_INITIALIZER)


RECTIFIED = 0.5  # part of a mean square that a ReLU leaves


def initial_variance(square: float, channels: int | None, filters: float, separable: bool = False) -> float:
    """Return the mean square of a convolution's outputs with initial weights: where a moving variance starts.

    The released code starts at 1, whatever a convolution makes of its inputs: a network without training multiplies
    its activations by a factor in each cell. Training takes the variances of its batches, and never reads the start.
    Of the taps of a convolution's windows all are counted: multiply by `taps_inside` where some read padding.

    Args:
        square: mean square of the inputs.
        channels: of the inputs.
        filters: of the outputs.
        separable: whether a depthwise convolution comes before the one of 1x1.
    """
    # `KERNEL_INITIALIZER`: each weight has the variance 2 / (window * filters), and window * channels are summed up.
    return square * (2.0 if separable else 1.0) * 2.0 * (channels or filters) / filters


def taps_inside(convolution: keras.layers.Layer, input_shape: Shape) -> float:
    """Return the part of a convolution's taps that read the image and not its padding; of a size not known, all."""
    lengths = input_shape[1:3] if convolution.data_format == "channels_last" else input_shape[2:4]
    axes = zip(lengths, convolution.kernel_size, convolution.strides, convolution.dilation_rate, strict=True)
    return math.prod(_taps_inside(*axis) for axis in axes)


def _taps_inside(length: int | None, size: int, stride: int, dilation: int) -> float:
    if length is None:
        return 1.0
    outputs = -(-length // stride)
    padding = max((outputs - 1) * stride + (size - 1) * dilation + 1 - length, 0)
    taps = np.add.outer(np.arange(outputs) * stride, np.arange(size) * dilation) - padding // 2
    return float(np.mean((taps >= 0) & (taps < length)))


def channel_axis(data_format: str) -> int:
    """Return the axis of the channels in a 4D tensor: -1 or 1."""
    return -1 if data_format == "channels_last" else 1


def kernel_size(layer: keras.layers.Layer) -> int:
    """Return the number of weights in a layer's kernels: all its weights of more than one dimension."""
    return sum(math.prod(weight.shape) for weight in layer.weights if len(weight.shape) > 1)


def positions(shape: Sequence[int | None], data_format: str) -> int:
    """Return the number of pixels of 4D tensors of a shape.

    Raises:
        ValueError: if height or width is not known.
    """
    height, width = shape[1:3] if data_format == "channels_last" else shape[2:4]
    if height is None or width is None:
        raise ValueError(f"the shape is {tuple(shape)}: multiply-adds need a fixed size")
    return height * width


def subsample(inputs: Any, offset: int, data_format: str) -> Any:
    """Return every second row and column from `offset` (0 or 1); from 1, a zero stands in past an odd border."""
    if keras.backend.backend() == "tensorflow" and data_format == "channels_last" and None not in inputs.shape[1:]:
        return _quarter(inputs, offset)
    if offset:
        padding = [(0, 0), (0, offset), (0, offset), (0, 0)]
        if data_format == "channels_first":
            padding = [(0, 0), (0, 0), (0, offset), (0, offset)]
        inputs = ops.pad(inputs, padding)
    if data_format == "channels_first":
        return inputs[:, :, offset::2, offset::2]
    return inputs[:, offset::2, offset::2, :]


def _quarter(inputs: Any, offset: int) -> Any:
    """`subsample` as one dense slice of every 2x2 pixels: TensorFlow's strided slice on CPUs is slow."""
    height, width, channels = inputs.shape[1:]
    if height % 2 or width % 2:
        inputs = ops.pad(inputs, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)])
    height, width = (height + 1) // 2, (width + 1) // 2
    squares = ops.reshape(inputs, (-1, 2, width, 2 * channels))
    quarter = ops.slice(squares, [0, offset, 0, offset * channels], [-1, 1, width, channels])
    return ops.reshape(quarter, (-1, height, width, channels))


class ConvolutionalLayer(InnerLayers, QuickLayer, keras.layers.Layer):
    """Base of the layers whose convolutions are followed by batch normalization.

    Args:
        filters: channels of the output.
        stride: 1 or 2.
        batch_norm_momentum: momentum of the moving statistics.
        batch_norm_epsilon: added to the variance.
        data_format: "channels_last" or "channels_first"; default as Keras is configured.

    Attributes:
        input_square: mean square of the values that it reads, as it is expected with initial weights; for an
            operation, of the hidden state before its ReLU. Set before the layer is built: the variances that
            batch normalization starts with follow from it (`initial_variance`).
    """

    input_square = 1.0

    def __init__(
        self,
        filters: int,
        stride: int = 1,
        batch_norm_momentum: float = 0.9997,
        batch_norm_epsilon: float = 1e-3,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if stride not in (1, 2):
            raise ValueError(f"stride is {stride!r}: it must be 1 or 2")
        if isinstance(filters, bool) or not isinstance(filters, int) or filters < 1:
            raise ValueError(f"filters is {filters!r}: it must be a whole number from 1 up")
        self.filters = filters
        self.stride = stride
        self.batch_norm_momentum = batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        self.channel_axis = channel_axis(self.data_format)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self.common_config()

    def common_config(self) -> dict[str, Any]:
        """Return the arguments that a layer hands on to the layers it is made of."""
        return {
            "filters": self.filters,
            "stride": self.stride,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "data_format": self.data_format,
        }

    def make_batch_norm(self, name: str, variance: float = 1.0) -> BatchNormalization:
        """Return a new layer; `variance` is where its moving variance starts."""
        return BatchNormalization(
            axis=self.channel_axis,
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            moving_variance_initializer=keras.initializers.Constant(variance),
            dtype=self.dtype_policy,
            name=name,
        )

    def make_convolution(self, name: str, filters: int, **kwargs: Any) -> keras.layers.Layer:
        return Conv2D(
            filters,
            padding="same",
            use_bias=False,
            kernel_initializer=kernel_initializer(),
            data_format=self.data_format,
            dtype=self.dtype_policy,
            name=name,
            **kwargs,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        def shrink(length: int | None) -> int | None:
            return None if length is None else -(-length // self.stride)

        if self.data_format == "channels_first":
            return (input_shape[0], self.filters, shrink(input_shape[2]), shrink(input_shape[3]))
        return (input_shape[0], shrink(input_shape[1]), shrink(input_shape[2]), self.filters)

    def kernels_at_output(self, input_shape: Shape) -> int:
        """Return the multiply-adds for one example where each kernel computes every pixel of the output."""
        return positions(self.compute_output_shape(input_shape), self.data_format) * kernel_size(self)


@keras.saving.register_keras_serializable("keras_nasnet")
class Projection(ConvolutionalLayer):
    """A 1x1 convolution and BN: fits a tensor's channels to a cell's filters.

    Takes and returns (batch, height, width, channels), height and width divided by the
    stride, rounded up; reads a rectified tensor.

    Args: those of `Cell` with the same names; `stride` is 1 by default.

    Example:
        >>> keras.ops.shape(Projection(filters=4)(np.ones((1, 8, 8, 3))))
        (1, 8, 8, 4)
    """

    def build(self, input_shape: Shape) -> None:
        self.convolution = self.make_convolution("convolution", self.filters, kernel_size=1, strides=self.stride)
        variance = initial_variance(self.input_square, input_shape[self.channel_axis], self.filters)
        self.batch_norm = self.make_batch_norm("batch_norm", variance)
        self.convolution.build(input_shape)
        self.batch_norm.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.batch_norm(self.convolution(inputs))

    def fold(self, folder: Folder, inputs: Any) -> Any:
        return folder.batch_norm(self.batch_norm, folder.convolution(self.convolution, inputs))

    def mult_adds(self, input_shape: Shape) -> int:
        return self.kernels_at_output(input_shape)


@keras.saving.register_keras_serializable("keras_nasnet")
class FactorizedReduction(ConvolutionalLayer):
    """Halves the resolution without dropping pixels: two half-width 1x1 paths and one BN.

    The second path sees the image shifted by one pixel to the lower right. An odd filter
    goes to the second path (TF-slim, nasnet_utils.factorized_reduction). Reads a
    rectified tensor.

    Args: those of `Cell` with the same names; `stride` is 2.

    Example:
        >>> keras.ops.shape(FactorizedReduction(filters=4)(np.ones((1, 7, 8, 3))))
        (1, 4, 4, 4)
    """

    def __init__(self, filters: int, stride: int = 2, **kwargs: Any):
        super().__init__(filters, stride, **kwargs)
        if stride != 2:
            raise ValueError(f"stride is {stride!r}: a factorized reduction has stride 2")
        if filters < 2:
            raise ValueError(f"filters is {filters}: a factorized reduction needs at least 2, one a path")

    def build(self, input_shape: Shape) -> None:
        first = self.filters // 2
        self.path_1 = self.make_convolution("path_1", first, kernel_size=1)
        self.path_2 = self.make_convolution("path_2", self.filters - first, kernel_size=1)
        variance = initial_variance(self.input_square, input_shape[self.channel_axis], self.filters / 2)
        self.batch_norm = self.make_batch_norm("batch_norm", variance)
        self.path_1.build(input_shape)
        self.path_2.build(input_shape)
        self.batch_norm.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, inputs: Any) -> Any:
        paths = [
            self.path_1(subsample(inputs, 0, self.data_format)),
            self.path_2(subsample(inputs, 1, self.data_format)),
        ]
        return self.batch_norm(ops.concatenate(paths, axis=self.channel_axis))

    def fold(self, folder: Folder, inputs: Any) -> Any:
        paths = [
            folder.convolution(self.path_1, inputs, strides=2),
            folder.convolution(self.path_2, folder.subsample_odd(inputs)),
        ]
        return folder.batch_norm(self.batch_norm, folder.concatenate(paths))

    def mult_adds(self, input_shape: Shape) -> int:
        return self.kernels_at_output(input_shape)
