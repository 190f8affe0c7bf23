"""Steps along a supernet's paths with JAX: a program forward, one backward and one to update for each part."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from keras_nasnet.search.supernet.parts import Part, decayed
from keras_nasnet.search.supernet.steps import Batches, Descent, Nodes, Steps, Trained, Vectors, backward, forward
from keras_nasnet.search.supernet.supernet import slots


class JaxSteps(Steps):
    """See `Steps`. Nothing depends on a whole path, whose shapes are new with each child."""

    def __init__(self, descent: Descent):
        self._descent = descent
        self._with_residuals: dict[Part, Any] = {}
        self._outputs: dict[Part, Any] = {}
        self._backward = jax.jit(lambda residuals, upstream: residuals(upstream))
        self._decay = jax.jit(self._decayed)
        self._update = jax.jit(self._updated, donate_argnums=(0, 1))

    def train(
        self, path: Nodes, weights: Vectors, momenta: Vectors, batches: Batches, rates: Sequence[float]
    ) -> Trained:
        layouts = slots(path)
        vectors, momentum = ({slot: jnp.array(x[slot]) for slot in layouts} for x in (weights, momenta))
        kernels = {slot: jnp.asarray(decayed(layout)) for slot, layout in layouts.items()}
        losses = []
        for (images, labels), rate in zip(batches, rates, strict=True):
            images, labels = jnp.asarray(images), jnp.asarray(labels)
            results = forward(path, self._forward, vectors, images, labels)
            gradients = backward(path, self._gradients, results, jnp.array([1.0, 0.0]))
            losses.append(results[-1][0][0])
            self._descend(path, vectors, momentum, kernels, gradients[::-1], rate)
        new = [{slot: np.asarray(vector) for slot, vector in x.items()} for x in (vectors, momentum)]
        return Trained(new[0], new[1], np.array(losses, np.float32))

    def right(self, path: Nodes, weights: Vectors, batches: Batches) -> int:
        vectors = {slot: jnp.asarray(weights[slot]) for slot in slots(path)}
        counts = [
            forward(path, self._output, vectors, jnp.asarray(images), jnp.asarray(labels))[-1][0][1]
            for images, labels in batches
        ]
        return round(sum(float(count) for count in counts))

    def _forward(self, part: Part, vectors: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        if part not in self._with_residuals:

            def function(vectors: Any, tensors: Any, data: Any) -> Any:
                return jax.vjp(lambda vectors, tensors: part.function(vectors, tensors, data), vectors, tensors)

            self._with_residuals[part] = jax.jit(function)
        return self._with_residuals[part](vectors, tensors, data)

    def _gradients(self, part: Part, result: Any, upstream: Any) -> Any:
        return self._backward(result[1], upstream)

    def _output(self, part: Part, vectors: Sequence[Any], tensors: Sequence[Any], data: Any) -> Any:
        if part not in self._outputs:
            self._outputs[part] = jax.jit(part.function)
        return (self._outputs[part](vectors, tensors, data),)

    def _descend(
        self, path: Nodes, vectors: Any, momentum: Any, kernels: Any, gradients: Sequence[Any], rate: float
    ) -> None:
        """Replaces all vectors: the norm of all gradients must be known before the first is changed."""
        square: Any = 0.0
        parts = []
        for node, gradient in zip(path, gradients, strict=True):
            if node.slots:
                own = [[x[slot] for slot in node.slots] for x in (vectors, momentum, kernels)]
                gradient, square = self._decay(gradient, own[0], own[2], square)
                parts.append((node.slots, own[0], own[1], gradient))
        for names, old, old_momenta, gradient in parts:
            new = self._update(old, old_momenta, gradient, square, rate)
            vectors.update(zip(names, new[0], strict=True))
            momentum.update(zip(names, new[1], strict=True))

    def _decayed(self, gradients: Any, weights: Any, kernels: Any, square: Any) -> tuple[Any, Any]:
        decay = self._descent.weight_decay
        decayed = [g + decay * k * w for g, w, k in zip(gradients, weights, kernels, strict=True)]
        return decayed, square + sum(jnp.sum(jnp.square(gradient)) for gradient in decayed)

    def _updated(self, weights: Any, momenta: Any, gradients: Any, square: Any, rate: Any) -> tuple[Any, Any]:
        if self._descent.clip_norm:
            rate = rate * self._descent.clip_norm / jnp.maximum(jnp.sqrt(square), self._descent.clip_norm)
        share = self._descent.momentum
        momenta = [share * m - rate * g for m, g in zip(momenta, gradients, strict=True)]
        weights = [w + share * m - rate * g for w, m, g in zip(weights, momenta, gradients, strict=True)]
        return weights, momenta
