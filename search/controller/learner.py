"""Learners: they sample a policy and update it, on each backend and under any `tf.distribute` strategy."""

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.search.controller.policy import Policy

# Takes the policy, then of each child its tokens, old log-probability, advantage and weight; returns what is to be
# minimised and numbers to plot, each a sum over children of the weight times something.
Loss = Callable[[Policy, Any, Any, Any, Any], tuple[Any, dict[str, Any]]]


class Learner(Protocol):
    """A policy with its optimizer.

    Attributes:
        variables: all that a state needs, up to date after every call; the policy's weights come first.
        weights: number of the policy's weights.
    """

    variables: list[Any]
    weights: int

    def sample(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return `Policy.sample` of float32 (batch, length), as arrays."""
        ...

    def update(
        self, tokens: np.ndarray, log_probs: np.ndarray, advantages: np.ndarray, weights: np.ndarray
    ) -> dict[str, float]:
        """Take one step down the loss of a batch, over all replicas; return the loss' numbers to plot."""
        ...


@standard_settings()
def make_learner(make_policy: Callable[[], Policy], learning_rate: float, loss: Loss, strategy: Any = None) -> Learner:
    """Return a learner that minimises a loss with Adam.

    Args:
        make_policy: is called within the strategy's scope.
        learning_rate: of Adam.
        loss: of a batch of children; see `Loss`.
        strategy: a `tf.distribute.Strategy`; each of its replicas takes an equal part of a batch.

    Raises:
        ValueError: if there is a strategy and the backend is not TensorFlow.
    """
    backend = keras.backend.backend()
    if strategy is not None and backend != "tensorflow":
        raise ValueError(f"a tf.distribute strategy needs the TensorFlow backend, and this is {backend}")
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        policy = make_policy()
        optimizer = keras.optimizers.Adam(learning_rate)
        optimizer.build(policy.trainable_variables)
    kinds: dict[str, Any] = {"tensorflow": _TensorFlowLearner, "jax": _JaxLearner, "torch": _TorchLearner}
    return kinds[backend](policy, optimizer, loss, strategy)


class _BaseLearner:
    def __init__(self, policy: Policy, optimizer: keras.optimizers.Optimizer, loss: Loss, strategy: Any):
        self._policy, self._optimizer, self._loss, self._strategy = policy, optimizer, loss, strategy
        self._trainable = policy.trainable_variables
        self.variables = [*policy.variables, *optimizer.variables]
        self.weights = len(policy.variables)


class _TensorFlowLearner(_BaseLearner):
    def __init__(self, *parts: Any):
        super().__init__(*parts)
        import tensorflow as tf

        self._tf = tf
        self._strategy = self._strategy or tf.distribute.get_strategy()
        self._sample = tf.function(lambda uniforms: self._run(self._policy.sample, uniforms), autograph=False)
        self._update = tf.function(lambda *batch: self._run(self._update_replica, *batch), autograph=False)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return what the first of this process' replicas returns; all return the same."""
        results = self._strategy.run(function, args=arguments)
        return self._tf.nest.map_structure(lambda one: self._strategy.experimental_local_results(one)[0], results)

    def sample(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, log_probs = self._sample(self._tf.constant(uniforms))
        return tokens.numpy(), log_probs.numpy()

    def update(self, *batch: np.ndarray) -> dict[str, float]:
        short = -len(batch[0]) % self._strategy.num_replicas_in_sync
        # What fills a batch up has the weight 0.
        padded = [np.concatenate([array, np.zeros((short, *array.shape[1:]), array.dtype)]) for array in batch]
        return {name: float(value) for name, value in self._update(*map(self._tf.constant, padded)).items()}

    def _update_replica(self, *batch: Any) -> dict[str, Any]:
        tf = self._tf
        context = tf.distribute.get_replica_context()
        size = batch[0].shape[0] // self._strategy.num_replicas_in_sync
        begin = size * context.replica_id_in_sync_group
        values = [variable.value for variable in self._trainable]
        with tf.GradientTape() as tape:
            loss, numbers = self._loss(self._policy, *(array[begin : begin + size] for array in batch))
        gradients = tape.gradient(loss, values)
        self._optimizer.apply(gradients, self._trainable)  # Keras adds up what the replicas have
        return context.all_reduce(tf.distribute.ReduceOp.SUM, numbers)


class _JaxLearner(_BaseLearner):
    def __init__(self, *parts: Any):
        super().__init__(*parts)
        import jax

        self._jax = jax
        self._sample = jax.jit(lambda values, uniforms: self._with(values, self._policy.sample, uniforms))
        self._update = jax.jit(self._updated)

    def _with(self, values: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        with keras.StatelessScope(list(zip(self._trainable, values, strict=True))):
            return function(*arguments)

    def sample(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, log_probs = self._sample([variable.value for variable in self._trainable], uniforms)
        return np.asarray(tokens), np.asarray(log_probs)

    def update(self, *batch: np.ndarray) -> dict[str, float]:
        groups = self._trainable, self._optimizer.variables
        *states, numbers = self._update(*([variable.value for variable in group] for group in groups), *batch)
        for variables, values in zip(groups, states, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return {name: float(value) for name, value in numbers.items()}

    def _updated(self, trainable: Any, slots: Any, *batch: Any) -> Any:
        loss = self._jax.grad(lambda values: self._with(values, self._loss, self._policy, *batch), has_aux=True)
        gradients, numbers = loss(trainable)
        return *self._optimizer.stateless_apply(slots, gradients, trainable), numbers


class _TorchLearner(_BaseLearner):
    def sample(self, uniforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, log_probs = self._policy.sample(ops.convert_to_tensor(uniforms))
        return ops.convert_to_numpy(tokens), ops.convert_to_numpy(log_probs)

    def update(self, *batch: np.ndarray) -> dict[str, float]:
        for variable in self._trainable:
            variable.value.grad = None
        loss, numbers = self._loss(self._policy, *map(ops.convert_to_tensor, batch))
        loss.backward()
        gradients = [variable.value.grad for variable in self._trainable]
        self._optimizer.apply(gradients, self._trainable)
        return {name: float(value) for name, value in numbers.items()}
