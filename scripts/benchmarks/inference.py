"""How fast inference is: `python -m scripts.benchmarks inference`, each part in new processes.

All sides have the same weights, which are random, and get the same preprocessed images. keras: `predict` of
keras.applications (of the embedded net: of our own Keras model), in float32. openvino: as anyone runs it, on Keras' own
export of that model, compiled for the batch, in float32 and in bfloat16, which it takes by itself where the processor
knows it. ours: `NASNet.predictor()`, by the fastest engine, in float32 (the default) and in bfloat16. engine
tensorflow: the same where there is no OpenVINO, in float32.
"""

import functools
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from scripts.benchmarks.common import CPU, SEED, conditions, in_new_process, median_ratio

ALLOWED = {"float32": 1e-3, "bfloat16": 0.1}  # of the largest probability, between a side and keras
WITHOUT = "tensorflow float32"  # the engine that is taken where no other is installed
SIDES = ("keras", WITHOUT, *(f"{side} {precision}" for precision in ALLOWED for side in ("openvino", "ours")))
_ENTRIES = {"mobile": "nasnet_a_mobile_keras", "large": "nasnet_a_large_keras", "embedded": "nasnet_a_cifar10"}


@dataclass(frozen=True)
class Case:
    """What is computed: `title` for the table, how many images a call; how many times as fast ours is to be."""

    title: str
    network: str
    batch: int
    bar: float
    calls: int  # of each side in a round


CASES = (
    Case("Mobile, 224 px, batch 1", "mobile", 1, 12, 10),
    Case("Mobile, 224 px, batch 8", "mobile", 8, 4, 3),
    Case("Large, 331 px, batch 1", "large", 1, 2.5, 2),
    Case("embedded net, 32 px, batch 256", "embedded", 256, 4, 2),
)
OPENVINO_BAR, WITHOUT_BAR, FIRST_BAR, MEMORY_BAR = 0.95, 1, 12, 0.75
KINDS = ("wall", "cpu")


def stock_model(network: str) -> Any:
    import keras

    if network == "embedded":
        return our_model(network, None)
    build = {"mobile": keras.applications.NASNetMobile, "large": keras.applications.NASNetLarge}[network]
    return build(weights=None)


def our_model(network: str, stock: Any) -> Any:
    """Returns our model, with the weights of a stock one."""
    from keras_nasnet import NASNet, zoo
    from keras_nasnet.zoo.formats.keras_h5 import from_keras

    if network == "embedded":
        return zoo.load(_ENTRIES[network])
    entry = zoo.info(_ENTRIES[network])
    model = NASNet(**entry.builder, preprocessing=entry.preprocessing, class_names=entry.class_names)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stock.weights.h5")
        stock.save_weights(path)
        from_keras(path, model)
    return model


def make_inputs(network: str, batch: int) -> np.ndarray:
    side = {"mobile": 224, "large": 331, "embedded": 32}[network]
    return np.random.default_rng(SEED).uniform(-1, 1, (batch, side, side, 3)).astype(np.float32)


def openvino_call(model: Any, inputs: np.ndarray, precision: str) -> Callable[[], np.ndarray]:
    from keras_nasnet.accelerate.openvino import openvino

    hint = {"float32": "f32", "bfloat16": "bf16"}[precision]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.xml")
        model.export(str(path), format="openvino", verbose=False)
        graph = openvino().Core().read_model(path)
        graph.reshape(list(inputs.shape))
        compiled = openvino().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    return lambda: compiled([inputs])[0]


