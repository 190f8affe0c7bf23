"""Training and judging of a supernet's paths: what each backend implements, and what the backends have in common."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from keras_nasnet.common.registry import Registry
from keras_nasnet.data.split import Batch
from keras_nasnet.search.supernet.supernet import Node

Nodes = Sequence[Node]  # a path
Vectors = Mapping[str, np.ndarray]  # by slot, float32
Batches = Iterable[Batch]
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


class Trained(NamedTuple):
    """What a chunk of steps came to: new weights and momenta, and the loss before each step, float32 (steps,)."""

    weights: Vectors
    momenta: Vectors
    losses: np.ndarray


class Steps(Protocol):
    """Steps along paths. What is compiled for a part is kept for all paths that have it."""

    def train(
        self, path: Nodes, weights: Vectors, momenta: Vectors, batches: Batches, rates: Sequence[float]
    ) -> Trained:
        """Take a step a batch.

        Args:
            path: of a child.
            weights: of all its slots, and not of others.
            momenta: likewise.
            batches: of equal size, as many as there are rates.
            rates: learning rate of each step.
        """
        ...

    def right(self, path: Nodes, weights: Vectors, batches: Batches) -> int:
        """Return how many examples are classified right, normalized by the statistics of their batch."""
        ...


# By Keras' backend; each is made with a `Descent`.
BACKENDS: Registry[Callable[[Descent], Steps]] = Registry(
    "backend",
    {
        "tensorflow": "keras_nasnet.search.supernet.tensorflow:TensorFlowSteps",
        "jax": "keras_nasnet.search.supernet.jax:JaxSteps",
    },
)


def make_steps(descent: Descent) -> Steps:
    """Return the backend's steps.

    Raises:
        ValueError: if the backend has none.
    """
    backend = keras.backend.backend()
    if backend not in BACKENDS:
        choice = " or ".join(BACKENDS)
        raise ValueError(f"the Keras backend is {backend}: shared weights need {choice} (set KERAS_BACKEND)")
    return BACKENDS.get(backend)(descent)


def forward(path: Nodes, call: Call, weights: Mapping[str, Any], images: Any, labels: Any) -> list[Any]:
    """Return what `call(part, vectors, tensors, data)` returns for each node; tensors are the firsts of those."""
    data = {"images": images, "labels": labels, None: None}
    results: list[Any] = []
    for node in path:
        vectors = [weights[slot] for slot in node.slots]
        results.append(call(node.part, vectors, [results[read][0] for read in node.reads], data[node.data]))
    return results


def backward(path: Nodes, call: Call, results: Sequence[Any], upstream: Any) -> list[Any]:
    """Return the gradients by each node's vectors, from the last node to the first.

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
