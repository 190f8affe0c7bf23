"""The operations of genotypes as Keras layers, and the combinations of a block's two branches.

An operation whose `reads_rectified` is true expects a tensor that has been through a ReLU
already; `Cell` rectifies each hidden state once for all operations that read it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, NoReturn

import keras
from keras import ops

from keras_nasnet.accelerate.cpu_convolution import SeparableConv2D
from keras_nasnet.genotype.vocabulary import COMBINE_LAYERS, OPERATION_LAYERS
from keras_nasnet.layers.convolution import (
    RECTIFIED,
    ConvolutionalLayer,
    Projection,
    Shape,
    initial_variance,
    kernel_initializer,
    subsample,
    taps_inside,
)
from keras_nasnet.layers.folder import Folder
from keras_nasnet.layers.inner_layers import InnerLayers, without_inner_config
from keras_nasnet.layers.pooling import POOL_PADDINGS, pool, spatial_axes
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
# Mean square of what pools return, over that of what they read, about as it is in networks without training.
_POOLED = {"average": 0.7, "max": 1.6}


class Operation(ConvolutionalLayer):
    """Base of the operations on a hidden state.

    Takes (batch, height, width, channels) and returns (batch, ceil(height / stride), ceil(width / stride), filters).
    An operation of one's own has `build`, `call`, `fold` and `mult_adds`, and a row in `genotype.OPERATION_LAYERS`.

    Args:
        operation: the name in a genotype.
        filters: channels of the output.
        stride: 1 or 2.
        pool_padding: "same", "keras" or "timm", see `pooling.POOL_PADDINGS`; for operations that pool.
        **kwargs: `batch_norm_momentum`, `batch_norm_epsilon`, `data_format`, `dtype`, `name`.

    Attributes:
        reads_rectified: whether `call` takes the ReLU of the hidden state; True unless a class says otherwise.
        is_dropped: whether DropPath may drop it; True unless a class says otherwise.

    Example:
        >>> class Negative(Operation):
        ...     reads_rectified = False
        ...     def call(self, inputs):
        ...         return -inputs
        ...     def fold(self, folder, state):
        ...         return folder.layer("negative", lambda name, dtype: keras.layers.Rescaling(-1, name=name), state)
        ...     def mult_adds(self, input_shape):
        ...         return 0
        >>> keras_nasnet.genotype.OPERATION_LAYERS.register("negative", Negative)
        >>> float(make_operation("negative", filters=1)(np.ones((1, 1, 1, 1)))[0, 0, 0, 0])
        -1.0
    """

    reads_rectified = True
    is_dropped = True

    def __init__(self, operation: str, filters: int, stride: int = 1, pool_padding: str = "same", **kwargs: Any):
        super().__init__(filters, stride, **kwargs)
        if pool_padding not in POOL_PADDINGS:
            raise ValueError(f"pool_padding is {pool_padding!r}: choose from {', '.join(POOL_PADDINGS)}")
        self.operation = operation
        self.pool_padding = pool_padding

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"operation": self.operation}

    def needs_projection(self, input_shape: Shape) -> bool:
        return input_shape[self.channel_axis] != self.filters

    def output_square(self) -> float:
        """Return the mean square of the built layer's outputs with initial weights, `input_square` that of its inputs.

        1, that of batch normalization, unless a class says otherwise.
        """
        return 1.0

    @property
    def passes_through(self) -> bool:
        """Whether the built layer returns its input."""
        return False

    def fold(self, folder: Folder, state: Any) -> Any:
        """Return what `call` returns, in the network that a folder makes; `state` is not rectified."""
        _lacks(self, "fold")

    def mult_adds(self, input_shape: Shape) -> int:
        """Return the multiply-adds for one example."""
        _lacks(self, "mult_adds")


def _lacks(layer: keras.layers.Layer, method: str) -> NoReturn:
    raise NotImplementedError(f"{type(layer).__name__} has no method {method!r}: write it, as all operations have it")


@keras.saving.register_keras_serializable("keras_nasnet")
class Identity(Operation):
    """The hidden state itself; ReLU, 1x1 convolution and BN where stride or channels change."""

    is_dropped = False

    def build(self, input_shape: Shape) -> None:
        self.projection = None
        if self.stride > 1 or self.needs_projection(input_shape):
            self.projection = Projection(**self.common_config(), dtype=self.dtype_policy, name="projection")
            self.projection.input_square = self.input_square * RECTIFIED
            self.projection.build(input_shape)
        self.reads_rectified = self.projection is not None
        self.built = True

    @property
    def passes_through(self) -> bool:
        return self.projection is None

    def output_square(self) -> float:
        return self.input_square if self.projection is None else 1.0

    def call(self, inputs: Any) -> Any:
        return inputs if self.projection is None else self.projection(inputs)

    def fold(self, folder: Folder, state: Any) -> Any:
        return state if self.projection is None else self.projection.fold(folder, folder.relu(state))

    def mult_adds(self, input_shape: Shape) -> int:
        return 0 if self.projection is None else self.projection.mult_adds(input_shape)


@keras.saving.register_keras_serializable("keras_nasnet")
class Pool(Operation):
    """Maximum or average over a window; a 1x1 convolution and BN behind where channels change."""

    reads_rectified = False

    def __init__(self, operation: str, filters: int, stride: int = 1, **kwargs: Any):
        super().__init__(operation, filters, stride, **kwargs)
        self.kind, self.pool_size = _POOLS[operation]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pool_padding": self.pool_padding}

    def build(self, input_shape: Shape) -> None:
        self.projection = None
        if self.needs_projection(input_shape):
            config = self.common_config() | {"stride": 1}
            self.projection = Projection(**config, dtype=self.dtype_policy, name="projection")
            self.projection.input_square = self.input_square * _POOLED[self.kind]
            self.projection.build(input_shape)
        self.built = True

    def output_square(self) -> float:
        return self.input_square * _POOLED[self.kind] if self.projection is None else 1.0

    def call(self, inputs: Any) -> Any:
        pooled = pool(inputs, self.kind, self.pool_size, self.stride, self.pool_padding, self.data_format)
        return pooled if self.projection is None else self.projection(pooled)

    def fold(self, folder: Folder, state: Any) -> Any:
        zeros_count = self.stride == 2 and (
            self.pool_padding == "keras" or (self.pool_padding == "timm" and self.kind == "average")
        )
        key = ("pool", self.kind, self.pool_size, self.stride, zeros_count)
        make = self._fold_with_zeros if zeros_count else self._fold_plainly
        pooled = folder.once(key, state, lambda: make(folder, state))
        return pooled if self.projection is None else self.projection.fold(folder, pooled)

    def _fold_plainly(self, folder: Folder, state: Any) -> Any:
        return folder.pool(self.kind, self.pool_size, self.stride, "same", state)

    def _fold_with_zeros(self, folder: Folder, state: Any) -> Any:
        lengths = [state.shape[axis] for axis in spatial_axes(self.data_format)]
        if None in lengths:  # how many zeros there are is known when it runs: to no plain layer, but to ours
            config = without_inner_config(self.get_config()) | {"filters": state.shape[self.channel_axis]}
            return folder.layer("pool", lambda name, dtype: Pool.from_config(config | {"name": name}), state)
        totals = [max((-(-n // self.stride) - 1) * self.stride + self.pool_size - n, 0) for n in lengths]
        padding = [(total // 2, total - total // 2) for total in totals]
        pad = partial(keras.layers.ZeroPadding2D, padding, data_format=self.data_format)
        return folder.pool(self.kind, self.pool_size, self.stride, "valid", folder.layer("pad", pad, state))

    def mult_adds(self, input_shape: Shape) -> int:
        return 0 if self.projection is None else self.projection.mult_adds(self.compute_output_shape(input_shape))


@keras.saving.register_keras_serializable("keras_nasnet")
class Convolution(Operation):
    """One or two convolutions, each ReLU, convolution, BN. Separable ones come twice if not dilated."""

    def build(self, input_shape: Shape) -> None:
        self.steps = _CONVOLUTIONS[self.operation]
        self.convolutions = []
        self.batch_norms = []
        output_shape = self.compute_output_shape(input_shape)
        shape, square = input_shape, self.input_square
        for number, step in enumerate(self.steps, start=1):
            convolution = self._make_step(f"convolution_{number}", step)
            variance = initial_variance(square * RECTIFIED, shape[self.channel_axis], self.filters, step.separable)
            inside = taps_inside(convolution, output_shape if self._subsamples(step) else shape)
            batch_norm = self.make_batch_norm(f"batch_norm_{number}", variance * inside)
            convolution.build(shape)
            batch_norm.build(output_shape)
            shape, square = output_shape, 1.0
            self.convolutions.append(convolution)
            self.batch_norms.append(batch_norm)
        self.built = True

    def _subsamples(self, step: _Step) -> bool:
        """Whether a step is a plain convolution of every second pixel."""
        return step.dilation == 2 and self.stride == 2

    def _make_step(self, name: str, step: _Step) -> keras.layers.Layer:
        strides, dilation = self.stride if step.strided else 1, step.dilation
        if self._subsamples(step):
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
            if self._subsamples(step):
                outputs = subsample(outputs, 0, self.data_format)
            outputs = self.batch_norms[number](self.convolutions[number](outputs))
        return outputs

    def fold(self, folder: Folder, state: Any) -> Any:
        outputs = state
        for step, convolution, batch_norm in zip(self.steps, self.convolutions, self.batch_norms, strict=True):
            outputs = folder.relu(outputs)
            if self._subsamples(step):
                outputs = folder.subsample_even(outputs)
            outputs = folder.batch_norm(batch_norm, folder.convolution(convolution, outputs))
        return outputs

    def mult_adds(self, input_shape: Shape) -> int:
        return self.kernels_at_output(input_shape)


@keras.saving.register_keras_serializable("keras_nasnet")
class Zero(Operation):
    """Nothing: zeros, whatever it reads (DARTS' "none")."""

    reads_rectified = False

    def output_square(self) -> float:
        return 0.0

    def call(self, inputs: Any) -> Any:
        shape = self.compute_output_shape(tuple(ops.shape(inputs)))
        return ops.zeros(shape, dtype=inputs.dtype)

    def fold(self, folder: Folder, state: Any) -> Any:
        return folder.zeros(self, state)

    def mult_adds(self, input_shape: Shape) -> int:
        return 0


def make_operation(operation: str, filters: int, stride: int = 1, **kwargs: Any) -> Operation:
    """Return a new layer for an operation.

    Args:
        operation: a name in `genotype.OPERATION_LAYERS`, for example "sep_conv_5x5".
        filters: channels of the output.
        stride: 1 or 2.
        **kwargs: other arguments of `Operation`.

    Raises:
        ValueError: if there is no such operation.

    Example:
        >>> keras.ops.shape(make_operation("sep_conv_5x5", filters=4, stride=2)(np.ones((1, 8, 8, 3))))
        (1, 4, 4, 4)
    """
    if operation not in OPERATION_LAYERS:
        raise ValueError(f"unknown operation {operation!r}: choose from {', '.join(OPERATION_LAYERS)}")
    layer: Operation = OPERATION_LAYERS.get(operation)(operation, filters, stride, **kwargs)
    return layer


class Combine(InnerLayers, keras.layers.Layer):
    """Base of the combinations of a block's two branches.

    Takes a list of two tensors of the same shape and returns one. A combination of one's own has `call`, `fold`,
    `mult_adds` and `compute_output_shape`, keeps the channels, and has a row in `genotype.COMBINE_LAYERS`.

    Args:
        axis: of the channels.
        epsilon: added to variances; for combinations that normalise.
        **kwargs: `dtype`, `name`.

    Example:
        >>> class Maximum(Combine):
        ...     def call(self, inputs):
        ...         return keras.ops.maximum(*inputs)
        ...     def fold(self, folder, branches):
        ...         return folder.layer("maximum", keras.layers.Maximum, branches)
        ...     def mult_adds(self, input_shapes):
        ...         return 0
        >>> keras_nasnet.genotype.COMBINE_LAYERS.register("maximum", Maximum)
        >>> float(make_combine("maximum")([np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 1))])[0, 0, 0, 0])
        1.0
    """

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, **kwargs: Any):
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = epsilon

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "epsilon": self.epsilon}

    def compute_output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        return tuple(input_shapes[0])

    def output_square(self, squares: Sequence[float], same: bool) -> float:
        """Return the mean square of the outputs with initial weights: that of a sum, unless a class says otherwise.

        Args:
            squares: those of the branches.
            same: whether both branches are of one hidden state without weights, so that their values are alike.
        """
        return float(sum(square**0.5 for square in squares) ** 2 if same else sum(squares))

    def fold(self, folder: Folder, branches: Sequence[Any]) -> Any:
        """Return what `call` returns, in the network that a folder makes."""
        _lacks(self, "fold")

    def mult_adds(self, input_shapes: Sequence[Shape]) -> int:
        """Return the multiply-adds for one example."""
        _lacks(self, "mult_adds")


