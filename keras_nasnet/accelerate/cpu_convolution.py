"""Convolutions whose training is quicker on CPUs with the TensorFlow backend.

A training step of a NASNet spends most of its time in the gradients of separable
convolutions. Where TensorFlow runs on CPUs alone, these layers choose other kernels for
them while training:

- a 1x1 convolution is a matrix product: the kernel reorders nothing and starts sooner; with strides it is one of the
  pixels that it reads, which is also the way around a fault of TensorFlow's;
- the filter gradient of a depthwise convolution goes to TensorFlow's own kernel where
  images are small or strides 2, and is put together from gradients of up to three columns
  where windows are larger: oneDNN is quick with three columns, and computes all pairs of
  16 channels with more.

Results differ by rounding. Everything else (inference, other backends, GPUs, low
precision, sizes known only at run time) goes the Keras way, so that exported graphs hold
ordinary convolutions; where inference is differentiated (Grad-CAM, frozen networks), the strided 1x1 convolutions
have the gradient of the pixels that they read there too.
"""

import os
import platform
from typing import Any

import keras

from keras_nasnet.accelerate.quick_layer import QuickLayer
from keras_nasnet.accelerate.tracing import Gradient, constant, tensorflow, with_gradient

# Positions (batch x height x width) of an output up to which oneDNN's overhead decides.
_SMALL = 4096
_COLUMNS = 3


