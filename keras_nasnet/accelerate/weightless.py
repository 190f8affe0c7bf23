"""Layers that hold no weights: their values are drawn when they are read.

A child of a supernet is computed with weights of the supernet. To make its own thousand variables would take longer
than to compute its outputs.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

_NAME = "uninitialized_variables"  # the list of those that Keras gives values later


@contextlib.contextmanager
def weightless() -> Iterator[None]:
    """Make layers without memory for their weights: each value is drawn from its own seed whenever it is read."""
    with _no_values_later(), keras.StatelessScope(initialize_variables=False):
        yield


@contextlib.contextmanager
def _no_values_later() -> Iterator[None]:
    try:
        state: Any = keras.src.backend.common.global_state
        get, put = state.get_global_attribute, state.set_global_attribute
    except AttributeError:
        yield
        return
    before = get(_NAME)
    put(_NAME, [])
    try:
        yield
    finally:
        put(_NAME, before)
