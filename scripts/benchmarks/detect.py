"""How fast a detector is: `python -m scripts.benchmarks detect`, all in one process."""

import gc
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from scripts.benchmarks.common import CPU, SEED, conditions, median_ratio

BACKBONES = ("resnet50", "mobile", "small")  # the first is what the others are compared with
CLASSES = 91


def experiment(backbone: str, size: int, batch: int) -> Any:
    """The experiment of `detect train` on a backbone; the Garden's own ResNet-50 gets the same heads."""
    from official.vision.configs import backbones

    from keras_nasnet.detection.data.records import Records
    from keras_nasnet.detection.garden import experiments
    from keras_nasnet.detection.garden.backbone import NASNetBackboneConfig, config_of
    from keras_nasnet.detection.garden.small_data import small_data_experiment
    from keras_nasnet.zoo.loading import load

    names = tuple(str(number) for number in range(CLASSES - 1))
    nothing = Records(Path(), "", Path(), names, batch)
    network = config_of(load("nasnet_a_cifar10_64")) if backbone == "small" else NASNetBackboneConfig()
    found = small_data_experiment(
        network,
        nothing,
        nothing,
        [size / 8, size / 2],
        size=size,
        batch=batch,
        epochs=1,
        learning_rate=0.01,
        init_checkpoint=None,
        seed=SEED,
    )
    if backbone == "resnet50":
        found.task.model.backbone = experiments.BackboneConfig(type="resnet", resnet=backbones.ResNet(model_id=50))
    return found


def batch_of(params: Any, count: int) -> tuple[Any, dict[str, Any]]:
    """Returns images of noise with a box each, as the Garden's input pipeline makes them."""
    import tensorflow as tf
    from official.vision.ops import anchor

    model = params.task.model
    size = model.input_size[0]
    anchors = anchor.build_anchor_generator(
        model.min_level,
        model.max_level,
        model.anchor.num_scales,
        list(model.anchor.aspect_ratios),
        model.anchor.anchor_size,
    )((size, size))
    boxes = tf.constant([[0.1, 0.2, 0.6, 0.8]]) * size
    scores, targets = anchor.RpnAnchorLabeler().label_anchors(anchors, boxes, tf.ones([1, 1]))

    def repeat(value: Any) -> Any:
        return tf.repeat(value[None], count, axis=0)

    labels = {
        "anchor_boxes": tf.nest.map_structure(repeat, dict(anchors)),
        "image_info": repeat(tf.constant([[size, size], [size, size], [1, 1], [0, 0]], tf.float32)),
        "rpn_score_targets": tf.nest.map_structure(repeat, dict(scores)),
        "rpn_box_targets": tf.nest.map_structure(repeat, dict(targets)),
        "gt_boxes": repeat(tf.concat([boxes, -tf.ones([99, 4])], axis=0)),
        "gt_classes": repeat(tf.constant([1] + [-1] * 99)),
    }
    images = np.random.default_rng(SEED).normal(size=(count, size, size, 3)).astype(np.float32)
    return tf.constant(images), labels


@dataclass(frozen=True)
class Side:
    """A detector that is measured: a training step, the detection of a batch of photographs, its parameters."""

    step: Callable[[], Any]
    predict: Callable[[], Any]
    parameters: int


def make(backbone: str, size: int, batch: int) -> Side:
    """Returns the detector on a backbone."""
    import tensorflow as tf
    import tf_keras
    from official.core import task_factory

    from keras_nasnet.detection.garden.model import FasterRCNN

    params = experiment(backbone, size, batch)
    task = task_factory.get_task(params.task)
    model = task.build_model()
    optimizer = tf_keras.optimizers.legacy.SGD(0.01, momentum=0.9)
    inputs = batch_of(params, batch)
    step = tf.function(lambda: task.train_step(inputs, model, optimizer)["loss"])
    detector = FasterRCNN(model, params, tuple(str(number) for number in range(CLASSES - 1)))
    photographs = list(np.random.default_rng(1).integers(0, 256, (batch, size, size, 3), np.uint8))
    return Side(lambda: float(step()), lambda: detector.predict(photographs), model.count_params())


def report(size: int, batch: int, rounds: int) -> None:
    """Prints the table: in each round every backbone in turn, so that whatever else the machine does hits all."""
    sides = {}
    for name in BACKBONES:
        sides[name] = make(name, size, batch)
        sides[name].step()  # traces and compiles
        sides[name].predict()
        click.echo(f"{name}: ready", err=True)
    times: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for name in BACKBONES if number % 2 else reversed(BACKBONES):
            for kind, measured in enumerate((sides[name].step, sides[name].predict)):
                gc.collect()
                begun = time.perf_counter()
                measured()
                times.setdefault((name, kind), []).append(time.perf_counter() - begun)
    click.echo(f"Faster R-CNN, {size} x {size} pixels, batch {batch}, the same heads, {rounds} rounds (medians)\n")
    click.echo("| backbone | parameters | training step | ResNet-50 / this | predict, images/s | this / ResNet-50 |")
    click.echo("|---|---|---|---|---|---|")
    for name in BACKBONES:
        cells = [f"{sides[name].parameters / 1e6:.1f}M", f"{statistics.median(times[name, 0]):.2f} s"]
        cells.append(f"{_ratio(times, name, 0):.2f}")
        cells += [f"{batch / statistics.median(times[name, 1]):.1f}", f"{_ratio(times, name, 1):.2f}"]
        click.echo(f"| {name} | {' | '.join(cells)} |")
    click.echo(f"\n{conditions()}")


def _ratio(times: dict[tuple[str, int], list[float]], name: str, kind: int) -> float:
    return median_ratio(times[BACKBONES[0], kind], times[name, kind])


@click.command("detect")
@click.option("--size", default=256, show_default=True, help="pixels of the input's side")
@click.option("--batch", default=4, show_default=True, help="images of a step")
@click.option("--rounds", default=7, show_default=True, help="steps and predictions of each backbone")
def command(size: int, batch: int, rounds: int) -> None:
    """Compares Faster R-CNN on NASNet with the Model Garden's own on ResNet-50. Needs the extra [detection]."""
    os.environ.update(CPU)
    report(size, batch, rounds)
