"""A step of the backbone on two logical devices and the same on one; prints what came of it."""

import json
import sys

import numpy as np
import tensorflow as tf
import tf_keras

from tests.support.small_detector import SIZE, features

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
images = np.random.default_rng(0).normal(size=(4, SIZE, SIZE, 3)).astype(np.float32)


def step(model: tf_keras.Model, optimizer: tf_keras.optimizers.Optimizer, replicas: int, batch: tf.Tensor) -> None:
    with tf.GradientTape() as tape:
        outputs = model(batch, training=True)
        loss = tf.add_n([tf.reduce_mean(tf.square(value)) for value in outputs.values()]) / replicas
        loss += tf.add_n(model.losses) / replicas
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def main() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        shared = features(l2=1e-4)
        optimizer = tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9)
    alone = features(l2=1e-4)
    for name, value in alone.nasnet.items():
        value.assign(shared.nasnet[name].values[0])
    before = {name: value.numpy() for name, value in alone.nasnet.items()}

    @tf.function
    def distributed(batch: tf.Tensor) -> None:
        strategy.run(step, (shared, optimizer, 2, batch))

    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(images[2 * context.replica_id_in_sync_group :][:2])
    )
    own = tf_keras.optimizers.legacy.SGD(0.1, momentum=0.9)
    for _ in range(2):
        distributed(halves)
        step(alone, own, 1, tf.constant(images))
    values = {name: [v.numpy() for v in variable.values] for name, variable in shared.nasnet.items()}
    moved = all(
        not np.array_equal(value.numpy(), before[name]) for name, value in alone.nasnet.items() if "moving_" in name
    )
    json.dump(
        {
            "variables": len(shared.trainable_variables),
            "difference_between_replicas": max(float(np.abs(a - b).max()) for a, b in values.values()),
            "difference_from_one_device": max(
                float(np.abs(values[name][0] - value.numpy()).max()) for name, value in alone.nasnet.items()
            ),
            "statistics_moved": moved,
        },
        sys.stdout,
    )


main()