def measure_case(number: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of a call of a case of `CASES` in each round: [side]["wall" or "cpu"]; the sides take turns."""
    import keras

    case = CASES[number]
    inputs = make_inputs(case.network, case.batch)
    keras.utils.set_random_seed(SEED)
    stock = stock_model(case.network)
    model = our_model(case.network, stock)
    predictors = {precision: model.predictor(precision=precision) for precision in ALLOWED}
    calls: dict[str, Callable[[], np.ndarray]] = {
        "keras": lambda: stock.predict(inputs, verbose=0, batch_size=case.batch)
    }
    calls[WITHOUT] = functools.partial(model.predictor("tensorflow").predict, inputs)
    for precision, predictor in predictors.items():
        calls[f"openvino {precision}"] = openvino_call(stock, inputs, precision)
        calls[f"ours {precision}"] = functools.partial(predictor.predict, inputs)
    results = {side: call() for side, call in calls.items()}  # which also traces and allocates
    for side in SIDES[1:]:
        error = np.abs(results[side] - results["keras"]).max() / results["keras"].max()
        allowed = ALLOWED[side.split()[1]]
        if not error < allowed:
            raise RuntimeError(f"{side} does not compute what Keras does: probabilities differ by {error:.1e}")
    times: dict[str, dict[str, list[float]]] = {side: {"wall": [], "cpu": []} for side in SIDES}
    for number in range(rounds):
        for side in SIDES if number % 2 else reversed(SIDES):
            gc.collect()
            calls[side]()  # the caches are the other side's
            begun, used = time.perf_counter(), time.process_time()
            for _ in range(case.calls):
                calls[side]()
            times[side]["wall"].append((time.perf_counter() - begun) / case.calls)
            times[side]["cpu"].append((time.process_time() - used) / case.calls)
    return times


def save_model(network: str, path: str) -> None:
    """Writes our model with random weights and fills the cache of compiled networks."""
    from keras_nasnet.zoo.prediction import load_predictor

    our_model(network, stock_model(network)).save(path)
    load_predictor(path)


KERAS_FIRST = """
import sys
import keras
import numpy as np
model = keras.applications.NASNetMobile(weights=None)
image = keras.utils.load_img(sys.argv[1], target_size=(224, 224))
inputs = keras.applications.nasnet.preprocess_input(np.asarray(image, "float32")[None])
print(model.predict(inputs, verbose=0).argmax(), flush=True)
"""


def seconds_to_first_line(*command: Any) -> float:
    """From the start of a process to the first line that it prints."""
    begun = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        seconds = time.perf_counter() - begun
        message = process.stderr.read()
    if not line or process.returncode:
        raise click.ClickException(f"{command} failed:\n{message.decode()[-2000:]}")
    return seconds


def measure_first(model: Path, photograph: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds from the start of a process to its first label, by keras.applications and by `keras-nasnet classify`."""
    classify = ("-m", "keras_nasnet.cli.main", "classify", photograph, "--model", model, "--json")
    commands = {"keras": ("-c", KERAS_FIRST, photograph), "ours": classify}
    times: dict[str, list[float]] = {side: [] for side in commands}
    for number in range(rounds):
        for side in commands if number % 2 else reversed(commands):
            times[side].append(seconds_to_first_line(sys.executable, *commands[side]))
    return times


def peak_memory(side: str, model: str) -> float:
    """GB that this process has held at most, after one image of 331 pixels."""
    inputs = make_inputs("large", 1)
    if side == "keras":
        stock_model("large").predict(inputs, verbose=0)
    else:
        from keras_nasnet.zoo.prediction import load_predictor

        load_predictor(model).predict(inputs)
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e6


def report(rounds: int, first_rounds: int) -> None:
    """Prints the tables."""
    from keras_nasnet.inference.engines.registry import candidates

    click.echo(
        "| work | keras | openvino | ours | engine tensorflow | keras / ours | bar | openvino / ours | bar "
        "| keras / engine tensorflow | bar |"
    )
    click.echo("|---" * 11 + "|")
    with tempfile.TemporaryDirectory() as home:
        os.environ["KERAS_HOME"] = home
        for number, case in enumerate(CASES):
            times = in_new_process(measure_case, number, rounds)
            for precision in ALLOWED:
                sides = ["keras", f"openvino {precision}", f"ours {precision}"]
                ratios = [(sides[0], sides[2], case.bar), (sides[1], sides[2], OPENVINO_BAR)]
                if WITHOUT.endswith(precision):
                    sides.append(WITHOUT)
                    ratios.append((sides[0], WITHOUT, WITHOUT_BAR))
                cells = [
                    " and ".join(f"{1e3 * statistics.median(times[side][kind]):.1f}" for kind in KINDS)
                    for side in sides
                ]
                cells += [""] * (4 - len(cells))
                for slow, fast, bar in ratios:
                    both = [f"{median_ratio(times[slow][kind], times[fast][kind]):.2f}x" for kind in KINDS]
                    cells += [" and ".join(both), f"{bar}x"]
                cells += [""] * (10 - len(cells))
                click.echo(f"| {case.title}, {precision} | {' | '.join(cells)} |")
        photograph, models = Path(home, "photograph.jpg"), {}
        _noise().save(photograph)
        for network in ("mobile", "large"):
            models[network] = Path(home, f"{network}.keras")
            in_new_process(save_model, network, str(models[network]))
        times = measure_first(models["mobile"], photograph, first_rounds)
        memory = {side: in_new_process(peak_memory, side, str(models["large"])) for side in ("keras", "ours")}
    click.echo("\n| new processes | keras | ours | ratio | bar |")
    click.echo("|---|---|---|---|---|")
    cells = [f"{statistics.median(times[side]):.2f} s" for side in ("keras", "ours")]
    ratio = median_ratio(times["keras"], times["ours"])
    click.echo(f"| first label, Mobile, warm cache | {' | '.join(cells)} | {ratio:.1f}x | {FIRST_BAR}x |")
    cells = [f"{memory[side]:.2f} GB" for side in ("keras", "ours")]
    ratio = memory["ours"] / memory["keras"]
    click.echo(f"| peak memory, Large, batch 1 | {' | '.join(cells)} | {ratio:.2f}x | at most {MEMORY_BAR}x |")
    engine = candidates()[0]
    click.echo(
        f"\nMilliseconds and ratios of wall time and of CPU time. Medians of {rounds} rounds and of {first_rounds} new "
        f"processes; a ratio is the median over the rounds, in each of which the sides took turns. ours: "
        f"{engine.title} {engine.version}. {conditions()}"
    )


def _noise() -> Any:
    from PIL import Image

    pixels = np.random.default_rng(SEED).integers(0, 256, (480, 640, 3), np.uint8)
    return Image.fromarray(pixels)


@click.command("inference")
@click.option("--rounds", default=10, show_default=True, help="calls of each side, in turns")
@click.option("--first-rounds", default=3, show_default=True, help="new processes for each side's first label")
def command(rounds: int, first_rounds: int) -> None:
    """Compares predictions with keras.applications, and with OpenVINO on Keras' export."""
    os.environ.update(CPU)
    report(rounds, first_rounds)
