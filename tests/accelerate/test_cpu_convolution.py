"""The layers with quicker gradients against those of Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.accelerate.cpu_convolution import Conv2D, SeparableConv2D
from keras_nasnet.layers.convolution import Projection

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a choice of TensorFlow's kernels")

# Small images, and some above the limit up to which TensorFlow's own kernel is chosen.
SHAPES = [(2, 7, 6), (5, 31, 30)]


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def results(layer, inputs, training, **options):
    """Outputs, and gradients by the inputs and each weight, computed in a graph."""
    import tensorflow

    @tensorflow.function(**options)
    def run(inputs):
        with tensorflow.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=training) if training is not None else layer(inputs)
            outputs = ops.cast(outputs, "float32")
            weighting = ops.reshape(ops.sin(ops.arange(ops.size(outputs), dtype="float32")), ops.shape(outputs))
            loss = tensorflow.reduce_sum(outputs * weighting)
        return outputs, *tape.gradient(loss, [inputs, *[variable.value for variable in layer.weights]])

    return [array.numpy() for array in run(tensorflow.constant(inputs))]


def pair(ours, theirs, channels, *arguments, **options):
    layers = [cls(*arguments, use_bias=False, padding="same", **options) for cls in (ours, theirs)]
    for layer in layers:
        layer.build((None, None, None, channels))
    layers[1].set_weights(layers[0].get_weights())
    return layers


def assert_same(ours, theirs):
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("size", SHAPES, ids=str)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("window", [3, 5, 7])
def test_separable_equals_keras(window, stride, size):
    ours, theirs = pair(SeparableConv2D, keras.layers.SeparableConv2D, 5, 4, window, strides=stride)
    inputs = images(*size, 5)
    assert_same(results(ours, inputs, True), results(theirs, inputs, None))
    assert_same(results(ours, inputs, False), results(theirs, inputs, None))


@pytest.mark.parametrize("options", [{}, {"strides": 2}], ids=str)
def test_pointwise_equals_keras(options):
    """On odd sizes: on even ones Keras' strided gradient writes past its memory (TensorFlow 2.20)."""
    ours, theirs = pair(Conv2D, keras.layers.Conv2D, 5, 4, 1, **options)
    inputs = images(2, 7, 5, 5)
    assert_same(results(ours, inputs, True), results(theirs, inputs, None))


@pytest.mark.parametrize("size", [(16, 16), (15, 16)], ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_strided_pointwise_is_that_of_the_pixels_it_reads(dtype, training, size):
    options = {"strides": 2, "dtype": dtype}
    strided, plain = pair(Conv2D, Conv2D, 4, 4, 1, **options)
    plain.strides = (1, 1)
    inputs = images(1, *size, 4)
    outputs, by_inputs, by_kernel = results(strided, inputs, training)
    expected, by_pixels, expected_by_kernel = results(plain, np.ascontiguousarray(inputs[:, ::2, ::2]), True)
    tolerance = 0 if training else 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(outputs, expected, atol=tolerance)
    np.testing.assert_allclose(by_kernel, expected_by_kernel, atol=tolerance * np.abs(by_kernel).max())
    np.testing.assert_allclose(by_inputs[:, ::2, ::2], by_pixels, atol=tolerance)
    assert np.count_nonzero(by_inputs) == np.count_nonzero(by_pixels)


def gradient_operations(layer, training):
    """Kinds of the operations in a graph that computes a layer's outputs, and gradients of them and of gradients."""
    import tensorflow

    @tensorflow.function
    def gradients(inputs):
        weights = [variable.value for variable in layer.trainable_variables]
        with tensorflow.GradientTape() as outer:
            outer.watch(inputs)
            with tensorflow.GradientTape() as tape:
                tape.watch(inputs)
                loss = tensorflow.reduce_sum(layer(inputs, training=training) ** 3)
            first = tape.gradient(loss, [inputs, *weights])
            total = tensorflow.add_n([tensorflow.reduce_sum(value**2) for value in first])
        return outer.gradient(total, [inputs, *weights])

    graph = gradients.get_concrete_function(tensorflow.TensorSpec((1, 16, 16, 4))).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"use_bias": True, "activation": "relu"}], ids=str)
def test_nothing_takes_tensorflow_s_gradient_of_a_strided_pointwise_convolution(training, options):
    """It writes past its memory: the process ends with a segmentation fault, then or later."""
    layer = Conv2D(4, 1, strides=2, **{"use_bias": False} | options)
    layer.build((None, 16, 16, 4))
    theirs = keras.layers.Conv2D.from_config(layer.get_config())
    assert "Conv2DBackpropFilter" in gradient_operations(theirs, training)
    assert "Conv2DBackpropFilter" not in gradient_operations(layer, training)


@pytest.mark.parametrize("training", [True, False])
def test_a_projection_s_gradients_are_safe(training):
    layer = Projection(4, 2)
    layer.build((None, 16, 16, 4))
    assert "Conv2DBackpropFilter" not in gradient_operations(layer, training)


def test_sizes_known_only_at_run_time():
    import tensorflow

    for signature in ((None, None, None, 5), (None, 31, 30, 5)):
        ours, theirs = pair(SeparableConv2D, keras.layers.SeparableConv2D, 5, 4, 5)
        options = {"input_signature": [tensorflow.TensorSpec(signature)]}
        inputs = images(5, 31, 30, 5)
        assert_same(results(ours, inputs, True, **options), results(theirs, inputs, None))


def graph_operations(layer, inputs, training):
    import tensorflow

    graph = tensorflow.function(lambda x: layer(x, training=training)).get_concrete_function(inputs).graph
    return {operation.type for operation in graph.get_operations()}


def test_only_training_uses_products():
    """Inference keeps ordinary convolutions, which exporters and optimisers know."""
    layer = pair(Conv2D, keras.layers.Conv2D, 5, 4, 1)[0]
    inputs = ops.convert_to_tensor(images(2, 7, 6, 5))
    assert "Conv2D" in graph_operations(layer, inputs, False)
    if not keras.distribution.list_devices("gpu"):
        assert "MatMul" in graph_operations(layer, inputs, True)
