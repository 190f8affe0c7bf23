"""The policy: a recurrent network that writes a child down, token by token."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_nasnet.search.space.contract import SearchSpace

_ILLEGAL = -1e9  # added to the logits of values that a token must not have


class Policy(keras.Model):
    """A one-layer LSTM with a softmax for each decision; the last token is the input of the next decision.

    Tokens of one kind share their embeddings. A softmax gives illegal values the probability 0.

    Args:
        space: whose children it writes.
        units: of the LSTM and of the embeddings.

    Source: arXiv 1707.07012, appendix A; Zoph and Le 2017, section 3.1.
    """

    def __init__(self, space: SearchSpace, units: int = 100):
        super().__init__(name="policy", dtype="float32")
        self.length, self.values = space.mask.shape
        self._sizes = np.array(space.sizes, np.int32)
        self._mask = np.where(space.mask, 0.0, _ILLEGAL).astype(np.float32)
        kinds = sorted(set(space.kinds))
        self._kinds = np.array([kinds.index(kind) for kind in space.kinds], np.int32)
        self.cell = keras.layers.LSTMCell(units, dtype="float32", name="lstm")
        self.cell.build((None, units))
        # Row 0 is the input of the first decision.
        self.embeddings = self.add_weight((1 + len(kinds) * self.values, units), name="embeddings")
        self.softmax_kernel = self.add_weight((self.length, units, self.values), name="softmax_kernel")
        self.softmax_bias = self.add_weight((self.length, self.values), name="softmax_bias")
        self.built = True

    def call(self, tokens: Any) -> tuple[Any, Any]:
        """Return how probable children are.

        Args:
            tokens: int32 (batch, length).

        Returns:
            Log-probability of each child, and the sum of the entropies of the decisions on its way, in nats:
            float32 (batch,).
        """
        _, log_prob, entropy = self._decide(ops.transpose(tokens), lambda given, log_probs, size: given)
        return log_prob, entropy

    def sample(self, uniforms: Any) -> tuple[Any, Any]:
        """Draw children.

        Args:
            uniforms: float32 (batch, length), uniform in [0, 1), which decide each token.

        Returns:
            Tokens, int32 (batch, length), and their log-probabilities, float32 (batch,).
        """
        tokens, log_prob, _ = self._decide(ops.transpose(uniforms), _inverse_cdf)
        return ops.transpose(tokens), log_prob

    def _decide(self, given: Any, choose: Callable[[Any, Any, Any], Any]) -> tuple[Any, Any, Any]:
        """Go through all decisions; `choose` gets the part of `given` (length, batch) that is for each."""

        def decision(carry: Sequence[Any], inputs: Sequence[Any]) -> tuple[tuple[Any, ...], Any]:
            last, hidden, memory, log_prob, entropy = carry
            given, kernel, bias, mask, size, kind = inputs
            hidden, (_, memory) = self.cell(last, [hidden, memory])
            log_probs = ops.log_softmax(ops.matmul(hidden, kernel) + bias + mask)
            token = choose(given, log_probs, size)
            log_prob = log_prob + ops.sum(ops.one_hot(token, self.values, dtype=self.dtype) * log_probs, axis=-1)
            entropy = entropy - ops.sum(ops.exp(log_probs) * log_probs, axis=-1)
            # A product, not a look-up, whose gradient adds up in no fixed order on a GPU.
            row = ops.one_hot(1 + kind * self.values + token, self.embeddings.shape[0], dtype=self.dtype)
            return (ops.matmul(row, self.embeddings), hidden, memory, log_prob, entropy), token

        batch = ops.shape(given)[1]
        zeros, none = ops.zeros((batch, self.cell.units), self.dtype), ops.zeros((batch,), self.dtype)
        first = zeros + self.embeddings[0]
        inputs = (given, self.softmax_kernel, self.softmax_bias, self._mask, self._sizes, self._kinds)
        (_, _, _, log_prob, entropy), tokens = _scan(decision, (first, zeros, zeros, none, none), inputs, self.length)
        return tokens, log_prob, entropy


def _inverse_cdf(uniforms: Any, log_probs: Any, size: Any) -> Any:
    below = ops.cumsum(ops.exp(log_probs), axis=-1) <= uniforms[:, None]
    return ops.minimum(ops.cast(ops.sum(ops.cast(below, "float32"), axis=-1), "int32"), size - 1)


def _scan(step: Callable[..., Any], carry: Any, inputs: Sequence[Any], length: int) -> tuple[Any, Any]:
    """`ops.scan`: what XLA compiles in a second, and TensorFlow runs slower than the steps one by one."""
    inputs = tuple(ops.convert_to_tensor(one) for one in inputs)
    if keras.backend.backend() == "jax":
        return ops.scan(step, carry, inputs)
    outputs = []
    for index in range(length):
        carry, output = step(carry, [one[index] for one in inputs])
        outputs.append(output)
    return carry, ops.stack(outputs)
