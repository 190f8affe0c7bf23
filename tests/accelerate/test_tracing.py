"""What makes a trace cheap changes no result: not in eager code, nested graphs, XLA or second derivatives."""

import keras
import numpy as np
import pytest

from keras_nasnet.accelerate.cpu_convolution import Conv2D, SeparableConv2D
from keras_nasnet.layers.batch_norm import BatchNormalization

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="traces are TensorFlow's")

LAYERS = {
    "batch_norm": (BatchNormalization, {}),
    "pointwise": (Conv2D, {"filters": 4, "kernel_size": 1, "use_bias": False}),
    "separable": (SeparableConv2D, {"filters": 4, "kernel_size": 5, "padding": "same", "use_bias": False}),
}


def pair(name):
    """Our layer and Keras' with the same weights."""
    kind, options = LAYERS[name]
    ours, theirs = kind(**options), getattr(keras.layers, kind.__name__)(**options)
    for layer in (ours, theirs):
        layer.build((None, 8, 8, 3))
    random = np.random.default_rng(0)
    for our_weight, their_weight in zip(ours.weights, theirs.weights, strict=True):
        value = random.uniform(0.5, 1.5, our_weight.shape)
        our_weight.assign(value)
        their_weight.assign(value)
    return ours, theirs


def images():
    return tf.constant(np.random.default_rng(1).normal(size=(4, 8, 8, 3)), "float32")


def train(layer, inputs):
    return layer(inputs, training=True) if layer._call_has_training_arg else layer(inputs)


def derivatives(layer, inputs):
    """Of the inputs and the weights: the first, and the second along the first."""
    values = [inputs, *[weight.value for weight in layer.trainable_variables]]
    with tf.GradientTape() as outer:
        outer.watch(values)
        with tf.GradientTape() as inner:
            inner.watch(values)
            loss = tf.reduce_sum(tf.sin(train(layer, inputs)))
        first = inner.gradient(loss, values)
        norm = tf.add_n([tf.reduce_sum(tf.square(value)) for value in first])
    return [*first, *outer.gradient(norm, values)]


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives_are_keras(name, in_graph):
    found = []
    for layer in pair(name):
        compute = tf.function(derivatives, autograph=False) if in_graph else derivatives
        found.append([value.numpy() for value in compute(layer, images())])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


def test_constants_of_a_loops_body_stay_in_it():
    layer, _ = pair("separable")

    @tf.function(autograph=False)
    def outputs(inputs):
        def body(step, _):
            return step + 1, train(layer, inputs)

        in_loop = tf.while_loop(lambda step, _: step < 2, body, (0, tf.zeros((4, 8, 8, 4))))[1]
        branch = tf.cond(tf.size(inputs) > 0, lambda: train(layer, inputs), lambda: in_loop)
        return in_loop, branch, train(layer, inputs)

    expected = train(layer, images())
    for found in outputs(images()):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_graph_has_a_constant_once():
    layer, _ = pair("pointwise")

    @tf.function(autograph=False)
    def twice(inputs):
        return train(layer, inputs) + train(layer, inputs)

    operations = twice.get_concrete_function(images()).graph.get_operations()
    assert sum(operation.type == "Reshape" for operation in operations) == 6
    assert sum(operation.type == "Const" for operation in operations) == 3  # rows, kernel, outputs


@pytest.mark.parametrize("name", LAYERS)
def test_xla_computes_the_same(name):
    found = []
    for layer in pair(name):
        compiled = tf.function(lambda inputs, layer=layer: train(layer, inputs), autograph=False, jit_compile=True)
        found.append([compiled(images()), *[weight.numpy() for weight in layer.weights]])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
