"""A training step on TensorFlow, on one device or under any `tf.distribute` strategy."""

from typing import Any

import keras
import tensorflow as tf

from keras_nasnet.accelerate.replicas import spread_seeds, update_on_first_replica, workers
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.objective import Objective
from keras_nasnet.training.optimizer import adjust_gradients
from keras_nasnet.training.recipe import Recipe

_SUMS = ("loss", "right", "right_5", "examples")


class TensorFlowStep:
    """Train and evaluate an objective batch by batch; each of the two is one graph, traced once.

    Args:
        objective: built within the strategy's scope.
        optimizer: likewise; built here on the trainable variables.
        recipe: for `adjust_gradients`.
        devices: that share each batch.
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: keras.optimizers.Optimizer,
        recipe: Recipe,
        devices: Devices,
    ):
        self._objective = objective
        self._optimizer = optimizer
        self._recipe = recipe
        self._strategy = devices.tf_strategy or tf.distribute.get_strategy()
        self._variables = objective.trainable_variables
        with self._strategy.scope():
            # Built before the trace: a trace that makes variables has to be done twice.
            optimizer.build(self._variables)
        if self._strategy.num_replicas_in_sync > 1:
            spread_seeds(objective)
        if isinstance(self._strategy, tf.distribute.experimental.CentralStorageStrategy):
            self._share_states()
        self._train = tf.function(self._train_step, autograph=False)
        self._evaluate = tf.function(self._evaluate_step, autograph=False)

    @property
    def local_replicas(self) -> int:
        """Devices of this process that share its part of a batch."""
        return self._strategy.num_replicas_in_sync // workers(self._strategy)

    @property
    def state(self) -> list[keras.Variable]:
        """All variables that a checkpoint needs."""
        return [*self._objective.variables, *self._optimizer.variables]

    def sync(self) -> None:
        """Nothing to do: the variables are always up to date."""

    def changed(self) -> None:
        """Nothing to do."""

    def train(self, images: Any, labels: Any, progress: float) -> dict[str, Any]:
        """Update the weights from this process' part of a batch; return sums over all of it."""
        return self._train(self._place(images), self._place(labels), tf.constant(progress, tf.float32))

    def evaluate(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        """Return sums and predictions of this process' part of a batch."""
        return self._evaluate(self._place(images), self._place(labels), self._place(weights))

    def _share_states(self) -> None:
        """Set who updates the one copy of averages, statistics and seeds, which all replicas compute alike."""
        for variable in [*self._objective.non_trainable_variables, *self._optimizer.variables]:
            update_on_first_replica(variable)

    def _train_step(self, images: Any, labels: Any, progress: Any) -> dict[str, Any]:
        sums = self._strategy.run(self._update, args=(images, labels, progress))
        # Every replica holds the same sums.
        return dict(zip(_SUMS, tf.unstack(self._strategy.experimental_local_results(sums)[0]), strict=True))

    def _update(self, images: Any, labels: Any, progress: Any) -> Any:
        """Update the variables in one replica; return the sums over all replicas."""
        replicas = self._strategy.num_replicas_in_sync
        values = [variable.value for variable in self._variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            sums = self._objective(images, labels, progress=progress, training=True)
            loss = self._optimizer.scale_loss(sums["loss"] / (sums["examples"] * replicas))
        gradients = tape.gradient(loss, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        reduced = [tf.stack([sums[name] for name in _SUMS]), *gradients]
        if replicas > 1:
            reduced = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, reduced)
        scale = self._optimizer.scale_loss(1.0)
        gradients = adjust_gradients(reduced[1:], values, self._variables, self._recipe, scale)
        self._optimizer.apply(gradients, self._variables)
        return reduced[0]

    def _evaluate_step(self, images: Any, labels: Any, weights: Any) -> dict[str, Any]:
        results = self._strategy.run(self._objective, args=(images, labels, weights))
        local = {name: self._strategy.experimental_local_results(value) for name, value in results.items()}
        predicted = tf.concat(local.pop("predicted"), axis=0)
        return {name: tf.add_n(values) for name, values in local.items()} | {"predicted": predicted}

    def _place(self, array: Any) -> Any:
        """Return an array in equal parts, one on each replica of this process."""
        tensor = tf.convert_to_tensor(array)
        count = self.local_replicas
        if self._strategy.num_replicas_in_sync == 1:
            return tensor
        share = tensor.shape[0] // count

        def part(context: Any) -> Any:
            place = context.replica_id_in_sync_group % count
            return tensor[place * share : (place + 1) * share]

        return self._strategy.experimental_distribute_values_from_function(part)
