"""Training and judging of a supernet's paths, on whatever backend runs."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import keras
import numpy as np

from keras_nasnet.data.split import Batch
from keras_nasnet.search.supernet.supernet import Node

Vectors = Mapping[str, np.ndarray]  # by slot, float32
Call = Callable[..., Any]


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent with Nesterov's momentum; the gradient is decayed, then clipped.

    Args:
        momentum: share of the last step that is taken again.
        weight_decay: factor of the L2 penalty on kernels.
        clip_norm: gradients are scaled to at most this global norm; 0 for no clipping.
    """

    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 5.0


class Steps(Protocol):
    """Steps along paths. What is compiled for a part is kept for all paths that have it."""

    def train(
        self,
        path: Sequence[Node],
        weights: Vectors,
        momenta: Vectors,
        batches: Iterable[Batch],
        rates: Sequence[float],
    ) -> tuple[Vectors, Vectors, np.ndarray]:
        """Takes a step a batch; returns new weights and momenta, and the loss before each step, float32 (steps,).

        Args:
            path: of a child.
            weights: of all its slots, and not of others.
            momenta: likewise.
            batches: of equal size, as many as there are rates.
            rates: learning rate of each step.
        """
        ...

    def right(self, path: Sequence[Node], weights: Vectors, batches: Iterable[Batch]) -> int:
        """Returns how many examples are classified right, normalized by the statistics of their batch."""
        ...


def make_steps(descent: Descent) -> Steps:
    """Returns the backend's steps.

    Raises:
        ValueError: if the backend has none.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from keras_nasnet.search.supernet.tensorflow import TensorFlowSteps

        return TensorFlowSteps(descent)
    if backend == "jax":
        from keras_nasnet.search.supernet.jax import JaxSteps

        return JaxSteps(descent)
    raise ValueError(f"the Keras backend is {backend}: shared weights need tensorflow or jax (set KERAS_BACKEND)")


def forward(path: Sequence[Node], call: Call, weights: Mapping[str, Any], images: Any, labels: Any) -> list[Any]:
    """Returns what `call(part, vectors, tensors, data)` returns for each node; tensors are the firsts of those."""
    data = {"images": images, "labels": labels, None: None}
    results: list[Any] = []
    for node in path:
        vectors = [weights[slot] for slot in node.slots]
        results.append(call(node.part, vectors, [results[read][0] for read in node.reads], data[node.data]))
    return results


def backward(path: Sequence[Node], call: Call, results: Sequence[Any], upstream: Any) -> list[Any]:
    """Returns the gradients by each node's vectors, from the last node to the first.

    Args:
        path: that went forward.
        call: `call(part, result, upstream)` returns the gradients by a part's vectors, and those by its tensors.
        results: of `forward`.
        upstream: gradient by the output of the last node.
    """
    upstreams = {len(path) - 1: upstream}
    gradients = []
    for number in reversed(range(len(path))):
        by_vectors, by_tensors = call(path[number].part, results[number], upstreams.pop(number))
        gradients.append(by_vectors)
        for read, gradient in zip(path[number].reads, by_tensors, strict=True):
            upstreams[read] = upstreams[read] + gradient if read in upstreams else gradient
    return gradients
