"""The fused batch normalization against the layer of Keras."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.layers.batch_norm import BatchNormalization

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a test of TensorFlow's kernel")


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(1.5, 2, size=shape).astype("float32")


def pair(shape=(None, None, None, 3), **options):
    """Ours and Keras's, with the same weights, none of them trivial."""
    layers = [cls(**options) for cls in (BatchNormalization, keras.layers.BatchNormalization)]
    random = np.random.default_rng(1)
    for layer in layers:
        layer.build(shape)
    weights = [random.uniform(0.5, 1.5, variable.shape) for variable in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def assert_same(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(
        ops.convert_to_numpy(ops.cast(ours, "float32")),
        ops.convert_to_numpy(ops.cast(theirs, "float32")),
        atol=tolerance,
        rtol=tolerance,
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9, "epsilon": 1e-5},
        {"momentum": 0.0},
        {"scale": False},
        {"center": False},
        {"dtype": "float64"},
    ],
    ids=str,
)
def test_equals_keras(options):
    ours, theirs = pair(**options)
    assert [variable.path.split("/")[1:] for variable in ours.weights] == [
        variable.path.split("/")[1:] for variable in theirs.weights
    ]
    for seed in range(2):
        inputs = images(3, 5, 4, 3, seed=seed)
        assert_same(ours(inputs), theirs(inputs))
        before = ops.convert_to_numpy(ours.moving_variance)
        assert_same(ours(inputs, training=True), theirs(inputs, training=True))
        for our_variable, their_variable in zip(ours.variables, theirs.variables, strict=True):
            assert_same(our_variable.value, their_variable.value)
        assert np.abs(ops.convert_to_numpy(ours.moving_variance) - before).max() > 1e-3


@pytest.mark.parametrize("momentum", [0.9, 1.0])
def test_one_value_has_no_variance(momentum):
    ours, theirs = pair(momentum=momentum)
    inputs = images(1, 1, 1, 3)
    for layer in (ours, theirs):
        layer(inputs, training=True)
    for our_variable, their_variable in zip(ours.variables, theirs.variables, strict=True):
        assert_same(our_variable.value, their_variable.value)


def test_frozen_layer_does_not_move():
    ours, theirs = pair()
    ours.trainable = theirs.trainable = False
    inputs = images(3, 5, 4, 3)
    weights = ours.get_weights()
    assert_same(ours(inputs, training=True), theirs(inputs, training=True))
    for before, after in zip(weights, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_low_precision(dtype):
    ours, theirs = pair(dtype=dtype)
    inputs = ops.cast(images(3, 5, 4, 3), ours.compute_dtype)
    for training in (False, True):
        our_outputs, their_outputs = ours(inputs, training=training), theirs(inputs, training=training)
        assert keras.backend.standardize_dtype(our_outputs.dtype) == ours.compute_dtype
        assert_same(our_outputs, their_outputs, tolerance=0.05)
    assert_same(ours.moving_mean.value, theirs.moving_mean.value, tolerance=0.02)
    assert_same(ours.moving_variance.value, theirs.moving_variance.value, tolerance=0.02)


@pytest.mark.parametrize(("shape", "axis"), [((4, 3), -1), ((2, 3, 5, 4), 1), ((2, 4, 3, 5), 2)])
def test_other_ranks_and_axes(shape, axis):
    if keras.backend.backend() == "tensorflow" and axis == 1:
        pytest.skip("TensorFlow has no channels_first kernel on CPUs")
    ours, theirs = pair(shape, axis=axis)
    inputs = images(*shape)
    for training in (False, True):
        assert_same(ours(inputs, training=training), theirs(inputs, training=training))


def test_mask():
    ours, theirs = pair()
    inputs, mask = images(3, 5, 4, 3), np.arange(3 * 5 * 4).reshape(3, 5, 4) % 3 > 0
    assert_same(ours(inputs, training=True, mask=mask), theirs(inputs, training=True, mask=mask))
    assert_same(ours.moving_mean.value, theirs.moving_mean.value)


@on_tensorflow
@pytest.mark.parametrize("training", [False, True])
def test_gradients(training):
    import tensorflow

    results = []
    weighting = images(3, 5, 4, 3, seed=5)
    for layer in pair():
        inputs = tensorflow.constant(images(3, 5, 4, 3))
        with tensorflow.GradientTape() as tape:
            tape.watch(inputs)
            loss = tensorflow.reduce_sum(layer(inputs, training=training) * weighting)
        results.append(tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value]))
    for ours, theirs in zip(*results, strict=True):
        assert np.abs(ops.convert_to_numpy(ours)).max() > 1e-2
        assert_same(ours, theirs, tolerance=1e-4)


@on_tensorflow
def test_fused_kernel_runs():
    import tensorflow

    layer = pair()[0]
    graph = tensorflow.function(lambda inputs: layer(inputs, training=True)).get_concrete_function(
        tensorflow.TensorSpec((None, None, None, 3))
    )
    assert "FusedBatchNormV3" in {operation.type for operation in graph.graph.get_operations()}


def test_serialisation():
    layer = BatchNormalization(momentum=0.9, epsilon=1e-4)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is BatchNormalization and again.get_config() == layer.get_config()


def test_a_layer_keeps_track_of_what_it_is_made_of():
    layer = BatchNormalization()
    layer.inner = None
    layer.inner = keras.layers.Dense(2)
    layer.inner.build((None, 5))
    layer.build((None, 4, 4, 3))
    assert len(layer.variables) == 6
    layer.trainable = False
    assert layer.trainable_variables == [] and not layer.inner.trainable
