"""Convolutions whose training is quicker on CPUs with the TensorFlow backend.

A training step of a NASNet spends most of its time in the gradients of separable
convolutions. Where TensorFlow runs on CPUs alone, these layers choose other kernels for
them while training:

- a 1x1 convolution is a matrix product: the kernel reorders nothing and starts sooner;
- the filter gradient of a depthwise convolution goes to TensorFlow's own kernel where
  images are small or strides 2, and is put together from gradients of up to three columns
  where windows are larger: oneDNN is quick with three columns, and computes all pairs of
  16 channels with more.

Results differ by rounding. Everything else (inference, other backends, GPUs, low
precision, sizes known only at run time) goes the Keras way, so that exported graphs hold
ordinary convolutions.
"""

import os
import platform
import sys
from typing import Any

import keras

# Positions (batch x height x width) of an output up to which oneDNN's overhead decides.
_SMALL = 4096
_COLUMNS = 3


class Conv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D`: same arguments, variables and results."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        plain = (*self.kernel_size, *self.strides, self.groups) == (1, 1, 1, 1, 1) and not self.use_bias
        if not (training and plain and self.activation is keras.activations.linear and _suits(self, inputs)):
            return super().call(inputs)
        return _pointwise(inputs, self.kernel)


class SeparableConv2D(keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`: same arguments, variables and results."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        plain = self.padding == "same" and self.dilation_rate == (1, 1) and not self.use_bias
        if not (training and plain and self.activation is keras.activations.linear and _suits(self, inputs)):
            return super().call(inputs)
        return _separable(inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides[0])


def _suits(layer: keras.layers.Layer, inputs: Any) -> bool:
    if keras.backend.backend() != "tensorflow" or layer.data_format != "channels_last":
        return False
    if layer.compute_dtype != "float32" or None in inputs.shape[1:]:
        return False
    return all(device.device_type == "CPU" for device in _tensorflow().config.list_logical_devices())


def _tensorflow() -> Any:
    """Keras has loaded it already: the core never imports it itself."""
    return sys.modules["tensorflow"]


def _pointwise(inputs: Any, kernel: Any) -> Any:
    tensorflow = _tensorflow()

    @tensorflow.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> Any:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            return _product_gradients(inputs, kernel, upstream)

        return _product(inputs, kernel), gradient

    return convolve(inputs, tensorflow.convert_to_tensor(kernel))


def _separable(inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, stride: int) -> Any:
    tensorflow = _tensorflow()
    raw, options = tensorflow.raw_ops, {"strides": [1, stride, stride, 1], "padding": "SAME"}

    @tensorflow.custom_gradient
    def convolve(inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any) -> Any:
        filtered = raw.DepthwiseConv2dNative(input=inputs, filter=depthwise_kernel, **options)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            upstream, pointwise_gradient = _product_gradients(filtered, pointwise_kernel, upstream)
            input_gradient = raw.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tensorflow.shape(inputs), filter=depthwise_kernel, out_backprop=upstream, **options
            )
            return input_gradient, _filter_gradient(inputs, depthwise_kernel, upstream, stride), pointwise_gradient

        return _product(filtered, pointwise_kernel), gradient

    kernels = (tensorflow.convert_to_tensor(kernel) for kernel in (depthwise_kernel, pointwise_kernel))
    return convolve(inputs, *kernels)


def _product(inputs: Any, kernel: Any) -> Any:
    """A 1x1 convolution."""
    tensorflow = _tensorflow()
    channels, filters = kernel.shape[2:]
    outputs = tensorflow.raw_ops.MatMul(
        a=tensorflow.reshape(inputs, [-1, channels]), b=tensorflow.reshape(kernel, [channels, filters])
    )
    return tensorflow.reshape(outputs, [-1, *inputs.shape[1:3], filters])


def _product_gradients(inputs: Any, kernel: Any, upstream: Any) -> tuple[Any, Any]:
    """Gradients of a 1x1 convolution by its inputs and its kernel."""
    tensorflow = _tensorflow()
    channels, filters = kernel.shape[2:]
    rows = tensorflow.reshape(upstream, [-1, filters])
    by_inputs = tensorflow.raw_ops.MatMul(a=rows, b=tensorflow.reshape(kernel, [channels, filters]), transpose_b=True)
    by_kernel = tensorflow.raw_ops.MatMul(a=tensorflow.reshape(inputs, [-1, channels]), b=rows, transpose_a=True)
    return (
        tensorflow.reshape(by_inputs, [-1, *inputs.shape[1:3], channels]),
        tensorflow.reshape(by_kernel, kernel.shape),
    )


def _filter_gradient(inputs: Any, kernel: Any, upstream: Any, stride: int) -> Any:
    """Gradient of a depthwise SAME convolution by its kernel."""
    tensorflow = _tensorflow()
    rows, columns, channels, _ = kernel.shape
    batch, height, width, _ = upstream.shape
    top, bottom = _same_padding(inputs.shape[1], rows, stride)
    left, right = _same_padding(inputs.shape[2], columns, stride)

    def part(inputs: Any, columns: int, **options: Any) -> Any:
        return tensorflow.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=inputs,
            filter_sizes=[rows, columns, channels, 1],
            out_backprop=upstream,
            strides=[1, stride, stride, 1],
            **options,
        )

    small = batch is not None and batch * height * width <= _SMALL
    if small or stride > 1:
        # oneDNN does not take explicit padding, which is how TensorFlow's kernel is chosen.
        return part(inputs, columns, padding="EXPLICIT", explicit_paddings=[0, 0, top, bottom, left, right, 0, 0])
    if columns <= _COLUMNS or not _has_onednn():
        return part(inputs, columns, padding="SAME")
    padded = tensorflow.pad(inputs, [(0, 0), (top, bottom), (left, right), (0, 0)])
    parts = []
    for start in range(0, columns, _COLUMNS):
        count = min(_COLUMNS, columns - start)
        parts.append(part(padded[:, :, start : start + width - 1 + count], count, padding="VALID"))
    return tensorflow.concat(parts, axis=1)


def _same_padding(length: int, window: int, stride: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + window - length, 0)
    return total // 2, total - total // 2


def _has_onednn() -> bool:
    """Whether TensorFlow's CPU kernels are oneDNN's, as they are on x86 unless switched off."""
    return platform.machine() in ("x86_64", "AMD64") and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
