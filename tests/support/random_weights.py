"""Weights of chance with which a network is no trivial one: fresh batch normalization does nothing."""

import keras
import numpy as np


def randomized(model, seed=0):
    """Gives all but the kernels random values, those that must be positive such values; returns the model."""
    random = np.random.default_rng(seed)
    for variable in model.weights:
        value = keras.ops.convert_to_numpy(variable)
        if "moving_variance" in variable.path or "gamma" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, value.shape))
        elif "kernel" not in variable.path:
            variable.assign(random.normal(0, 0.2, value.shape))
    return model
