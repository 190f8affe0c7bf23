"""Models whose weights are read from a file right after they are made need no random values."""

import contextlib
from collections.abc import Iterator
from typing import Any

_INITIALIZE = "_initialize_with_initializer"


@contextlib.contextmanager
def without_random_values() -> Iterator[None]:
    """Make models whose kernels start at zero, for weights that are read next.

    Takes a third of the time for NASNetLarge on TensorFlow. Not for threads that build other
    models meanwhile.
    """
    import keras

    def zeros(self: Any, shape: Any, dtype: Any = None, **options: Any) -> Any:
        return keras.ops.zeros(shape, dtype)

    with _replaced(keras.initializers.VarianceScaling, "__call__", zeros):  # that of all kernels
        initialize = getattr(keras.Variable, _INITIALIZE, None)
        if keras.backend.backend() != "tensorflow" or initialize is None:
            yield
            return
        import tensorflow

        def initialize_at_the_root(self: Any, initializer: Any) -> None:
            # TensorFlow prepares an operation for each name in its own scope, but one for all "kernel"
            # of the same shape. Keras' paths are not made of these names.
            with tensorflow.name_scope(""):
                initialize(self, initializer)

        with _replaced(keras.Variable, _INITIALIZE, initialize_at_the_root):
            yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace a method of a class within the context."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)
