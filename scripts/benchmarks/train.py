"""How fast training is beside stock Keras, on the CPU, with the TensorFlow backend.

    python -m scripts.benchmarks train
    python -m scripts.benchmarks train --case cifar --rounds 20

Measured are a training step and the time to the first finished step. Ours is the step
of `keras_nasnet.training`; stock is `compile` and `train_on_batch`, with SGD, momentum and
cross entropy in both. The two alternate, so that whatever else the machine does hits both.
"""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import click
import numpy as np

from scripts.benchmarks.common import SEED, conditions, in_new_process, median_ratio
from scripts.benchmarks.stock import LEARNING_RATE, MOMENTUM, Step, stock_step, stock_twin

SIDES = ("stock", "ours")


@dataclass(frozen=True)
class Case:
    """What is trained: `title` for the table; images (batch, pixels, pixels, 3) in `classes` classes."""

    title: str
    batch: int
    pixels: int
    classes: int
    network: dict[str, Any]


_CIFAR = {"genotype": "nasnet_a", "num_blocks": 2, "penultimate_filters": 384, "stem": "cifar"}
CASES = {
    "mobile_96": Case("Mobile, batch 16, 96 px", 16, 96, 1000, {}),
    "mobile_224": Case("Mobile, batch 8, 224 px", 8, 224, 1000, {}),
    "cifar": Case("CIFAR net N = 2, F = 16, batch 128, 32 px", 128, 32, 10, _CIFAR),
}


def make_batch(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Returns random float32 images in [-1, 1] and int32 labels."""
    random = np.random.default_rng(SEED)
    images = random.uniform(-1, 1, (case.batch, case.pixels, case.pixels, 3)).astype("float32")
    return images, random.integers(0, case.classes, case.batch).astype("int32")


def our_network(case: Case) -> Any:
    import keras_nasnet

    options: dict[str, Any] = {"classes": case.classes, "classifier_activation": None}
    if case.network:
        return keras_nasnet.NASNet(**case.network, **options)
    return keras_nasnet.NASNetMobile((case.pixels, case.pixels, 3), weights=None, **options)


def stock_network(case: Case) -> Any:
    import keras

    if case.network:
        return stock_twin(case.network["num_blocks"], case.network["penultimate_filters"] // 24, case.classes)
    return keras.applications.NASNetMobile((case.pixels, case.pixels, 3), weights=None, classes=case.classes)


def our_step(network: Any, images: np.ndarray, labels: np.ndarray) -> Step:
    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.objective import Objective
    from keras_nasnet.training.optimizer import FusedSGD
    from keras_nasnet.training.recipe import Recipe
    from keras_nasnet.training.steps.contract import make_step

    recipe, devices = Recipe(name="benchmark"), Devices()
    optimizer = FusedSGD(LEARNING_RATE, momentum=MOMENTUM)
    step = make_step(Objective(network, recipe), optimizer, recipe, devices)
    pixels = (images + 1.0) * 127.5

    def run() -> None:
        with devices.scope():  # around each step: what it switches is the process', and stock runs in the same
            float(step.train(pixels, labels, 0.0)["loss"])

    return run


NETWORKS = {"ours": our_network, "stock": stock_network}
STEPS = {"ours": our_step, "stock": stock_step}


def copy_weights(network: Any, twin: Any) -> None:
    """Gives a stock twin the weights of our network."""
    weights = {variable.path.replace("/", "."): variable for variable in network.weights}
    for variable in twin.weights:
        variable.assign(weights[variable.path.replace("/", ".")])


def check_same(network: Any, twin: Any, images: np.ndarray) -> None:
    """Raises RuntimeError where the two do not compute the same probabilities from the same weights."""
    copy_weights(network, twin)
    logits = np.asarray(network(images, training=False))
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    error = np.abs(probabilities - np.asarray(twin(images, training=False))).max()
    if not error < 1e-4:
        raise RuntimeError(f"the stock network is not the same as ours: probabilities differ by {error:.1e}")


def measure_first(name: str, side: str) -> dict[str, float]:
    """Seconds from imported packages to the first finished step, network and all: "wall" and "cpu" (all threads)."""
    import keras

    import keras_nasnet.training.steps.tensorflow  # noqa: F401

    case = CASES[name]
    images, labels = make_batch(case)
    keras.utils.set_random_seed(SEED)
    wall, cpu = time.perf_counter(), time.process_time()
    STEPS[side](NETWORKS[side](case), images, labels)()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_steps(name: str, rounds: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of a step in each of `rounds` blocks of `steps`: [side]["wall" or "cpu"]; the sides take turns."""
    import keras

    case = CASES[name]
    images, labels = make_batch(case)
    keras.utils.set_random_seed(SEED)
    networks = {side: NETWORKS[side](case) for side in SIDES}
    if case.network:
        check_same(networks["ours"], networks["stock"], images[:4])
    functions = {side: STEPS[side](networks[side], images, labels) for side in SIDES}
    for side in SIDES:  # tracing, and whatever the first steps allocate
        functions[side]()
        functions[side]()
    times: dict[str, dict[str, list[float]]] = {side: {"wall": [], "cpu": []} for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 else reversed(SIDES):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(steps):
                functions[side]()
            times[side]["wall"].append((time.perf_counter() - wall) / steps)
            times[side]["cpu"].append((time.process_time() - cpu) / steps)
    return times


@click.command("train")
@click.option("--case", "names", multiple=True, type=click.Choice(list(CASES)), help="default: all")
@click.option("--rounds", default=10, show_default=True, help="blocks of steps for each side")
@click.option("--steps", default=3, show_default=True, help="steps in a block")
@click.option("--first-rounds", default=3, show_default=True, help="new processes for each side's first step")
def command(names: tuple[str, ...], rounds: int, steps: int, first_rounds: int) -> None:
    """Compares a training step and the time to the first finished one with stock Keras."""
    rows = []
    for name in names or CASES:
        first: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for number in range(first_rounds):
            for side in SIDES if number % 2 else reversed(SIDES):
                first[side].append(in_new_process(measure_first, name, side))
                click.echo(f"{name}: first step, {side}: {first[side][-1]['wall']:.1f} s", err=True)
        times = in_new_process(measure_steps, name, rounds, steps)
        row = [CASES[name].title]
        for kind in ("wall", "cpu"):
            pair = [[one[kind] for one in first[side]] for side in SIDES]
            row += [*(f"{statistics.median(values):.1f} s" for values in pair), f"{median_ratio(*pair):.2f}x"]
        for kind in ("wall", "cpu"):
            pair = [times[side][kind] for side in SIDES]
            row += [*(f"{statistics.median(values) * 1e3:.0f} ms" for values in pair), f"{median_ratio(*pair):.2f}x"]
        rows.append(row)
        click.echo(f"{name}: " + ", ".join(row[1:]), err=True)
    for title, part in (("first finished step", slice(1, 7)), ("step", slice(7, 13))):
        click.echo(f"\n| {title} | stock | ours | ratio | stock, CPU time | ours, CPU time | ratio |")
        click.echo("|---|---|---|---|---|---|---|")
        for row in rows:
            click.echo("| " + " | ".join([row[0], *row[part]]) + " |")
    click.echo(
        f"\nMedians of {rounds} blocks of {steps} steps and of {first_rounds} new processes; a ratio is the median "
        f"over pairs that ran side by side; CPU time is that of all threads. {conditions()}"
    )
