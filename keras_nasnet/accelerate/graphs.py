"""Calls of TensorFlow's graphs."""

from collections.abc import Sequence
from typing import Any


def call_graph(graph: Any, inputs: Sequence[Any]) -> list[Any]:
    """Return the outputs of a concrete function for its inputs, in order.

    The call itself would first try to bind the inputs to names, which pruned graphs lack.
    """
    if hasattr(graph, "_call_flat"):
        return graph._call_flat(list(inputs), graph.captured_inputs)
    return graph(*inputs)
