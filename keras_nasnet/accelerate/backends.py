"""Other backends than TensorFlow: what Keras does not need of it is not imported."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def no_search_for_tensorflow() -> Iterator[None]:
    """Keep Keras from importing TensorFlow, for seconds, only to see that a model of JAX has nothing of it."""
    import keras

    try:
        module = keras.src.utils.module_utils.tensorflow
        before = module._available
    except AttributeError:
        yield
        return
    if "tensorflow" not in sys.modules:
        module._available = False
    try:
        yield
    finally:
        module._available = before
