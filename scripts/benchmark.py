"""How fast this package is beside stock Keras, on the CPU, with the TensorFlow backend.

    python scripts/benchmark.py train
    python scripts/benchmark.py train --case cifar --rounds 20
    python scripts/benchmark.py search
    python scripts/benchmark.py detect
    python scripts/benchmark.py inference
    python scripts/benchmark.py inference-gpu  # on a GPU, with the JAX backend

`train` measures a training step and the time to the first finished step. Ours is the step
of `keras_nasnet.training`; stock is `compile` and `train_on_batch`, with SGD, momentum and
cross entropy in both. The two alternate, so that whatever else the machine does hits both.
"""

import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

SEED = 0
LEARNING_RATE = 0.01
MOMENTUM = 0.9
SIDES = ("stock", "ours")
GPU_NETWORKS, GPU_PRECISIONS = ("large", "mobile"), ("float32", "bfloat16")
_ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


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

Step = Callable[[], None]


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
    from keras_nasnet.training.steps.tensorflow import TensorFlowStep

    recipe, devices = Recipe(name="benchmark"), Devices()
    step = TensorFlowStep(Objective(network, recipe), FusedSGD(LEARNING_RATE, momentum=MOMENTUM), recipe)
    pixels = (images + 1.0) * 127.5

    def run() -> None:
        with devices.scope():  # around each step: what it switches is the process', and stock runs in the same
            float(step.train(pixels, labels, 0.0)["loss"])

    return run


def stock_step(network: Any, images: np.ndarray, labels: np.ndarray) -> Step:
    import keras

    network.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE, momentum=MOMENTUM), loss="sparse_categorical_crossentropy"
    )

    def run() -> None:
        float(network.train_on_batch(images, labels))

    return run


NETWORKS = {"ours": our_network, "stock": stock_network}
STEPS = {"ours": our_step, "stock": stock_step}


def stock_twin(num_blocks: int, filters: int, classes: int) -> Any:
    """NASNet-A with the CIFAR stem, as anybody would write it with `keras.layers`.

    A layer's name is the path of ours with dots, so that weights can be copied by name.
    """
    import keras
    from keras import layers

    from keras_nasnet.genotype import NASNET_A
    from keras_nasnet.models.assembly import plan_cells

    def batch_norm(tensor: Any, name: str) -> Any:
        return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(tensor)

    def project(tensor: Any, filters: int, name: str, rectify: bool = True) -> Any:
        tensor = layers.ReLU()(tensor) if rectify else tensor
        tensor = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}.convolution")(tensor)
        return batch_norm(tensor, f"{name}.batch_norm")

    def reduce(tensor: Any, filters: int, name: str) -> Any:
        tensor = layers.ReLU()(tensor)
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(tensor))
        paths = [
            layers.Conv2D(filters // 2, 1, use_bias=False, name=f"{name}.path_{number}")(
                layers.AveragePooling2D(1, strides=2)(path)
            )
            for number, path in ((1, tensor), (2, shifted))
        ]
        return batch_norm(layers.Concatenate()(paths), f"{name}.batch_norm")

    def operate(tensor: Any, operation: str, filters: int, stride: int, name: str) -> Any:
        if operation == "identity":
            return tensor
        if "pool" in operation:
            pool = layers.MaxPooling2D if operation.startswith("max") else layers.AveragePooling2D
            tensor = pool(3, strides=stride, padding="same")(tensor)
            if tensor.shape[-1] == filters:
                return tensor
            return project(tensor, filters, f"{name}.projection", rectify=False)
        for number in (1, 2):
            tensor = layers.ReLU()(tensor)
            tensor = layers.SeparableConv2D(
                filters,
                int(operation[-1]),
                strides=stride if number == 1 else 1,
                padding="same",
                use_bias=False,
                name=f"{name}.convolution_{number}",
            )(tensor)
            tensor = batch_norm(tensor, f"{name}.batch_norm_{number}")
        return tensor

    inputs = keras.Input((32, 32, 3))
    tensor = layers.Conv2D(3 * filters, 3, padding="same", use_bias=False, name="stem_convolution")(inputs)
    newest, previous = batch_norm(tensor, "stem_batch_norm"), None
    for plan in plan_cells((num_blocks,) * 3, filters, "cifar", skip_reduction=False):
        spec, stride = (NASNET_A.reduction, 2) if plan.reduction else (NASNET_A.normal, 1)
        states = [project(newest, plan.filters, f"{plan.name}.fit_0"), newest if previous is None else previous]
        if states[1].shape[1] != newest.shape[1]:
            states[1] = reduce(states[1], plan.filters, f"{plan.name}.fit_1")
        elif previous is not None and states[1].shape[-1] != plan.filters:
            states[1] = project(states[1], plan.filters, f"{plan.name}.fit_1")
        for number, block in enumerate(spec.blocks):
            pair = []
            for side, index, operation in zip(("left", "right"), block.inputs, block.operations, strict=True):
                name = f"{plan.name}.block_{number}_{side}"
                if operation == "identity" and states[index].shape[-1] != plan.filters:
                    pair.append(project(states[index], plan.filters, f"{name}.projection"))
                else:
                    pair.append(operate(states[index], operation, plan.filters, stride if index < 2 else 1, name))
            states.append(layers.Add()(pair))
        members = [
            project(states[index], plan.filters, f"{plan.name}.output_fit_{index}", rectify=False)
            if states[index].shape[-1] != plan.filters
            else states[index]
            for index in spec.outputs[0]
        ]
        newest, previous = layers.Concatenate()(members), newest
    tensor = layers.GlobalAveragePooling2D()(layers.ReLU()(newest))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax", name="predictions")(tensor))


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