@keras.saving.register_keras_serializable("keras_nasnet")
class Conv2D(QuickLayer, keras.layers.Conv2D):
    """`keras.layers.Conv2D`: same arguments, variables and results."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        plain = self._is_pointwise() and not self.use_bias
        if not (training and plain and self.activation is keras.activations.linear):
            return super().call(inputs)
        if max(self.strides) > 1:
            # TensorFlow's kernel for the filter gradient writes past its memory where images are even in size
            # (2.20, CPU), which ends the process then or later. The pixels that are read have no such gradient.
            inputs = inputs[:, :: self.strides[0], :: self.strides[1]]
        if _suits(self, inputs):
            return _pointwise(inputs, self.kernel)
        return keras.ops.conv(inputs, self.kernel, 1, "same", self.data_format)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        outputs = super().convolution_op(inputs, kernel)
        if max(self.strides) == 1 or not self._is_pointwise():
            return outputs
        return _with_gradient_of_pixels(outputs, inputs, kernel, self.strides)

    def _is_pointwise(self) -> bool:
        return (*self.kernel_size, self.groups) == (1, 1, 1) and _on_tensorflow(self)


class SeparableConv2D(QuickLayer, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D`: same arguments, variables and results."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        plain = self.padding == "same" and self.dilation_rate == (1, 1) and not self.use_bias
        if not (training and plain and self.activation is keras.activations.linear and _suits(self, inputs)):
            return super().call(inputs)
        return _separable(inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides[0])


def _on_tensorflow(layer: keras.layers.Layer) -> bool:
    return keras.backend.backend() == "tensorflow" and layer.data_format == "channels_last"


def _suits(layer: keras.layers.Layer, inputs: Any) -> bool:
    if not _on_tensorflow(layer):
        return False
    if layer.compute_dtype != "float32" or None in inputs.shape[1:]:
        return False
    return all(device.device_type == "CPU" for device in tensorflow().config.list_logical_devices())


def _pointwise(inputs: Any, kernel: Any) -> Any:
    kernel = tensorflow().convert_to_tensor(kernel)
    outputs, gradient = _product(inputs, kernel)
    return with_gradient(outputs, gradient, inputs, kernel)


def _with_gradient_of_pixels(outputs: Any, inputs: Any, kernel: Any, strides: tuple[int, int]) -> Any:
    """Return the outputs of a strided 1x1 convolution, whose gradients are those of the pixels that it reads."""
    tf = tensorflow()
    kernel = tf.convert_to_tensor(kernel)
    (down, right), (channels, filters) = strides, kernel.shape[2:]

    def gradient(upstream: Any) -> tuple[Any, Any]:
        rows = tf.reshape(inputs[:, ::down, ::right], [-1, channels])
        upstream_rows = tf.reshape(upstream, [-1, filters])
        by_kernel = tf.linalg.matmul(rows, upstream_rows, transpose_a=True)
        by_pixels = tf.linalg.matmul(upstream_rows, tf.reshape(kernel, [channels, filters]), transpose_b=True)
        # Zeros for the pixels between them.
        shape = tf.shape(upstream)
        height, width = shape[1], shape[2]
        squares = tf.reshape(by_pixels, [-1, height, 1, width, 1, channels])
        squares = tf.pad(squares, [(0, 0), (0, 0), (0, down - 1), (0, 0), (0, right - 1), (0, 0)])
        by_inputs = tf.reshape(squares, [-1, height * down, width * right, channels])
        size = tf.shape(inputs)
        return by_inputs[:, : size[1], : size[2]], tf.reshape(by_kernel, kernel.shape)

    return with_gradient(outputs, gradient, inputs, kernel)


def _separable(inputs: Any, depthwise_kernel: Any, pointwise_kernel: Any, stride: int) -> Any:
    tf = tensorflow()
    depthwise_kernel, pointwise_kernel = map(tf.convert_to_tensor, (depthwise_kernel, pointwise_kernel))
    options = {"strides": [1, stride, stride, 1], "padding": "SAME"}
    filtered = tf.raw_ops.DepthwiseConv2dNative(input=inputs, filter=depthwise_kernel, **options)
    outputs, product_gradient = _product(filtered, pointwise_kernel)

    def gradient(upstream: Any) -> tuple[Any, Any, Any]:
        upstream, pointwise_gradient = product_gradient(upstream)
        known = None not in inputs.shape
        input_gradient = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=constant(tuple(inputs.shape), "int32") if known else tf.shape(inputs),
            filter=depthwise_kernel,
            out_backprop=upstream,
            **options,
        )
        return input_gradient, _filter_gradient(inputs, depthwise_kernel, upstream, stride), pointwise_gradient

    return with_gradient(outputs, gradient, inputs, depthwise_kernel, pointwise_kernel)


def _product(inputs: Any, kernel: Any) -> tuple[Any, Gradient]:
    """A 1x1 convolution as a matrix product, and its gradients by its inputs and its kernel."""
    matmul = tensorflow().raw_ops.MatMul
    channels, filters = kernel.shape[2:]
    rows, matrix = _reshape(inputs, -1, channels), _reshape(kernel, channels, filters)

    def gradient(upstream: Any) -> tuple[Any, Any]:
        upstream = _reshape(upstream, -1, filters)
        return (
            _reshape(matmul(a=upstream, b=matrix, transpose_b=True), -1, *inputs.shape[1:]),
            _reshape(matmul(a=rows, b=upstream, transpose_a=True), *kernel.shape),
        )

    return _reshape(matmul(a=rows, b=matrix), -1, *inputs.shape[1:3], filters), gradient


def _reshape(tensor: Any, *shape: int) -> Any:
    return tensorflow().raw_ops.Reshape(tensor=tensor, shape=constant(shape, "int32"))


def _filter_gradient(inputs: Any, kernel: Any, upstream: Any, stride: int) -> Any:
    """Gradient of a depthwise SAME convolution by its kernel."""
    tf = tensorflow()
    rows, columns, channels, _ = kernel.shape
    batch, height, width, _ = upstream.shape
    top, bottom = _same_padding(inputs.shape[1], rows, stride)
    left, right = _same_padding(inputs.shape[2], columns, stride)

    def part(inputs: Any, columns: int, **options: Any) -> Any:
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=inputs,
            filter_sizes=constant((rows, columns, channels, 1), "int32"),
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
    paddings = constant(((0, 0), (top, bottom), (left, right), (0, 0)), "int32")
    padded = tf.raw_ops.Pad(input=inputs, paddings=paddings)
    parts = []
    for start in range(0, columns, _COLUMNS):
        count = min(_COLUMNS, columns - start)
        begin, size = constant((0, 0, start, 0), "int32"), constant((-1, -1, width - 1 + count, -1), "int32")
        parts.append(part(tf.raw_ops.Slice(input=padded, begin=begin, size=size), count, padding="VALID"))
    return tf.raw_ops.ConcatV2(values=parts, axis=constant(1, "int32"))


def _same_padding(length: int, window: int, stride: int) -> tuple[int, int]:
    total = max((-(-length // stride) - 1) * stride + window - length, 0)
    return total // 2, total - total // 2


def _has_onednn() -> bool:
    """Whether TensorFlow's CPU kernels are oneDNN's, as they are on x86 unless switched off."""
    return platform.machine() in ("x86_64", "AMD64") and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
