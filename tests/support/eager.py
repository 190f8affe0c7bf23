"""Keras' own functions, such as `predict`, without a graph: to compile a network takes longer than a few images."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """On TensorFlow; the other backends compile as always."""
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow

    tensorflow.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tensorflow.config.run_functions_eagerly(False)
