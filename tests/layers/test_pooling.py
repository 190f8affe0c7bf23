"""Pools against numpy and against the layers that other code bases put together."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.layers.pooling import POOL_PADDINGS, pool

SIZES = [(8, 8), (9, 9), (8, 7), (5, 6)]
KINDS = [("max", 3), ("max", 5), ("max", 7), ("average", 3)]


def images(height, width, seed=0):
    """Mostly negative, so that a zero from the border wins a maximum."""
    return (np.random.default_rng(seed).normal(size=(2, height, width, 3)) - 2).astype("float32")


def reference(inputs, kind, size, stride, zeros_count):
    """SAME pooling, window by window."""
    height, width = (-(-length // stride) for length in inputs.shape[1:3])
    vertical = max((height - 1) * stride + size - inputs.shape[1], 0)
    horizontal = max((width - 1) * stride + size - inputs.shape[2], 0)
    padding = [(0, 0), *((total // 2, total - total // 2) for total in (vertical, horizontal)), (0, 0)]
    padded = np.pad(inputs, padding, constant_values=0.0 if zeros_count else np.nan)
    reduce = np.nanmax if kind == "max" else np.nanmean
    result = np.empty((len(inputs), height, width, inputs.shape[3]), "float32")
    for row in range(height):
        for column in range(width):
            top, left = row * stride, column * stride
            result[:, row, column] = reduce(padded[:, top : top + size, left : left + size], axis=(1, 2))
    return result


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "window"), KINDS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("pool_padding", POOL_PADDINGS)
def test_against_numpy(pool_padding, stride, kind, window, size):
    inputs = images(*size)
    zeros_count = stride == 2 and (pool_padding == "keras" or (pool_padding == "timm" and kind == "average"))
    outputs = ops.convert_to_numpy(
        pool(ops.convert_to_tensor(inputs), kind, window, stride, pool_padding, "channels_last")
    )
    np.testing.assert_allclose(outputs, reference(inputs, kind, window, stride, zeros_count), atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "window"), KINDS)
def test_keras_is_explicit_zero_padding(kind, window, size):
    """keras.applications: ZeroPadding2D(correct_pad(...)), then a valid pool."""
    inputs = images(*size)
    half = window // 2
    padding = tuple((half - (1 - length % 2), half) for length in size)
    layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
    expected = layer(window, strides=2, padding="valid")(keras.layers.ZeroPadding2D(padding)(inputs))
    outputs = pool(ops.convert_to_tensor(inputs), kind, window, 2, "keras", "channels_last")
    np.testing.assert_allclose(ops.convert_to_numpy(outputs), ops.convert_to_numpy(expected), atol=1e-5)


def test_paddings_differ():
    inputs = ops.convert_to_tensor(images(8, 8))
    results = {
        (kind, padding): ops.convert_to_numpy(pool(inputs, kind, 3, 2, padding, "channels_last"))
        for kind in ("max", "average")
        for padding in POOL_PADDINGS
    }
    assert np.abs(results["max", "keras"] - results["max", "same"]).max() > 0.1
    assert np.abs(results["average", "timm"] - results["average", "same"]).max() > 0.1
    np.testing.assert_array_equal(results["max", "timm"], results["max", "same"])
    np.testing.assert_array_equal(results["average", "timm"], results["average", "keras"])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends compile for each size")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pool_padding", POOL_PADDINGS)
def test_size_known_only_at_run_time(pool_padding, size):
    import tensorflow

    @tensorflow.function(input_signature=[tensorflow.TensorSpec((None, None, None, 3))])
    def dynamic(inputs):
        return [pool(inputs, kind, window, 2, pool_padding, "channels_last") for kind, window in KINDS]

    inputs = ops.convert_to_tensor(images(*size))
    for (kind, window), outputs in zip(KINDS, dynamic(inputs), strict=True):
        expected = pool(inputs, kind, window, 2, pool_padding, "channels_last")
        np.testing.assert_allclose(ops.convert_to_numpy(outputs), ops.convert_to_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("pool_padding", POOL_PADDINGS)
def test_low_precision_keeps_its_dtype(pool_padding):
    inputs = ops.cast(images(7, 8), "bfloat16")
    for kind, window in KINDS:
        assert (
            keras.backend.standardize_dtype(pool(inputs, kind, window, 2, pool_padding, "channels_last").dtype)
            == "bfloat16"
        )
