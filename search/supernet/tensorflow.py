"""Steps along a supernet's paths with TensorFlow: a graph forward and a graph backward for each part.

A tape around one graph a part would do the same; its bookkeeping takes longer than small parts do.
Calls of those graphs make a graph of a child that is traced four times as fast as one of layers;
it pays where a child is trained for many steps (`scripts/benchmark_shared.py`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_nasnet.accelerate.graphs import call_graph
from keras_nasnet.search.supernet.parts import Part, decayed, size
from keras_nasnet.search.supernet.steps import Batches, Descent, Nodes, Steps, Trained, Vectors, backward, forward
from keras_nasnet.search.supernet.supernet import slots

JOINED_FROM = 8  # steps of a chunk: a graph costs 1.7 s, and saves a quarter of a second a step


class TensorFlowSteps(Steps):
    """See `Steps`. A path's weights are one vector: one update a step, and not one for each slot."""

    def __init__(self, descent: Descent):
        self._descent = descent
        self._graphs: dict[tuple[Any, ...], _Graphs] = {}
        self._of_the_loss = tf.constant([1.0, 0.0])
        vector, scalar = tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.float32)
        update = tf.function(self._updated, input_signature=[vector] * 4 + [scalar], autograph=False)
        self._update = update.get_concrete_function()

    def train(
        self, path: Nodes, weights: Vectors, momenta: Vectors, batches: Batches, rates: Sequence[float]
    ) -> Trained:
        layouts = slots(path)
        lengths = [size(layout) for layout in layouts.values()]
        flat, momentum = (tf.constant(np.concatenate([x[slot] for slot in layouts])) for x in (weights, momenta))
        kernels = tf.constant(np.concatenate([decayed(layout) for layout in layouts.values()]))
        losses = []
        whole: Any = partial(self._gradient, path, lengths)
        if len(rates) >= JOINED_FROM:
            whole = tf.function(whole, autograph=False)
        for (images, labels), rate in zip(batches, rates, strict=True):
            loss, gradient = whole(flat, tf.constant(images), tf.constant(labels))
            flat, momentum = self._update(flat, momentum, gradient, kernels, tf.constant(rate, tf.float32))
            losses.append(loss)
        ends = np.cumsum(lengths)[:-1]
        new = [dict(zip(layouts, np.split(x.numpy(), ends), strict=True)) for x in (flat, momentum)]
        return Trained(new[0], new[1], np.array([loss.numpy() for loss in losses], np.float32))

    def right(self, path: Nodes, weights: Vectors, batches: Batches) -> int:
        tensors = {slot: tf.constant(weights[slot]) for slot in slots(path)}
        counts = [
            forward(path, self._forward, tensors, tf.constant(images), tf.constant(labels))[-1][0][1]
            for images, labels in batches
        ]
        return round(sum(float(count) for count in counts))

    def _gradient(self, path: Nodes, lengths: Sequence[int], flat: Any, images: Any, labels: Any) -> tuple[Any, Any]:
        vectors = dict(zip(slots(path), tf.split(flat, lengths), strict=True))
        results = forward(path, self._forward, vectors, images, labels)
        gradients = backward(path, self._backward, results, self._of_the_loss)
        return results[-1][0][0], tf.concat([vector for node in reversed(gradients) for vector in node], axis=0)

    def _forward(self, part: Part, vectors: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        key = (part, *(tuple(tensor.shape) for tensor in tensors), None if data is None else tuple(data.shape))
        inputs = [*vectors, *tensors] if data is None else [*vectors, *tensors, data]
        if key not in self._graphs:
            self._graphs[key] = _trace(part, len(vectors), len(tensors), inputs)
        graphs = self._graphs[key]
        output, *made = call_graph(graphs.forward, inputs)
        return output, graphs, [inputs[number] for number in graphs.kept_inputs] + made

    def _backward(self, part: Part, result: Any, upstream: Any) -> Any:
        _, graphs, kept = result
        gradients = call_graph(graphs.backward, [upstream, *kept])
        count = len(part.layouts)
        return gradients[:count], gradients[count:]

    def _updated(self, weights: Any, momentum: Any, gradient: Any, kernels: Any, rate: Any) -> tuple[Any, Any]:
        gradient += self._descent.weight_decay * kernels * weights
        if self._descent.clip_norm:
            gradient = tf.clip_by_norm(gradient, self._descent.clip_norm)
        momentum = self._descent.momentum * momentum - rate * gradient
        return weights + self._descent.momentum * momentum - rate * gradient, momentum


class _Graphs(NamedTuple):
    """A part for inputs of certain shapes.

    Args:
        forward: takes vectors, tensors and data; returns the output, and what only the graph backward wants.
        backward: takes the gradient by the output, then what was kept; returns a gradient a vector and a tensor.
        kept_inputs: numbers of the inputs that `backward` wants, before what `forward` made for it.
    """

    forward: Any
    backward: Any
    kept_inputs: list[int]


def _trace(part: Part, vectors: int, tensors: int, inputs: Sequence[Any]) -> _Graphs:
    """Make one graph of output and gradients, and cut it in two."""
    ends: dict[str, Any] = {}

    def whole(*given: Any) -> Any:
        data = given[-1] if len(given) > vectors + tensors else None
        output = part.function(given[:vectors], given[vectors : vectors + tensors], data)
        ends["before"] = set(output.graph.get_operations())
        ends["upstream"] = tf.compat.v1.placeholder(output.dtype, output.shape)
        differentiated = list(given[: vectors + tensors])
        ends["gradients"] = tf.gradients(
            output, differentiated, ends["upstream"], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return output

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in inputs]
    graph = tf.compat.v1.wrap_function(whole, signature)
    given, output = list(graph.inputs[: len(inputs)]), graph.outputs[0]
    wanted: dict[Any, Any] = {}  # by reference: tensors of graphs, in order
    after = [operation for operation in graph.graph.get_operations() if operation not in ends["before"]]
    for tensor in [*(tensor for operation in after for tensor in operation.inputs), *ends["gradients"]]:
        if tensor.op in ends["before"] and tensor.op.type != "Const":
            wanted[tensor.ref()] = tensor
    kept_inputs = [number for number, tensor in enumerate(given) if tensor.ref() in wanted]
    makers = dict.fromkeys(tensor.op for ref, tensor in wanted.items() if ref not in {tensor.ref() for tensor in given})
    # All their outputs: `prune` also copies operations that nobody wants, and stumbles where one reads another output.
    made = [tensor for operation in makers for tensor in operation.outputs]
    return _Graphs(
        graph.prune(given, [output, *made]),
        graph.prune([ends["upstream"], *(given[number] for number in kept_inputs), *made], ends["gradients"]),
        kept_inputs,
    )
