"""Layers without weights of their own: to make a thousand variables takes longer than to compute a child's outputs."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

_NAME = "uninitialized_variables"  # the list of those that Keras would give values later


@contextmanager
def weightless() -> Iterator[None]:
    """Within, the weights of new layers take no memory: each is drawn anew, from its own seed, when it is read."""
    state = keras.src.backend.common.global_state
    before = state.get_global_attribute(_NAME)
    state.set_global_attribute(_NAME, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        state.set_global_attribute(_NAME, before)
