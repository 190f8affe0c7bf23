"""A model's weights by path, and whether two have the same."""

import keras
import numpy as np


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for path, value in actual.items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)
