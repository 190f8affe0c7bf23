"""Each operation of the search space as a Keras layer, by name, and how blocks combine two.

An operation whose `reads_rectified` is true expects a tensor that has been through a ReLU
already; `Cell` rectifies each hidden state once for all operations that read it.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from keras_nasnet.accelerate.cpu_convolution import SeparableConv2D
from keras_nasnet.genotype import COMBINES, MORE_OPERATIONS, OPERATIONS
from keras_nasnet.layers.convolution import ConvolutionalLayer, Projection, kernel_initializer, subsample
from keras_nasnet.layers.pooling import POOL_PADDINGS, pool
from keras_nasnet.layers.relu import rectify


class _Step(NamedTuple):
    """One convolution of an operation: ReLU, this, BN."""

    kernel_size: tuple[int, int]
    separable: bool = False
    dilation: int = 1
    strided: bool = True


def _separable_twice(size: int) -> list[_Step]:
    return [_Step((size, size), separable=True), _Step((size, size), separable=True, strided=False)]


def _factorized(size: int) -> list[_Step]:
    return [_Step((1, size)), _Step((size, 1), strided=False)]


_CONVOLUTIONS = {
    "conv_1x1": [_Step((1, 1))],
    "conv_3x3": [_Step((3, 3))],
    "conv_1x3_3x1": _factorized(3),
    "conv_1x7_7x1": _factorized(7),
    "dil_conv_3x3": [_Step((3, 3), dilation=2)],
    "sep_conv_3x3": _separable_twice(3),
    "sep_conv_5x5": _separable_twice(5),
    "sep_conv_7x7": _separable_twice(7),
    "dil_sep_conv_3x3": [_Step((3, 3), separable=True, dilation=2)],  # DARTS applies these once
    "dil_sep_conv_5x5": [_Step((5, 5), separable=True, dilation=2)],
}
_POOLS = {
    "avg_pool_3x3": ("average", 3),
    "max_pool_3x3": ("max", 3),
    "max_pool_5x5": ("max", 5),
    "max_pool_7x7": ("max", 7),
}


class Operation(ConvolutionalLayer):
    """Base of the operations: `operation` is the name in a genotype.

    Takes (batch, height, width, channels) and returns (batch, ceil(height / stride),
    ceil(width / stride), filters).
    """

    reads_rectified = True

    def __init__(self, operation: str, filters: int, stride: int = 1, **kwargs: Any):
        super().__init__(filters, stride, **kwargs)
        self.operation = operation

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"operation": self.operation}

    def needs_projection(self, input_shape: tuple[int | None, ...]) -> bool:
        return input_shape[self.channel_axis] != self.filters


@keras.saving.register_keras_serializable("keras_nasnet")
class Identity(Operation):
    """The hidden state itself; ReLU, 1x1 convolution and BN where stride or channels change."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.projection = None
        if self.stride > 1 or self.needs_projection(input_shape):
            self.projection = Projection(**self.common_config(), dtype=self.dtype_policy, name="projection")
            self.projection.build(input_shape)
        self.reads_rectified = self.projection is not None
        self.built = True

    def call(self, inputs: Any) -> Any:
        return inputs if self.projection is None else self.projection(inputs)


@keras.saving.register_keras_serializable("keras_nasnet")
class Pool(Operation):
    """Maximum or average over a window; a 1x1 convolution and BN behind where channels change."""

    reads_rectified = False

    def __init__(self, operation: str, filters: int, stride: int = 1, pool_padding: str = "same", **kwargs: Any):
        super().__init__(operation, filters, stride, **kwargs)
        if pool_padding not in POOL_PADDINGS:
            raise ValueError(f"pool_padding is {pool_padding!r}: choose from {', '.join(POOL_PADDINGS)}")
        self.pool_padding = pool_padding
        self.kind, self.pool_size = _POOLS[operation]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_padding": self.pool_padding}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.projection = None
        if self.needs_projection(input_shape):
            config = self.common_config() | {"stride": 1}
            self.projection = Projection(**config, dtype=self.dtype_policy, name="projection")
            self.projection.build(input_shape)
        self.built = True

    def call(self, inputs: Any) -> Any:
        pooled = pool(inputs, self.kind, self.pool_size, self.stride, self.pool_padding, self.data_format)
        return pooled if self.projection is None else self.projection(pooled)


