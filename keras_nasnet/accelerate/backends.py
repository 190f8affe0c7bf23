"""Backends and settings of Keras: what is not needed is not imported, and what a user has set elsewhere stays there."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def standard_settings() -> Iterator[None]:
    """Compute in float32 and channels last, whatever a user's keras.json says for the user's own code.

    A dtype policy that was set in this process stays: only the one that follows from keras.json is replaced. And no
    other backend than the one that computes is imported.
    """
    import keras

    config = keras.config
    floats, data_format, policy = config.floatx(), config.image_data_format(), config.dtype_policy()
    config.set_floatx("float32")
    config.set_image_data_format("channels_last")
    if policy.name == floats:
        config.set_dtype_policy("float32")
    try:
        with no_search_for_tensorflow():
            yield
    finally:
        config.set_floatx(floats)
        config.set_image_data_format(data_format)
        config.set_dtype_policy(policy)


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
