"""The operations: shapes, serialisation, projections, and the arithmetic of the unusual ones."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.genotype import COMBINES, MORE_OPERATIONS, OPERATIONS
from keras_nasnet.layers.convolution import FactorizedReduction, Projection
from keras_nasnet.layers.operations import NormalizedAdd, make_combine, make_operation


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def rebuilt(layer):
    """The same layer from its config, with the same weights."""
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again.set_weights(layer.get_weights())
    return again


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS + MORE_OPERATIONS)
def test_shape_and_serialisation(name, stride):
    layer = make_operation(name, 4, stride, batch_norm_momentum=0.5)
    layer.build((None, None, None, 3))
    again = rebuilt(layer)
    assert type(again) is type(layer) and again.get_config() == layer.get_config()
    for height, width in [(8, 6), (9, 7), (8, 5)]:
        inputs = images(2, height, width, 3)
        outputs = ops.convert_to_numpy(layer(inputs))
        assert outputs.shape == (2, -(-height // stride), -(-width // stride), 4)
        assert outputs.shape == tuple(layer.compute_output_shape(inputs.shape))
        assert (np.ptp(outputs) > 0) == (name != "zero")
        np.testing.assert_array_equal(ops.convert_to_numpy(again(inputs)), outputs)


@pytest.mark.parametrize("name", OPERATIONS + MORE_OPERATIONS)
def test_projection_only_where_needed(name):
    def projections(filters, stride):
        layer = make_operation(name, filters, stride)
        layer.build((None, 8, 8, 4))
        return getattr(layer, "projection", None) is not None

    is_identity, is_pool = name == "identity", "pool" in name
    assert not projections(4, 1)
    assert projections(4, 2) == is_identity
    assert projections(6, 1) == (is_identity or is_pool)
    assert projections(6, 2) == (is_identity or is_pool)


def test_identity_is_the_input_itself():
    layer = make_operation("identity", 3)
    inputs = images(1, 4, 4, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(inputs)), inputs)
    assert not layer.weights and not layer.reads_rectified


@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
@pytest.mark.parametrize("name", ["dil_conv_3x3", "dil_sep_conv_3x3", "dil_sep_conv_5x5", "conv_1x1", "identity"])
def test_stride_2_is_stride_1_subsampled(name, size):
    """Of these, the windows of stride 2 stand on every second window of stride 1."""
    strided, dense = (make_operation(name, 5, stride) for stride in (2, 1))
    inputs = images(2, *size, 3)
    expected = dense(inputs)
    strided.build(inputs.shape)
    strided.set_weights(dense.get_weights())
    np.testing.assert_allclose(
        ops.convert_to_numpy(strided(inputs)), ops.convert_to_numpy(expected)[:, ::2, ::2], atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "read"),
    [("dil_conv_3x3", {2, 4, 6}), ("dil_sep_conv_3x3", {2, 4, 6}), ("dil_sep_conv_5x5", {0, 2, 4, 6, 8})],
)
def test_dilated_convolution_is_dilated(name, read):
    """The separable ones are applied once."""
    layer = make_operation(name, 1)
    impulse = np.zeros((1, 9, 9, 1), "float32")
    impulse[0, 4, 4, 0] = 1
    layer.build(impulse.shape)
    layer.set_weights([np.ones_like(weight) for weight in layer.get_weights()])
    rows, columns = np.nonzero(ops.convert_to_numpy(layer(impulse))[0, ..., 0] > 0.5)
    assert set(rows) == set(columns) == read


@pytest.mark.parametrize("stride", [1, 2])
def test_zero_is_nothing(stride):
    layer = make_operation("zero", 5, stride)
    outputs = ops.convert_to_numpy(layer(images(2, 7, 6, 3)))
    assert outputs.shape == (2, -(-7 // stride), 6 // stride, 5)
    assert not outputs.any() and not layer.weights


@pytest.mark.parametrize(
    ("name", "window"), [("sep_conv_3x3", 5), ("sep_conv_5x5", 9), ("sep_conv_7x7", 13), ("conv_3x3", 3)]
)
def test_receptive_field(name, window):
    """A separable convolution is applied twice."""
    layer = make_operation(name, 2)
    impulse = np.zeros((1, 17, 17, 2), "float32")
    impulse[0, 8, 8] = 1
    layer.build(impulse.shape)
    layer.set_weights([np.abs(weight) for weight in layer.get_weights()])
    assert np.count_nonzero(ops.convert_to_numpy(layer(impulse))[0, ..., 0]) == window**2


@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_factorized_reduction(size):
    layer = FactorizedReduction(5)
    inputs = images(2, *size, 3)
    outputs = ops.convert_to_numpy(layer(inputs))
    padded = np.pad(inputs, [(0, 0), (0, 1), (0, 1), (0, 0)])
    first, second = (ops.convert_to_numpy(path.kernel)[0, 0] for path in (layer.path_1, layer.path_2))
    expected = np.concatenate([inputs[:, ::2, ::2] @ first, padded[:, 1::2, 1::2] @ second], axis=-1)
    assert first.shape == (3, 2) and second.shape == (3, 3)
    variance = ops.convert_to_numpy(layer.batch_norm.moving_variance)
    np.testing.assert_allclose(outputs, expected / np.sqrt(variance + 1e-3), atol=1e-5)


@pytest.mark.parametrize("combine", COMBINES)
def test_combine(combine):
    layer = make_combine(combine)
    left, right = images(2, 5, 4, 3, seed=1), images(2, 5, 4, 3, seed=2)
    outputs = ops.convert_to_numpy(layer([left, right]))
    if combine == "concat":
        expected = np.concatenate([left, right], axis=-1)
    else:
        expected = left + right
        axes = {"layer_norm_add": (1, 2, 3), "instance_norm_add": (1, 2)}.get(combine)
        if axes:
            mean, variance = expected.mean(axes, keepdims=True), expected.var(axes, keepdims=True)
            expected = (expected - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    np.testing.assert_array_equal(ops.convert_to_numpy(again([left, right])), outputs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_operation("conv", 4), "unknown operation 'conv'"),
        (lambda: make_operation("conv_1x1", 4, 3), "stride is 3"),
        (lambda: make_operation("conv_1x1", 0), "filters is 0"),
        (lambda: make_operation("conv_1x1", 4.0), "filters is 4.0"),
        (lambda: make_operation("max_pool_3x3", 4, pool_padding="valid"), "pool_padding is 'valid'"),
        (lambda: make_combine("mul"), "unknown combine 'mul'"),
        (lambda: NormalizedAdd("batch"), "over is 'batch'"),
        (lambda: FactorizedReduction(1), "at least 2"),
        (lambda: FactorizedReduction(4, 1), "stride is 1"),
        (lambda: Projection(4, 0), "stride is 0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
