"""Parts: the layers that a supernet's paths consist of, each as a function of vectors of weights.

A part knows no place in a network: wherever kind and sizes are the same it is the same function,
so that it is compiled once for all places and all children.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_nasnet.accelerate.weightless import weightless
from keras_nasnet.layers.convolution import FactorizedReduction, Projection
from keras_nasnet.layers.operations import make_combine, make_operation
from keras_nasnet.training.objective import cross_entropy

_LAYER_OPTIONS: dict[str, Any] = {"batch_norm_epsilon": 1e-5, "data_format": "channels_last", "dtype": "float32"}

# Names and shapes of the weights that lie one behind the other in a vector.
Layout = tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, eq=False)
class Part:
    """A layer as a function of its weights.

    Args:
        function: takes a list of weight vectors, a list of tensors, and the images or labels if it
            reads those, else None; returns a tensor.
        layouts: what each of the vectors holds.
        reads_rectified: whether the tensors must have been through a ReLU: one for all who read them.
        passes_through: whether it returns the tensor that it reads.
    """

    function: Callable[[Sequence[Any], Sequence[Any], Any], Any]
    layouts: tuple[Layout, ...] = ()
    reads_rectified: bool = False
    passes_through: bool = False


def make_part(kind: str, *sizes: Any) -> Part:
    """Return a new part.

    - "stem", filters: reads the images, pixels 0 to 255.
    - "operation", name, filters, stride, channels of its input.
    - "relu".
    - "combine", name, filters: reads two tensors.
    - "join": concatenates.
    - "fit", filters, stride, channels of each input, whether it wants them rectified (default: yes): 1x1
      convolution or factorized reduction, and BN, of the concatenated inputs.
    - "classifier", channels of each input, classes: reads the labels, int32 (batch,), and gives float32 (2,):
      the mean loss, and how many are classified right.

    Tensors are float32 (batch, height, width, channels). BN takes the batch's own statistics, also
    where a child is judged: moving ones would be a mixture of all children's. The parts that
    concatenate take a vector for each input, its rows of the kernels, then one for the other weights.
    """
    with weightless():
        return _MAKERS[kind](*sizes)


def _stem(filters: int) -> Part:
    convolution = make_operation("conv_3x3", filters, **_LAYER_OPTIONS)
    convolution.build((None, None, None, 3))
    layout = _layout(convolution)

    def function(weights: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        return _call(convolution, unpacked(weights[0], layout), ops.cast(data, "float32") / 127.5 - 1.0)

    return Part(function, (layout,))


def _operation(name: str, filters: int, stride: int, channels: int) -> Part:
    layer = make_operation(name, filters, stride, **_LAYER_OPTIONS)
    layer.build((None, None, None, channels))
    layout = _layout(layer)

    def function(weights: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        return _call(layer, unpacked(weights[0], layout) if layout else [], tensors[0])

    return Part(function, (layout,) if layout else (), layer.reads_rectified, layer.passes_through)


def _relu() -> Part:
    return Part(lambda weights, tensors, data: ops.relu(tensors[0]))


def _combine(combine: str, filters: int) -> Part:
    layer = make_combine(combine, epsilon=_LAYER_OPTIONS["batch_norm_epsilon"], dtype="float32")
    layer.build([(None, None, None, filters)] * 2)
    layout = _layout(layer)

    def function(weights: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        return _call(layer, unpacked(weights[0], layout) if layout else [], list(tensors))

    return Part(function, (layout,) if layout else ())


def _join() -> Part:
    return Part(lambda weights, tensors, data: _concatenated(tensors))


def _fit(filters: int, stride: int, channels: tuple[int, ...], rectified: bool = True) -> Part:
    layer = (FactorizedReduction if stride == 2 else Projection)(filters, stride, **_LAYER_OPTIONS)
    layer.build((None, None, None, sum(channels)))
    layouts = _split_layouts(layer, channels)

    def function(weights: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        return _call(layer, joined(weights, layouts), _concatenated(tensors))

    return Part(function, layouts, rectified)


def _classifier(channels: tuple[int, ...], classes: int) -> Part:
    layer = keras.layers.Dense(classes, dtype="float32")
    layer.build((None, sum(channels)))
    layouts = _split_layouts(layer, channels)

    def function(weights: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        features = ops.mean(_concatenated(tensors), axis=(1, 2))
        logits = _call(layer, joined(weights, layouts), features)
        right = ops.cast(ops.argmax(logits, axis=-1), "int32") == data
        return ops.stack([ops.mean(cross_entropy(logits, data)), ops.sum(ops.cast(right, "float32"))])

    return Part(function, layouts, reads_rectified=True)


_MAKERS: dict[str, Callable[..., Part]] = {
    "stem": _stem,
    "operation": _operation,
    "relu": _relu,
    "combine": _combine,
    "join": _join,
    "fit": _fit,
    "classifier": _classifier,
}


def _call(layer: keras.layers.Layer, weights: Sequence[Any], inputs: Any) -> Any:
    with keras.StatelessScope(list(zip(layer.trainable_variables, weights, strict=True))):
        return layer(inputs, training=True)


def _layout(layer: keras.layers.Layer) -> Layout:
    return tuple((variable.name, tuple(variable.shape)) for variable in layer.trainable_variables)


def _split_layouts(layer: keras.layers.Layer, channels: Sequence[int]) -> tuple[Layout, ...]:
    """A layout for each input's rows of the kernels, then one for the other weights."""
    whole = _layout(layer)
    kernels = [(name, shape) for name, shape in whole if is_kernel(name)]
    rows = [tuple((name, (*shape[:-2], count, shape[-1])) for name, shape in kernels) for count in channels]
    return (*rows, tuple((name, shape) for name, shape in whole if not is_kernel(name)))


