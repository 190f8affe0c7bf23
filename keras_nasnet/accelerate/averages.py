"""Moving averages of weights, which an optimizer keeps with `use_ema=True`."""

import keras


def weights_and_averages(optimizer: keras.optimizers.Optimizer) -> list[tuple[keras.Variable, keras.Variable]]:
    """Return each weight with the variable of its moving average.

    Args:
        optimizer: built, and with `use_ema=True`.
    """
    return list(zip(optimizer._trainable_variables, optimizer._model_variables_moving_average, strict=True))