@keras.saving.register_keras_serializable("keras_nasnet")
class Convolution(Operation):
    """One or two convolutions, each ReLU, convolution, BN. Separable ones come twice if not dilated."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.steps = _CONVOLUTIONS[self.operation]
        self.convolutions = []
        self.batch_norms = []
        shape = input_shape
        for number, step in enumerate(self.steps, start=1):
            convolution = self._make_step(f"convolution_{number}", step)
            batch_norm = self.make_batch_norm(f"batch_norm_{number}")
            convolution.build(shape)
            shape = (None, *[self.filters if axis % 4 == self.channel_axis % 4 else None for axis in (1, 2, 3)])
            batch_norm.build(shape)
            self.convolutions.append(convolution)
            self.batch_norms.append(batch_norm)
        self.built = True

    def _make_step(self, name: str, step: _Step) -> keras.layers.Layer:
        strides, dilation = self.stride if step.strided else 1, step.dilation
        if strides == 2 and dilation == 2:  # a plain convolution of the pixels that it reads
            strides, dilation = 1, 1
        if step.separable:
            return SeparableConv2D(
                self.filters,
                step.kernel_size,
                strides=strides,
                dilation_rate=dilation,
                padding="same",
                use_bias=False,
                depthwise_initializer=kernel_initializer(),
                pointwise_initializer=kernel_initializer(),
                data_format=self.data_format,
                dtype=self.dtype_policy,
                name=name,
            )
        return self.make_convolution(
            name, self.filters, kernel_size=step.kernel_size, strides=strides, dilation_rate=dilation
        )

    def call(self, inputs: Any) -> Any:
        outputs = inputs
        for number, step in enumerate(self.steps):
            if number:
                outputs = rectify(outputs)
            if step.dilation == 2 and self.stride == 2:
                outputs = subsample(outputs, 0, self.data_format)
            outputs = self.batch_norms[number](self.convolutions[number](outputs))
        return outputs


@keras.saving.register_keras_serializable("keras_nasnet")
class Zero(Operation):
    """Nothing: zeros, whatever it reads (DARTS' "none")."""

    reads_rectified = False

    def call(self, inputs: Any) -> Any:
        shape = self.compute_output_shape(tuple(ops.shape(inputs)))
        return ops.zeros(shape, dtype=inputs.dtype)


def make_operation(
    operation: str, filters: int, stride: int = 1, pool_padding: str = "same", **kwargs: Any
) -> Operation:
    """Returns a new layer for an operation of the search space.

    Args:
        operation: one of `genotype.OPERATIONS` and `genotype.MORE_OPERATIONS`, for example "sep_conv_5x5".
        filters: channels of the output.
        stride: 1 or 2.
        pool_padding: "same", "keras" or "timm", see `pooling.POOL_PADDINGS`.
        **kwargs: `batch_norm_momentum`, `batch_norm_epsilon`, `data_format`, `dtype`, `name`.

    Raises:
        ValueError: if there is no such operation.
    """
    if operation == "identity":
        return Identity(operation, filters, stride, **kwargs)
    if operation in _POOLS:
        return Pool(operation, filters, stride, pool_padding=pool_padding, **kwargs)
    if operation in _CONVOLUTIONS:
        return Convolution(operation, filters, stride, **kwargs)
    if operation == "zero":
        return Zero(operation, filters, stride, **kwargs)
    raise ValueError(f"unknown operation {operation!r}: choose from {', '.join(OPERATIONS + MORE_OPERATIONS)}")


@keras.saving.register_keras_serializable("keras_nasnet")
class NormalizedAdd(keras.layers.Layer):
    """Sum of two tensors, normalised within each example.

    Args:
        over: "layer" normalises over height, width and channels, "instance" over height and
            width; both with a scale and an offset for each channel (slim.layer_norm and
            slim.instance_norm).
        epsilon: added to the variance.
        axis: axis of the channels.
    """

    def __init__(self, over: str, epsilon: float = 1e-3, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        if over not in ("layer", "instance"):
            raise ValueError(f"over is {over!r}: choose from layer, instance")
        self.over = over
        self.normalization = keras.layers.GroupNormalization(
            groups=1 if over == "layer" else -1,
            axis=axis,
            epsilon=epsilon,
            dtype=self.dtype_policy,
            name="normalization",
        )

    def get_config(self) -> dict[str, Any]:
        own = {"over": self.over, "epsilon": self.normalization.epsilon, "axis": self.normalization.axis}
        return super().get_config() | own

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        self.normalization.build(input_shape[0])
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self.normalization(inputs[0] + inputs[1])

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return input_shape[0]


def make_combine(combine: str, axis: int = -1, epsilon: float = 1e-3, **kwargs: Any) -> keras.layers.Layer:
    """Returns a new layer that joins the two branches of a block (one of `genotype.COMBINES`)."""
    if combine == "add":
        return keras.layers.Add(**kwargs)
    if combine == "concat":
        return keras.layers.Concatenate(axis=axis, **kwargs)
    if combine in ("layer_norm_add", "instance_norm_add"):
        return NormalizedAdd(combine.split("_")[0], epsilon=epsilon, axis=axis, **kwargs)
    raise ValueError(f"unknown combine {combine!r}: choose from {', '.join(COMBINES)}")