def measure_first(case: Case, side: str) -> dict[str, float]:
    """Seconds from imported packages to the first finished step, network and all: "wall" and "cpu" (all threads)."""
    import keras

    import keras_nasnet.training.steps.tensorflow  # noqa: F401

    images, labels = make_batch(case)
    keras.utils.set_random_seed(SEED)
    wall, cpu = time.perf_counter(), time.process_time()
    STEPS[side](NETWORKS[side](case), images, labels)()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def measure_steps(case: Case, rounds: int, steps: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of a step in each of `rounds` blocks of `steps`: [side]["wall" or "cpu"]; the sides take turns."""
    import keras

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


def in_new_process(*arguments: Any) -> Any:
    """Runs a command of this script and returns the JSON of its last line."""
    command = [sys.executable, str(Path(__file__).resolve()), *map(str, arguments)]
    result = subprocess.run(command, env=os.environ | _ENVIRONMENT, capture_output=True, text=True)
    if result.returncode:
        raise click.ClickException(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def median_ratio(stock: list[float], ours: list[float]) -> float:
    """How many times as fast ours is: the median over the rounds, in each of which the two ran side by side."""
    return statistics.median(a / b for a, b in zip(stock, ours, strict=True))


def processor() -> str:
    """The model of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def conditions() -> str:
    """One line: hardware, versions, seed, date."""
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return (
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}; "
        f"seed {SEED}; {datetime.date.today()}"
    )


@click.group(help=__doc__.splitlines()[0] if __doc__ else None)
def main() -> None:
    pass


@main.command()
@click.option("--case", "names", multiple=True, type=click.Choice(list(CASES)), help="default: all")
@click.option("--rounds", default=10, show_default=True, help="blocks of steps for each side")
@click.option("--steps", default=3, show_default=True, help="steps in a block")
@click.option("--first-rounds", default=3, show_default=True, help="new processes for each side's first step")
def train(names: tuple[str, ...], rounds: int, steps: int, first_rounds: int) -> None:
    """Compares a training step and the time to the first finished one with stock Keras."""
    rows = []
    for name in names or CASES:
        first: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
        for number in range(first_rounds):
            for side in SIDES if number % 2 else reversed(SIDES):
                first[side].append(in_new_process("first-step", name, side))
                click.echo(f"{name}: first step, {side}: {first[side][-1]['wall']:.1f} s", err=True)
        times = in_new_process("steps", name, rounds, steps)
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


@main.command()
@click.option("--rounds", default=3, show_default=True, help="children of each side up to their first step")
@click.option("--children", default=5, show_default=True, help="random children for each evaluator")
def search(rounds: int, children: int) -> None:
    """Measures what a search waits for: a child's first step, the controller, the evaluators."""
    os.environ.update(_ENVIRONMENT)
    import benchmark_search  # in its turn imports this file

    benchmark_search.report(rounds, children)


@main.command()
@click.option("--size", default=256, show_default=True, help="pixels of the input's side")
@click.option("--batch", default=4, show_default=True, help="images of a step")
@click.option("--rounds", default=7, show_default=True, help="steps and predictions of each backbone")
def detect(size: int, batch: int, rounds: int) -> None:
    """Compares Faster R-CNN on NASNet with the Model Garden's own on ResNet-50. Needs the extra [detection]."""
    os.environ.update(_ENVIRONMENT)
    import benchmark_detect  # in its turn imports this file

    benchmark_detect.report(size, batch, rounds)


@main.command()
@click.option("--rounds", default=10, show_default=True, help="calls of each side, in turns")
@click.option("--first-rounds", default=3, show_default=True, help="new processes for each side's first label")
def inference(rounds: int, first_rounds: int) -> None:
    """Compares predictions with keras.applications, and with OpenVINO on Keras' export. Needs the extra [openvino]."""
    os.environ.update(_ENVIRONMENT)
    import benchmark_inference  # in its turn imports this file

    benchmark_inference.report(rounds, first_rounds)


@main.command("inference-gpu")
@click.option("--device", default="gpu", show_default=True, type=click.Choice(["gpu", "cpu"]), help="cpu: to try this")
@click.option("--networks", multiple=True, type=click.Choice(GPU_NETWORKS), default=GPU_NETWORKS, show_default=True)
@click.option("--batches", multiple=True, type=int, default=[1, 32, 256], show_default=True, help="images of a call")
@click.option(
    "--precisions", multiple=True, type=click.Choice(GPU_PRECISIONS), default=GPU_PRECISIONS, show_default=True
)
@click.option("--rounds", default=3, show_default=True, help="new processes for each side of a case, in turns")
@click.option("--torch-mode", default="max-autotune", show_default=True, help="of torch.compile; else its default")
def inference_gpu(
    device: str,
    networks: tuple[str, ...],
    batches: tuple[int, ...],
    precisions: tuple[str, ...],
    rounds: int,
    torch_mode: str,
) -> None:
    """Compares the folded network with the unfolded one, on JAX, and with timm's by torch.compile."""
    import benchmark_gpu  # in its turn imports this file

    benchmark_gpu.report(device, networks, batches, precisions, rounds, torch_mode)


@main.command("first-step", hidden=True)
@click.argument("name", type=click.Choice(list(CASES)))
@click.argument("side", type=click.Choice(SIDES))
def first_step(name: str, side: str) -> None:
    click.echo(json.dumps(measure_first(CASES[name], side)))


@main.command("steps", hidden=True)
@click.argument("name", type=click.Choice(list(CASES)))
@click.argument("rounds", type=int)
@click.argument("steps", type=int)
def steps_(name: str, rounds: int, steps: int) -> None:
    click.echo(json.dumps(measure_steps(CASES[name], rounds, steps)))


if __name__ == "__main__":
    main()
