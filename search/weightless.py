"""Layers without weights of their own: their shapes are what is wanted, and random values take long to draw."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

_NAME = "uninitialized_variables"  # the list of those that Keras would give values later


@contextmanager
def weightless() -> Iterator[None]:
    """Within, the weights of new layers get no values, and later none either; their shapes and names are known."""
    state = keras.src.backend.common.global_state
    before = state.get_global_attribute(_NAME)
    state.set_global_attribute(_NAME, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        state.set_global_attribute(_NAME, before)