def is_kernel(name: str) -> bool:
    """Whether weight decay pulls the weight of this name: kernels, and neither BN nor biases."""
    return "kernel" in name


def size(layout: Layout) -> int:
    """Return the length of a vector that holds these weights."""
    return sum(math.prod(shape) for _, shape in layout)


def unpacked(vector: Any, layout: Layout) -> list[Any]:
    """Return the weights that lie in a vector."""
    weights, start = [], 0
    for _, shape in layout:
        end = start + math.prod(shape)
        weights.append(ops.reshape(vector[start:end], shape))
        start = end
    return weights


def joined(weights: Sequence[Any], layouts: Sequence[Layout]) -> list[Any]:
    """Return a layer's weights, its kernels put together of each input's rows. In these layers kernels come first."""
    *rows, rest = [unpacked(vector, layout) for vector, layout in zip(weights, layouts, strict=True)]
    return [*(ops.concatenate(parts, axis=-2) for parts in zip(*rows, strict=True)), *rest]


def initial(layout: Layout, rng: np.random.Generator) -> np.ndarray:
    """Return a vector of random kernels, float32; scales are 1, and offsets and biases 0.

    Source: TF-slim's variance_scaling_initializer(mode="FAN_OUT"), as for all of `keras_nasnet`.
    """
    pieces = [np.zeros(0, np.float32)]
    for name, shape in layout:
        if is_kernel(name):
            deviation = math.sqrt(2.0 / math.prod((*shape[:-2], shape[-1])))
            values = _truncated_normal(math.prod(shape), rng) * deviation
        else:
            values = np.full(math.prod(shape), float(name == "gamma"))
        pieces.append(values.astype(np.float32))
    return np.concatenate(pieces)


def _truncated_normal(count: int, rng: np.random.Generator) -> np.ndarray:
    """Numbers within two deviations of the mean, whose variance is then 1."""
    values = rng.standard_normal(count)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(int(far.sum()))
    return values / 0.87962566103423978


def decayed(layout: Layout) -> np.ndarray:
    """Return float32 1 where a vector of this layout holds a kernel, else 0."""
    pieces = [np.full(math.prod(shape), is_kernel(name), np.float32) for name, shape in layout]
    return np.concatenate([np.zeros(0, np.float32), *pieces])


def _concatenated(tensors: Sequence[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else ops.concatenate(list(tensors), axis=-1)
