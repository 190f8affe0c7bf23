"""The ReLU of all networks, with a hook that shows its outputs, for scores of untrained networks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

_observer: ContextVar[Callable[[Any], None] | None] = ContextVar("observer of ReLUs", default=None)


@contextmanager
def observe_rectified(observer: Callable[[Any], None]) -> Iterator[None]:
    """Call `observer` with the output of each ReLU that is computed within the context, in the order of computation."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def rectify(inputs: Any) -> Any:
    """Return the ReLU of a tensor."""
    return _observed(ops.relu(inputs))


@keras.saving.register_keras_serializable("keras_nasnet")
class ReLU(keras.layers.ReLU):
    """`keras.layers.ReLU` whose outputs `observe_rectified` shows, for use between layers."""

    def call(self, inputs: Any) -> Any:
        return _observed(super().call(inputs))


def _observed(rectified: Any) -> Any:
    observer = _observer.get()
    if observer is not None:
        observer(rectified)
    return rectified
