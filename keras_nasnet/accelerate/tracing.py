"""Graphs of fewer operations on the TensorFlow backend, which are traced sooner: a child of a search lives for seconds.

Each operation of a graph costs about half a millisecond before its first run, and
TensorFlow makes many that nobody reads: a constant for each number, zeros for the gradients
of outputs without one, identities around a function with its own gradient.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

Gradient = Callable[[Any], Sequence[Any]]  # of an output's gradient, one for each input


def tensorflow() -> Any:
    """Return the module; Keras has loaded it already: the core never imports it itself."""
    return sys.modules["tensorflow"]


def constant(value: Any, dtype: str) -> Any:
    """Return a constant, in a graph the same one for the same value.

    Args:
        value: a number, or a tuple of numbers.
        dtype: of the constant.
    """
    tf = tensorflow()
    # The replicas of a strategy share a graph, and each has a device of its own.
    if tf.executing_eagerly() or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return tf.constant(value, dtype)
    graph = tf.compat.v1.get_default_graph()
    # On the graph, not in a collection of it: graphs within it, as of a loop's body, take over collections.
    known = getattr(graph, "_keras_nasnet_constants", None)
    if known is None:
        known = graph._keras_nasnet_constants = {}
    if (value, dtype) not in known:
        with tf.control_dependencies(None):
            known[value, dtype] = tf.constant(value, dtype)
    return known[value, dtype]


def with_gradient(output: Any, gradient: Gradient, *inputs: Any) -> Any:
    """Return a tensor with a gradient of its own, in place of those of the operations that it comes from.

    As `tf.custom_gradient`, without the zeros, and the identity for each input, that this puts into a graph.
    `tf.gradients`, which uses no tape, takes the gradients of the operations.

    Args:
        output: what was computed of the inputs.
        gradient: makes of the output's gradient one for each input.
        *inputs: tensors; a variable has to be read before.
    """
    tf = tensorflow()
    # No public name: the tape's own way to take note of an operation.
    record: Any = sys.modules.get("tensorflow.python.eager.record")
    if not hasattr(record, "stop_recording") or not hasattr(record, "record_operation"):
        return tf.custom_gradient(lambda *_: (tf.stop_gradient(output), gradient))(*inputs)
    with record.stop_recording():
        output = tf.identity(output)  # else a tape would know two ways to its gradient
    record.record_operation("keras_nasnet", [output], list(inputs), gradient)
    return output