@keras.saving.register_keras_serializable("keras_nasnet")
class Add(Combine):
    """Sum of two tensors."""

    def call(self, inputs: Sequence[Any]) -> Any:
        return inputs[0] + inputs[1]

    def fold(self, folder: Folder, branches: Sequence[Any]) -> Any:
        return folder.add(branches)

    def mult_adds(self, input_shapes: Sequence[Shape]) -> int:
        return 0


@keras.saving.register_keras_serializable("keras_nasnet")
class Concatenate(Combine):
    """Two tensors one behind the other, along their channels."""

    def call(self, inputs: Sequence[Any]) -> Any:
        return ops.concatenate(list(inputs), axis=self.axis)

    def compute_output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        shape, axis = input_shapes[0], self.axis % 4
        widths = [other[axis] for other in input_shapes]
        return (*shape[:axis], None if None in widths else sum(filter(None, widths)), *shape[axis + 1 :])

    def output_square(self, squares: Sequence[float], same: bool) -> float:
        return sum(squares) / len(squares)

    def fold(self, folder: Folder, branches: Sequence[Any]) -> Any:
        return folder.concatenate(branches)

    def mult_adds(self, input_shapes: Sequence[Shape]) -> int:
        return 0


@keras.saving.register_keras_serializable("keras_nasnet")
class NormalizedAdd(Combine):
    """Sum of two tensors, normalised within each example.

    Args:
        over: "layer" normalises over height, width and channels, "instance" over height and
            width; both with a scale and an offset for each channel (slim.layer_norm and
            slim.instance_norm).
        epsilon: added to the variance.
        axis: axis of the channels.
    """

    def __init__(self, over: str, epsilon: float = 1e-3, axis: int = -1, **kwargs: Any):
        super().__init__(axis, epsilon, **kwargs)
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
        return super().get_config() | {"over": self.over}

    def build(self, input_shape: list[Shape]) -> None:
        self.normalization.build(input_shape[0])
        self.built = True

    def output_square(self, squares: Sequence[float], same: bool) -> float:
        return 1.0

    def call(self, inputs: Sequence[Any]) -> Any:
        return self.normalization(inputs[0] + inputs[1])

    def fold(self, folder: Folder, branches: Sequence[Any]) -> Any:
        config = self.normalization.get_config()
        return folder.layer(
            "norm",
            lambda name, dtype: keras.layers.GroupNormalization.from_config(config | {"name": name}),
            folder.add(branches),
            self.normalization.get_weights(),
        )

    def mult_adds(self, input_shapes: Sequence[Shape]) -> int:
        return 0


layer_norm_add = partial(NormalizedAdd, "layer")
instance_norm_add = partial(NormalizedAdd, "instance")


def make_combine(combine: str, axis: int = -1, epsilon: float = 1e-3, **kwargs: Any) -> Combine:
    """Return a new layer that joins the two branches of a block.

    Args:
        combine: a name in `genotype.COMBINE_LAYERS`, for example "concat".
        axis: of the channels.
        epsilon: added to variances.
        **kwargs: `dtype`, `name`.

    Raises:
        ValueError: if there is no such combination.

    Example:
        >>> keras.ops.shape(make_combine("concat")([np.ones((1, 8, 8, 3))] * 2))
        (1, 8, 8, 6)
    """
    if combine not in COMBINE_LAYERS:
        raise ValueError(f"unknown combine {combine!r}: choose from {', '.join(COMBINE_LAYERS)}")
    layer: Combine = COMBINE_LAYERS.get(combine)(axis=axis, epsilon=epsilon, **kwargs)
    return layer
