"""Replicas of a `tf.distribute` strategy: what Keras and TensorFlow leave undone for them."""

import functools
from typing import Any

import keras
from keras import ops

from keras_nasnet.accelerate.contents import all_layers, seed_generators
from keras_nasnet.accelerate.tracing import tensorflow

_SEEDS_APART = 7919


def replicas() -> int:
    """Return how many replicas of a `tf.distribute` strategy run this call in step, 1 where there is none."""
    if keras.backend.backend() != "tensorflow":
        return 1
    context = tensorflow().distribute.get_replica_context()
    return 1 if context is None else context.num_replicas_in_sync


class ReplicaMoments:
    """Mixin, in front of `keras.layers.BatchNormalization`: its moments are those of all replicas' examples."""

    def _moments(self, inputs: Any, mask: Any) -> tuple[Any, Any]:
        if mask is None and replicas() > 1:
            return ops.moments(inputs, axes=self._reduction_axes, synchronized=True)  # type: ignore[attr-defined]
        return super()._moments(inputs, mask)  # type: ignore[misc]


def spread_seeds(model: keras.Layer) -> None:
    """Give each replica its own random numbers: masks and crops of two must not be the same.

    The seeds' states stay the same everywhere, so a checkpoint holds those of all replicas.
    """
    for layer in all_layers(model):
        for generator in seed_generators(layer):
            generator.next = functools.partial(_next_seed, generator)


def _next_seed(generator: keras.random.SeedGenerator, ordered: bool = True) -> Any:
    """As `generator.next`, with the replica's number in it."""
    tf = tensorflow()
    seed = keras.random.SeedGenerator.next(generator, ordered)
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    return seed + tf.cast(tf.stack([replica * _SEEDS_APART, 0]), seed.dtype)


def update_on_first_replica(variable: keras.Variable) -> None:
    """Say who updates the one copy of a state that all replicas compute alike: central storage insists on it."""
    variable.value._aggregation = tensorflow().VariableAggregation.ONLY_FIRST_REPLICA


def workers(strategy: Any) -> int:
    """Return the number of processes that a strategy spans."""
    return getattr(strategy.extended, "_num_workers", 1) or 1
