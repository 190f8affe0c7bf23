"""What a GPU can show in ten minutes: `python -m scripts.on_gpu rates`, then `python -m scripts.on_gpu run`.

Trains better weights for the two networks that the package ships, measures inference (`python -m scripts.benchmarks
inference-gpu`), and trains `cifar10_short` for the rest of the time: on JAX, without TensorFlow. Every part writes its
results to --out as it goes, and what fails leaves the others alone. The test images are not looked at: `keras-nasnet
evaluate` does that, once, with the weights that come back.

`rates` measures how fast each network trains with each way to compute a separable convolution, takes the fastest, and
sets the epochs so that a network has the seconds that it is granted. It also fills JAX's cache of compiled programs.

To try it without a card: ON_GPU_SETTINGS="batch=16 dtype=float32", few strips, and --device cpu for `run`.
"""

import contextlib
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

WORK = Path(tempfile.gettempdir()) / "on_gpu"
GRANTED = {"nasnet_a_cifar10": 0.75, "nasnet_a_cifar10_64": 0.25}  # part of the seconds for training
SHIPPED: dict[str, dict[str, Any]] = {
    "nasnet_a_cifar10": {
        "network": {"num_blocks": [1, 1, 2], "penultimate_filters": 576, "stem_filters": 24},
        "label_smoothing": 0.1,
    },
    "nasnet_a_cifar10_64": {  # with the stem for ImageNet, on enlarged images
        "variant": "nasnet_a_4_1056_imagenet",
        "network": {"num_blocks": 2, "penultimate_filters": 384, "stem_filters": 32},
        "image_size": (64, 64),
    },
}
IMAGES = 50_000  # of CIFAR-10's training images
PIECE = 16_000_000  # bytes of a file that travels
LEAST = 20  # seconds below which a part is not begun
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "JAX_COMPILATION_CACHE_DIR": str(WORK / "compiled"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

# --- ways to compute a separable convolution in training, which give the same but for rounding


def _dense(inputs: Any, depthwise: Any, pointwise: Any, stride: int) -> Any:
    """As one convolution with the product of both kernels: more arithmetic, all of it in matrix units."""
    from jax import lax

    kernel = depthwise * pointwise[0]  # (k, k, channels, 1) * (1, channels, filters)
    return lax.conv_general_dilated(
        inputs, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _shifted(inputs: Any, depthwise: Any, pointwise: Any, stride: int) -> Any:
    """The depthwise part as a sum over shifted images, which the compiler makes one loop of."""
    from jax import lax, numpy

    size, (height, width) = depthwise.shape[0], inputs.shape[1:3]
    rows, columns = -(-height // stride), -(-width // stride)
    totals = [max((n - 1) * stride + size - m, 0) for n, m in ((rows, height), (columns, width))]
    padded = numpy.pad(inputs, ((0, 0), *((total // 2, total - total // 2) for total in totals), (0, 0)))
    total: Any = 0.0
    for row in range(size):
        for column in range(size):
            stop = (row + (rows - 1) * stride + 1, column + (columns - 1) * stride + 1)
            part = lax.slice(
                padded,
                (0, row, column, 0),
                (padded.shape[0], *stop, padded.shape[3]),
                (1, stride, stride, 1),
            )
            total = total + part.astype("float32") * depthwise[row, column, :, 0].astype("float32")
    return numpy.matmul(total.astype(inputs.dtype), pointwise[0, 0])


WAYS: dict[str, Callable[..., Any] | None] = {"plain": None, "dense": _dense, "shifted": _shifted}


def compute(way: str) -> None:
    """Let separable convolutions be computed in a way, from now on in this process."""
    from keras_nasnet.accelerate import cpu_convolution

    function = WAYS[way]
    if function is None:
        return

    def call(self: Any, inputs: Any, training: bool | None = None) -> Any:
        return function(inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides[0])

    cpu_convolution.SeparableConv2D.call = call  # type: ignore[method-assign]


# --- one network


def recipe_of(name: str, epochs: int | None = None) -> Any:
    """Return the recipe of a network, for 48,000 images; the other 2,000 give the curve of accuracy."""
    from keras_nasnet.training import RECIPES

    if name in SHIPPED:
        common = replace(RECIPES["cifar10_short"], held_out=2000, batch=256, auxiliary_weight=0, drop_path_rate=0)
        recipe = replace(common, name=name, batch_norm_momentum=0.999, **SHIPPED[name])
    else:
        recipe = RECIPES[name]
    settings = os.environ.get("ON_GPU_SETTINGS", "").split()
    return replace(recipe, epochs=epochs or recipe.epochs).with_settings(*settings)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process of this script measures."""
    with open(WORK / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def measure(name: str, way: str, seconds: float) -> dict[str, float]:
    """Return images a second of training with random images, and the seconds of tracing and compiling."""
    import jax
    import keras

    from keras_nasnet.training.devices import Devices
    from keras_nasnet.training.network import make_network
    from keras_nasnet.training.objective import Objective, make_augmentation
    from keras_nasnet.training.optimizer import make_optimizer
    from keras_nasnet.training.steps.contract import make_step

    compute(way)
    recipe = recipe_of(name)
    keras.utils.set_random_seed(recipe.seed)
    network = make_network(recipe, [str(label) for label in range(10)])
    objective = Objective(network, recipe, make_augmentation(recipe, network))
    step = make_step(objective, make_optimizer(recipe, IMAGES // recipe.batch), recipe, Devices("default", print))
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (recipe.batch, *recipe.image_size, 3), np.uint8)
    labels = generator.integers(0, 10, recipe.batch, np.int32)

    def steps(count: int) -> float:
        begun = time.perf_counter()
        for _ in range(count):
            sums = step.train(images, labels, 0.5)
        jax.block_until_ready(sums)
        return (time.perf_counter() - begun) / count

    compiling = steps(1)
    with alone():
        steps(3)
        rate = recipe.batch / steps(max(5, int(seconds / steps(5))))
    return {"images_per_second": rate, "compiling": compiling}


def train_network(name: str, way: str, epochs: int, data: Any, folder: Path) -> Any:
    import keras_nasnet.training

    compute(way)
    return keras_nasnet.training.train(recipe_of(name, epochs), folder, data=data, resume=True)


def warm(name: str, way: str, epochs: int) -> None:
    """Compile what `train_network` needs, into JAX's cache: one step with blank images, of which nothing is kept."""
    from keras_nasnet.common.errors import Interrupted
    from keras_nasnet.data import ArraySplit, Dataset

    recipe = recipe_of(name)

    class OneStep(ArraySplit):
        def train_batches(self, batch: int, *arguments: Any, **options: Any) -> Iterator[Any]:
            yield self._take(slice(0, batch))
            os.kill(os.getpid(), signal.SIGTERM)  # heard when the epoch, of one step, has been evaluated

    size = IMAGES - recipe.held_out
    split = OneStep(np.zeros((size, *recipe.image_size, 3), np.uint8), np.arange(size) % 10, 10)
    names = tuple(str(label) for label in range(10))
    data = Dataset("blank", names, split, split.subset(np.arange(recipe.held_out)), None)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Interrupted):
        train_network(name, way, epochs, data, Path(folder) / "run")


# --- CIFAR-10 as it travels: strips of 500 images of a class


def strip(path: Path) -> tuple[np.ndarray, int, str]:
    _, label, name, _ = path.stem.split("_")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3), int(label), name


def unpack(folders: tuple[Path, ...]) -> Path:
    """Write the training images of strips train_LABEL_CLASS_NUMBER.webp to a .npz file."""
    paths = sorted(path for folder in folders for path in folder.glob("train_*.webp"))
    with Pool() as pool:
        strips = pool.map(strip, paths)
    names = {label: name for _, label, name in strips}
    path = WORK / "cifar10.npz"
    np.savez(
        path,
        train_images=np.concatenate([images for images, _, _ in strips]),
        train_labels=np.concatenate([np.full(len(images), label, np.int32) for images, label, _ in strips]),
        class_names=[names[label] for label in sorted(names)],
    )
    return path


# --- all parts, each in a process of its own


def start(*arguments: Any, log: Path) -> "subprocess.Popen[bytes]":
    """Start a part of this script, which outlives it, with its output at the end of a log."""
    command = [sys.executable, "-m", "scripts.on_gpu", *map(str, arguments)]
    with log.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | ENVIRONMENT, start_new_session=True)


def log_of(*words: str) -> Path:
    return WORK / f"{'_'.join(words)}.log"


def end_of(log: Path) -> list[str]:
    """Return the last lines of a log."""
    return log.read_text(errors="replace").strip().splitlines()[-5:] or [""]


def finish(process: "subprocess.Popen[bytes]", deadline: float) -> int | None:
    """Wait for a process until a time, then let it save and end; return its exit code."""
    for seconds, sign in ((max(0.1, deadline - time.time()), signal.SIGTERM), (20, signal.SIGKILL)):
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, sign)
    return process.wait()


@click.group(help=__doc__.splitlines()[0])
def main() -> None:
    WORK.mkdir(exist_ok=True)


OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder for the results.")


@main.command()
@OUT
@click.option("--seconds", default=240.0, show_default=True, help="For training what is shipped.")
@click.option("--limit", default=190.0, show_default=True, help="Seconds to wait for the rates.")
@click.option("--measuring", default=2.0, show_default=True, help="Seconds of each rate.")
@click.option("--ways", default="plain,dense,shifted", show_default=True)
def rates(out: Path, seconds: float, limit: float, measuring: float, ways: str) -> None:
    """Measure how fast networks train, choose how, and begin to compile it."""
    out.mkdir(parents=True, exist_ok=True)
    begun = time.time()
    cases = [(name, way) for name in GRANTED for way in ways.split(",")]
    processes = {case: start("measure", *case, measuring, log=log_of(*case)) for case in cases}
    found: dict[str, dict[str, Any]] = {name: {} for name in GRANTED}
    for (name, way), process in processes.items():
        code = finish(process, begun + limit)
        end = end_of(log_of(name, way))
        found[name][way] = json.loads(end[-1]) if code == 0 else {"failed": code, "end": end}
        print(f"{time.time() - begun:.0f} s {name} {way}: {found[name][way]}", flush=True)
    plan = {}
    for name, part in GRANTED.items():
        speeds = {way: one.get("images_per_second", 0.0) for way, one in found[name].items()}
        way = max(speeds, key=lambda way: speeds[way])
        # A fifth of the time goes to checkpoints and to looking at held-out images.
        epochs = int(0.8 * seconds * part * max(speeds[way], 2000.0) / IMAGES)
        plan[name] = {"way": way, "epochs": min(max(epochs, 1), 200)}
    plan["cifar10_short"] = {"way": plan["nasnet_a_cifar10"]["way"], "epochs": 60}
    (WORK / "plan.json").write_text(json.dumps(plan))
    (out / "plan.json").write_text(json.dumps({"plan": plan, "rates": found}, indent=2))
    print(json.dumps(plan), flush=True)
    for name, how in plan.items():
        start("compile", name, how["way"], how["epochs"], log=WORK / "compile.log")


@main.command(name="measure")
@click.argument("name")
@click.argument("way")
@click.argument("seconds", type=float)
def measure_command(name: str, way: str, seconds: float) -> None:
    """Measure one rate."""
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
    print(json.dumps(measure(name, way, seconds)))


@main.command(name="compile")
@click.argument("name")
@click.argument("way")
@click.argument("epochs", type=int)
def compile_command(name: str, way: str, epochs: int) -> None:
    """Compile the training of one network."""
    begun = time.time()
    warm(name, way, epochs)
    print(f"compiled {name} in {time.time() - begun:.0f} s")


@main.command(name="train")
@click.argument("name")
@click.argument("way")
@click.argument("epochs", type=int)
@click.argument("data")
@OUT
def train_command(name: str, way: str, epochs: int, data: str, out: Path) -> None:
    """Train one network."""
    from keras_nasnet.zoo.formats import weights_file

    folder = WORK / name
    result = train_network(name, way, epochs, data, folder)
    weights_file.save(result.network, out / f"{name}.safetensors", dtype="float16")


@main.command()
@OUT
@click.option("--seconds", default=560.0, show_default=True, help="For all of it.")
@click.option("--rest", default=60.0, show_default=True, help="Of these, at least for cifar10_short.")
@click.option("--batch", default=128, show_default=True, help="Of the benchmarks.")
@click.option("--device", default="gpu", show_default=True, help="Of the benchmarks.")
@click.argument("strips", nargs=-1, type=click.Path(path_type=Path))
def run(out: Path, seconds: float, rest: float, batch: int, device: str, strips: tuple[Path, ...]) -> None:
    """Do everything, from the strips of CIFAR-10's training images on."""
    out.mkdir(parents=True, exist_ok=True)
    begun = time.time()
    deadline = begun + seconds

    def say(text: str) -> None:
        with (out / "results.txt").open("a") as file:
            for stream in (file, sys.stdout):
                print(f"{time.time() - begun:.0f} s {text}", file=stream, flush=True)

    data = unpack(strips)
    plan = json.loads((WORK / "plan.json").read_text())
    say(f"unpacked {plan}")
    for name in GRANTED:
        train_part(name, plan[name], data, out, deadline - rest, say)
    for precision, network in itertools.product(("bfloat16", "float32"), ("mobile", "large")):
        if deadline - rest - time.time() < LEAST:
            say(f"no time for {network} in {precision}")
            continue
        options = ["--networks", network, "--precisions", precision, "--batches", str(batch), "--rounds", "1"]
        command = [sys.executable, "-m", "scripts.benchmarks", "inference-gpu", "--device", device, *options]
        log = log_of(network, precision)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--torch-mode", "default"], stdout=file, stderr=file, start_new_session=True
            )
        code = finish(process, deadline - rest)
        say(f"inference of {network} in {precision}: exit code {code}\n{log.read_text(errors='replace')}")
    name = "cifar10_short"
    if deadline - time.time() > 2 * LEAST:
        train_part(name, plan[name], data, out, deadline - LEAST, say)
        checkpoint = WORK / name / "checkpoint.safetensors"
        if checkpoint.exists():
            with checkpoint.open("rb") as whole:
                for number, part in enumerate(iter(lambda: whole.read(PIECE), b"")):
                    (out / f"{name}_checkpoint_{number}").write_bytes(part)
    say("done")


def train_part(name: str, how: dict[str, Any], data: Path, out: Path, deadline: float, say: Any) -> None:
    """Train a network in a process of its own until a time, and report its history."""
    process = start("train", name, how["way"], how["epochs"], data, "--out", out, log=log_of(name))
    code = finish(process, deadline)
    history = WORK / name / "history.csv"
    text = history.read_text() if history.exists() else "no epoch\n"
    say(f"{name}: exit code {code}\n{text}{chr(10).join(end_of(log_of(name)))}")


if __name__ == "__main__":
    main()
