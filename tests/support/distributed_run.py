"""A program for test_distribution.py: trains a tiny network in a process of its own.

    python distributed_run.py RUN_FOLDER STRATEGY [NAME=VALUE ...] [, STRATEGY ...]

Runs one strategy after the other, the n-th in RUN_FOLDER/n, and leaves all variables of each local replica in
`worker_W_replica_R.npz`, what evaluation said in `evaluation_W.json`. With two devices (LOGICAL_CPUS=2) it also
leaves random numbers that they draw, in RUN_FOLDER/random_numbers.json.
"""

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.split import Dataset
from keras_nasnet.training.recipe import Recipe
from tests.support import toy

CLASSES = 10
# Ten steps. Every part that is the same on each device counts, and moves the weights; what is random does not.
# At a higher learning rate the order in which one device sums a batch changes the weights by more than 1e-4.
RECIPE = Recipe(
    "tiny",
    network=toy.TRAINED,
    batch=32,
    epochs=2,
    learning_rate=0.0005,
    weight_decay=0.01,
    clip_norm=1.0,
    label_smoothing=0.1,
    auxiliary_weight=0.4,
    ema=0.9,
    batch_norm_momentum=0.8,
)


def split(size: int, seed: int) -> ArraySplit:
    """Stripes, of a width for each class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, CLASSES, size)
    stripes = np.sin(np.arange(32) * (labels[:, None] + 1) * 0.3)[:, None, :, None]
    images = generator.normal(110, 40, (size, 32, 32, 3)) + 60 * stripes
    return ArraySplit(np.clip(images, 0, 255).astype(np.uint8), labels, CLASSES)


def dataset() -> Dataset:
    # 37 and 30 are no multiples of the batch, nor of a worker's part of it.
    return Dataset("stripes", tuple(map(str, range(CLASSES))), split(160, 0), split(37, 1), split(30, 2))


def write_npz(path: Path) -> None:
    data = dataset()
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    arrays = {f"{part}_images": split.images for part, split in parts.items()}
    arrays |= {f"{part}_labels": split.labels for part, split in parts.items()}
    np.savez(path, class_names=data.class_names, **arrays)


def train(strategy: str, folder: Path, settings: list[str]) -> None:
    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.loop import Run

    keras.utils.clear_session()  # the same names in each run
    devices = Devices(strategy)
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(RECIPE.with_settings(*settings), dataset(), folder, devices, 300, print)
    result = run.run()
    values: list[dict[str, Any]] = []
    for variable in run.trainer.state:
        copies = [variable.value]
        if devices.tf_strategy is not None:
            copies = devices.tf_strategy.experimental_local_results(variable.value)
        values = values or [{} for _ in copies]
        for copy, named in zip(copies, values, strict=True):
            named[f"{len(named):04} {variable.path}"] = np.asarray(keras.ops.convert_to_numpy(copy), np.float64)
    for replica, named in enumerate(values):
        np.savez(folder / f"worker_{devices.worker}_replica_{replica}.npz", **named)
    evaluations = [
        [evaluation.loss, evaluation.accuracy, evaluation.accuracy_5, evaluation.confusion.tolist()]
        for evaluation in (result.validation, result.test)
    ]
    (folder / f"evaluation_{devices.worker}.json").write_text(json.dumps(evaluations))


def random_numbers(strategy: str) -> dict[str, Any]:
    """What each replica draws in two steps, and the states of the seeds then."""
    import tensorflow as tf

    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.steps.tensorflow import TensorFlowStep

    devices = Devices(strategy)
    with devices.scope():
        layer = keras.layers.Dropout(0.5, seed=3)
        TensorFlowStep(layer, keras.optimizers.SGD(), Recipe("x"), devices)
    tf_strategy = devices.tf_strategy or tf.distribute.get_strategy()
    draw = tf.function(lambda: tf_strategy.run(lambda: keras.random.uniform([4], seed=layer.seed_generator)))
    values = [tf_strategy.experimental_local_results(draw()) for _ in range(2)]
    states = tf_strategy.experimental_local_results(layer.seed_generator.state.value)
    return {
        "values": [[value.numpy().tolist() for value in step] for step in values],
        "states": [state.numpy().tolist() for state in states],
    }


def main(folder: Path, arguments: list[str]) -> None:
    count = int(os.environ.get("LOGICAL_CPUS", "1"))
    if count > 1:
        import tensorflow as tf

        devices = [tf.config.LogicalDeviceConfiguration()] * count
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)
    for number, run in enumerate(" ".join(arguments).split(",")):
        strategy, *settings = run.split()
        train(strategy, folder / str(number), settings)
    if count > 1:
        drawn = {strategy: random_numbers(strategy) for strategy in ("default", "mirrored", "central")}
        (folder / "random_numbers.json").write_text(json.dumps(drawn))


if __name__ == "__main__":
    gc.disable()  # a sixth of a short run
    main(Path(sys.argv[1]), sys.argv[2:])
