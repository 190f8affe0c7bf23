"""How fast a search is: `python -m scripts.benchmarks search`, all in one process."""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from scripts.benchmarks.common import CPU, SEED, conditions, median_ratio
from scripts.benchmarks.stock import stock_step, stock_twin

BATCH, PIXELS, CLASSES = 64, 32, 10
CHILD: dict[str, Any] = {"filters": 8, "num_blocks": 2}  # F and N
IMAGES = 1000  # of noise, on which children are trained
CONTROLLER_CHILDREN = 20  # the paper's batch


def first_step_of_child() -> float:
    """Seconds from a genotype to the first finished step of its child, with all that `Scratch` does in a step."""
    from keras_nasnet.search.evaluators.child import make_child
    from keras_nasnet.search.trial import Fidelity
    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.objective import Objective, make_augmentation
    from keras_nasnet.training.optimizer import make_optimizer
    from keras_nasnet.training.recipe import Recipe
    from keras_nasnet.training.steps.contract import make_step

    images, labels = _batch()
    begun, devices = time.perf_counter(), Devices()
    recipe = Recipe("child", augmentation="pad_crop_flip", weight_decay=5e-4, clip_norm=5.0)
    with devices.scope():
        child = make_child("nasnet_a", Fidelity(**CHILD), CLASSES, images.shape[1:], SEED)
        objective = Objective(child, recipe, make_augmentation(recipe, child))
        step = make_step(objective, make_optimizer(recipe, steps_per_epoch=100), recipe, devices)
        float(step.train(images, labels, 0.0)["loss"])
    return time.perf_counter() - begun


def first_step_of_stock() -> float:
    """The same network of stock layers, `compile` and `train_on_batch`: SGD with momentum, and nothing else."""
    images, labels = _batch()
    begun = time.perf_counter()
    network = stock_twin(CHILD["num_blocks"], CHILD["filters"], CLASSES)
    stock_step(network, images / np.float32(127.5) - 1, labels)()
    return time.perf_counter() - begun


def measure_first_steps(rounds: int) -> dict[str, list[float]]:
    """Seconds to the first finished step, in each round stock and ours in turn: {"stock": ..., "ours": ...}."""
    import keras_nasnet.training.steps.tensorflow  # noqa: F401

    times: dict[str, list[float]] = {"stock": [], "ours": []}
    for number in range(rounds):
        pair: list[tuple[str, Callable[[], float]]] = [("stock", first_step_of_stock), ("ours", first_step_of_child)]
        for side, measure in pair if number % 2 else reversed(pair):
            gc.collect()  # what the one before left is not to be cleared away in the time of this one
            times[side].append(measure())
    return times


def measure_controller(rounds: int) -> tuple[list[float], list[float]]:
    """Seconds for 20 samples, and for one PPO epoch over them; the first of both, which trace, are left out."""
    from keras_nasnet.search.controller.registry import make_controller
    from keras_nasnet.search.space.registry import get_space
    from keras_nasnet.search.trial import Observation

    controller = make_controller("ppo", get_space("nasnet"), SEED, epochs=1)
    rewards = np.random.default_rng(SEED)
    asked, told = [], []
    for _ in range(rounds + 1):
        begun = time.perf_counter()
        proposals = controller.ask(CONTROLLER_CHILDREN)
        asked.append(time.perf_counter() - begun)
        observations = [Observation(child.tokens, child.log_prob, rewards.uniform()) for child in proposals]
        begun = time.perf_counter()
        controller.tell(observations)
        told.append(time.perf_counter() - begun)
    return asked[1:], told[1:]


def measure_children(config: dict[str, Any], fidelity: dict[str, Any], children: int) -> tuple[float, float]:
    """Seconds and CPU seconds that an evaluator takes for a random child; a first child is left out."""
    from keras_nasnet.genotype import Genotype
    from keras_nasnet.search.evaluators.registry import make_evaluator
    from keras_nasnet.search.space.registry import get_space
    from keras_nasnet.search.trial import Fidelity

    space, random = get_space("nasnet"), np.random.default_rng(SEED)
    wall = cpu = 0.0
    with tempfile.TemporaryDirectory() as folder:
        evaluator = make_evaluator(config | {"data": _write_noise(Path(folder)), "held_out": 200})
        for number in range(children + 1):
            genotype = space.genotype(space.sample(random))
            assert isinstance(genotype, Genotype)
            begun = time.perf_counter(), time.process_time()
            evaluator.evaluate(genotype, Fidelity(**fidelity), number, folder)
            if number:
                wall += time.perf_counter() - begun[0]
                cpu += time.process_time() - begun[1]
    return wall / children, cpu / children


def report(rounds: int, children: int) -> None:
    """Measures, and prints one table."""
    first = measure_first_steps(rounds)
    stock, ours = (statistics.median(first[side]) for side in ("stock", "ours"))
    ratio = median_ratio(first["ours"], first["stock"])
    asked, told = measure_controller(max(5, rounds))
    _, proxy = measure_children({"name": "zero_cost"}, CHILD | {"epochs": 0}, children)
    child, _ = measure_children({"name": "scratch"}, CHILD | {"epochs": 1, "images": IMAGES}, children)
    n, f = CHILD["num_blocks"], CHILD["filters"]
    rows = [
        ("Child to its first finished step, stock Keras", f"{stock:.1f} s"),
        ("Child to its first finished step, ours", f"{ours:.1f} s, {ratio:.2f} of stock"),
        (f"PPO, {CONTROLLER_CHILDREN} samples", f"{statistics.median(asked) * 1e3:.0f} ms"),
        (f"PPO, one epoch over {CONTROLLER_CHILDREN} trials", f"{statistics.median(told) * 1e3:.0f} ms"),
        ("`zero_cost`, random children", f"{3600 / proxy:,.0f} per core-hour"),
        (f"`scratch`, random children, 1 epoch of {IMAGES:,} images", f"{3600 / child:,.0f} per hour"),
    ]
    click.echo("| search | |\n|---|---|")
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")
    click.echo(
        f"\nChildren: N = {n}, F = {f}, batch {BATCH}, {PIXELS} px; the first two rows: NASNet-A in both, in turn in "
        f"one warm process, medians of {rounds} (ours with augmentation, weight decay and clipping); evaluators: means "
        f"of {children} children. {conditions()}"
    )


def _batch() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(SEED)
    images = random.integers(0, 256, (BATCH, PIXELS, PIXELS, 3), dtype=np.uint8)
    return images, random.integers(0, CLASSES, BATCH, dtype=np.int32)


def _write_noise(folder: Path) -> str:
    random = np.random.default_rng(SEED)
    images = random.integers(0, 256, (IMAGES + 200, PIXELS, PIXELS, 3), dtype=np.uint8)
    path = folder / "noise.npz"
    np.savez(path, train_images=images, train_labels=np.arange(len(images)) % CLASSES)
    return str(path)


@click.command("search")
@click.option("--rounds", default=3, show_default=True, help="children of each side up to their first step")
@click.option("--children", default=5, show_default=True, help="random children for each evaluator")
def command(rounds: int, children: int) -> None:
    """Measures what a search waits for: a child's first step, the controller, the evaluators."""
    os.environ.update(CPU)
    report(rounds, children)
