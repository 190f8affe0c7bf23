"""How fast inference is on a GPU: `python -m scripts.benchmarks inference-gpu`.

unfolded: our Keras model on the JAX backend, jitted. folded: the same, folded by `keras_nasnet.inference.folding`.
timm: `nasnetalarge` of timm by `torch.compile`, channels last. All have random weights and inputs that are on the card
already, both of the precision named; float32 is float32, not TF32. JAX and PyTorch do not share a card's memory well:
each has processes of its own, which take turns over the rounds. Nothing here needs TensorFlow.
"""

import dataclasses
import datetime
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from scripts.benchmarks.common import SEED, ProcessFailed, in_new_process, median_ratio, processor

NETWORKS = {"large": 331, "mobile": 224}  # pixels of the input's side
PRECISIONS = ("float32", "bfloat16")
DEVICES = {"gpu": "cuda", "cpu": "cpu"}  # as JAX and PyTorch call them
TURNS = 5  # blocks of calls of each side in a process
BLOCK_SECONDS = 0.5
ALLOWED = 1e-3  # of the largest probability, between folded and unfolded in float32
_ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95",  # as much as PyTorch may take: only one of them runs at a time
    "JAX_ENABLE_COMPILATION_CACHE": "false",  # else only the first round would compile
    "NVIDIA_TF32_OVERRIDE": "0",  # cuBLAS and cuDNN, whoever calls them
}

Call = Callable[[int], None]  # so many calls, one behind the other on the device; returns when the last is done


@dataclass(frozen=True)
class Case:
    """What is computed, on what: images a call, the dtype of weights and inputs, keys of `NETWORKS` and `DEVICES`."""

    network: str
    batch: int
    precision: str
    device: str

    @property
    def title(self) -> str:
        return f"{self.network.title()}, {NETWORKS[self.network]} px, batch {self.batch}, {self.precision}"


def timed(call: Call, count: int) -> float:
    """Seconds of one of `count` calls: with several in flight, so the inverse of a rate and no latency."""
    begun = time.perf_counter()
    call(count)
    return (time.perf_counter() - begun) / count


def measure_in_turns(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Seconds of a call in each of `TURNS` blocks of about `BLOCK_SECONDS`: [side]."""
    counts = {}
    for side, call in calls.items():
        call(2)  # allocates, and lets the clocks rise
        counts[side] = max(2, math.ceil(BLOCK_SECONDS / timed(call, 2)))
    seconds: dict[str, list[float]] = {side: [] for side in calls}
    for number in range(TURNS):
        for side in calls if number % 2 else reversed(calls):
            seconds[side].append(timed(calls[side], counts[side]))
    return seconds


def reason(text: str, line: str) -> str:
    """Why a case has no number, short enough for a cell: `line`, unless the text tells of too little memory."""
    if "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return "out of memory"
    return line[:80].replace("|", "/")


def reason_of(error: Exception) -> str:
    return reason(str(error), f"{type(error).__name__}: {error}".splitlines()[0])


# --- JAX, in a process of its own


def jax_call(function: Any, *arguments: Any) -> Call:
    def run(count: int) -> None:
        for _ in range(count):
            outputs = function(*arguments)
        outputs.block_until_ready()

    return run


def measure_card(case: Case) -> dict[str, float]:
    """What the device reaches: "flops" of a big product in the precision, "bytes" read and written by a copy; a second.

    Measured, not from a data sheet, whose clocks and memory no program gets.
    """
    import jax

    side, numbers = (8192, 2**28) if case.device == "gpu" else (1024, 2**24)
    square = jax.random.normal(jax.random.key(SEED), (side, side), case.precision)
    many = jax.numpy.ones(numbers, "float32")
    calls = {
        "flops": jax_call(jax.jit(jax.numpy.matmul), square, square),
        "bytes": jax_call(jax.jit(jax.numpy.negative), many),  # a copy by a kernel, which is what networks consist of
    }
    seconds = {kind: min(times) for kind, times in measure_in_turns(calls).items()}
    return {"flops": 2 * side**3 / seconds["flops"], "bytes": 2 * many.nbytes / seconds["bytes"]}


def compile_jax(model: Any, inputs: Any) -> tuple[Call, Any, dict[str, float]]:
    """Returns the jitted forward, its first outputs, and its seconds of tracing and compiling and bytes a call."""
    import jax

    def forward(trainable: Any, fixed: Any, images: Any) -> Any:
        return model.stateless_call(trainable, fixed, images, training=False)[0]

    variables = (model.trainable_variables, model.non_trainable_variables)
    arguments = (*([variable.value for variable in kind] for kind in variables), inputs)
    begun = time.perf_counter()
    compiled = jax.jit(forward).lower(*arguments).compile()
    seconds = time.perf_counter() - begun
    # An upper bound: operands and results of every kernel are counted as if no cache held them.
    traffic = (compiled.cost_analysis() or {}).get("bytes accessed", math.nan)
    return jax_call(compiled, *arguments), compiled(*arguments), {"compile": seconds, "bytes": traffic}


def measure_jax(*named: Any) -> dict[str, dict[str, Any]]:
    """[side]: "seconds" of a call, "compile" seconds, "bytes" of a call, or why it "failed"; and "card".

    Takes a `Case`'s values.
    """
    case = Case(*named)
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # where it is installed, Keras would import it
    import jax
    import keras
    import numpy as np

    import keras_nasnet
    from keras_nasnet.inference.folding import fold
    from keras_nasnet.models.complexity import mult_adds

    if case.precision == "float32":
        jax.config.update("jax_default_matmul_precision", "highest")
    keras.config.set_dtype_policy(case.precision)
    keras.utils.set_random_seed(SEED)
    card = measure_card(case)
    shape = (NETWORKS[case.network],) * 2 + (3,)
    build = {"large": keras_nasnet.NASNetLarge, "mobile": keras_nasnet.NASNetMobile}[case.network]
    unfolded = build(shape, weights=None)
    inputs = jax.random.uniform(jax.random.key(SEED), (case.batch, *shape), case.precision, -1, 1)
    found: dict[str, dict[str, Any]] = {"card": card | {"mult_adds": mult_adds(unfolded)}}
    calls, outputs = {}, []
    for side, model in (("unfolded", unfolded), ("folded", fold(unfolded))):
        try:
            calls[side], first, found[side] = compile_jax(model, inputs)
            outputs.append(np.asarray(first, np.float32))
        except Exception as error:
            calls.pop(side, None)
            found[side] = {"failed": reason_of(error)}
    if len(outputs) == 2 and case.precision == "float32":
        difference = np.abs(outputs[1] - outputs[0]).max() / outputs[0].max()
        if not difference < ALLOWED:
            raise RuntimeError(f"folded does not compute what unfolded does: probabilities differ by {difference:.1e}")
    for side, times in measure_in_turns(calls).items():
        found[side]["seconds"] = statistics.median(times)
    return found


# --- PyTorch, in a process of its own


def compile_timm(case: Case, mode: str) -> Call:
    """Returns the compiled forward of timm's network, after its first call."""
    import timm
    import torch

    device, dtype = DEVICES[case.device], getattr(torch, case.precision)
    torch._dynamo.reset()  # what another mode has left
    model = timm.create_model("nasnetalarge").eval().to(device, dtype, memory_format=torch.channels_last)
    forward = torch.compile(model, mode=mode)
    inputs = torch.rand((case.batch, 3) + (NETWORKS[case.network],) * 2, device=device) * 2 - 1
    inputs = inputs.to(dtype, memory_format=torch.channels_last)

    def run(count: int) -> None:
        with torch.inference_mode():
            for _ in range(count):
                forward(inputs)
        if case.device == "gpu":
            torch.cuda.synchronize()

    run(1)
    return run


def measure_timm(*named: Any) -> dict[str, dict[str, Any]]:
    """ "timm": "seconds" of a call and the "mode" that `torch.compile` took, or why it "failed".

    Takes a `Case`'s values, and the mode to try first.
    """
    case, mode = Case(*named[:-1]), named[-1]
    if case.network != "large":
        return {"timm": {"failed": "no such network"}}
    try:
        import timm  # noqa: F401
        import torch
    except ImportError as error:
        return {"timm": {"failed": f"no {error.name}"}}
    if case.device == "gpu" and not torch.cuda.is_available():
        return {"timm": {"failed": "torch without CUDA"}}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(SEED)
    for tried in dict.fromkeys((mode, "default")):  # tuning may fail, or lack memory, where compiling does not
        try:
            times = measure_in_turns({"timm": compile_timm(case, tried)})["timm"]
            return {"timm": {"seconds": statistics.median(times), "mode": tried}}
        except Exception as error:
            failed = reason_of(error)
        if case.device == "gpu":
            torch.cuda.empty_cache()
    return {"timm": {"failed": failed}}


# --- the tables

Rounds = Sequence[dict[str, Any]]  # what the processes of one side have found, one a round


def failure(*sides: Rounds) -> str | None:
    return next((found["failed"] for rounds in sides for found in rounds if "failed" in found), None)


def speed(case: Case, side: Rounds) -> str:
    return failure(side) or f"{case.batch / statistics.median(found['seconds'] for found in side):.1f}"


def ratio(slow: Rounds, fast: Rounds) -> str:
    if failure(slow, fast):
        return "-"
    return f"{median_ratio(*([found['seconds'] for found in side] for side in (slow, fast))):.2f}x"


def matrix_share(case: Case, found: dict[str, Any], card: dict[str, float]) -> float:
    """Part of the card's FLOP/s: a multiply-add is two, and all sides are granted those of the unfolded network."""
    return 2 * card["mult_adds"] * case.batch / found["seconds"] / card["flops"]


def memory_share(case: Case, found: dict[str, Any], card: dict[str, float]) -> float:
    """Part of the card's bytes/s; above 1 where caches serve what counts as traffic."""
    return found.get("bytes", math.nan) / found["seconds"] / card["bytes"]


def share(measure: Callable[..., float], case: Case, side: Rounds, card: Rounds) -> str:
    if failure(side, card):
        return "-"
    part = statistics.median(measure(case, *pair) for pair in zip(side, card, strict=True))
    return "-" if math.isnan(part) else f"{100 * part:.1f} %"


def cells(case: Case, found: dict[str, Rounds]) -> tuple[list[str], list[str]]:
    """The row of the table of speeds, and that of the parts of what the card reaches."""
    sides = [found[side] for side in ("unfolded", "folded", "timm")]
    speeds = [speed(case, side) for side in sides] + [ratio(sides[0], sides[1]), ratio(sides[2], sides[1])]
    for side in sides[:2]:
        speeds.append("-" if failure(side) else f"{statistics.median(one['compile'] for one in side):.0f} s")
    card = found["card"]
    reached = ["-", "-"]
    if not failure(card):
        reached = [f"{statistics.median(one[kind] for one in card) / 1e12:.3g} T/s" for kind in ("flops", "bytes")]
    parts = [share(matrix_share, case, side, card) for side in sides]
    return speeds, reached + parts + [share(memory_share, case, side, card) for side in sides[:2]]


def table(heads: str, rows: dict[str, list[str]]) -> str:
    names = heads.split("; ")
    lines = [names, ["---"] * len(names), *([title, *row] for title, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(
    device: str, networks: Sequence[str], batches: Sequence[int], precisions: Sequence[str], rounds: int, mode: str
) -> None:
    """Prints the tables; what fails leaves its reason there, and the rest goes on."""
    hardware = describe(device)
    kinds = ("jax", "timm")
    speeds, shares, modes = {}, {}, set()
    for network, batch, precision in ((n, b, p) for n in networks for b in batches for p in precisions):
        case = Case(network, batch, precision, device)
        found: dict[str, list[dict[str, Any]]] = {}
        for number in range(rounds):
            for kind in kinds if number % 2 == 0 else reversed(kinds):
                for side, one in measure(kind, case, mode).items():
                    found.setdefault(side, []).append(one)
        speeds[case.title], shares[case.title] = cells(case, found)  # type: ignore[arg-type]
        modes |= {one["mode"] for one in found["timm"] if "mode" in one}
        click.echo(f"{case.title}: {', '.join(speeds[case.title] + shares[case.title])}", err=True)
    click.echo("Images a second, and seconds of tracing and compiling\n")
    heads = "work; unfolded; folded; timm; folded / unfolded; folded / timm; compile unfolded; compile folded"
    click.echo(table(heads, speeds))
    click.echo("\nWhat the device reaches in this run (FLOP, bytes), and the part of it that the networks take\n")
    heads = "work; FLOP; bytes; FLOP: unfolded; folded; timm; bytes, at most: unfolded; folded"
    click.echo(table(heads, shares))
    click.echo(
        f"\nMedians of {rounds} rounds of new processes, each of {TURNS} blocks of {BLOCK_SECONDS} s; ratios are "
        f"medians over the rounds. torch.compile: {', '.join(sorted(modes)) or 'not run'}. {hardware}"
    )


def describe(device: str) -> str:
    """One line: card, versions, seed, date. Raises `click.ClickException` without the card."""
    from importlib.metadata import PackageNotFoundError, version

    code = "import jax; print(jax.devices()[0].device_kind)"
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | _environment(device), capture_output=True, text=True
    )
    if result.returncode:
        raise click.ClickException(f"JAX finds no {device}:\n{result.stderr[-2000:]}")
    card = result.stdout.strip() if device == "gpu" else processor()
    packages = []
    for name in ("jax", "jaxlib", "keras", "torch", "timm"):
        try:
            packages.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            packages.append(f"no {name}")
    return f"{card}; Python {platform.python_version()}, {', '.join(packages)}; seed {SEED}; {datetime.date.today()}"


def measure(kind: str, case: Case, mode: str) -> dict[str, dict[str, Any]]:
    """Returns what `measure_jax` or `measure_timm` finds in a process of its own, or why that died."""
    function, more = {"jax": (measure_jax, ()), "timm": (measure_timm, (mode,))}[kind]
    try:
        return in_new_process(function, *dataclasses.astuple(case), *more, environment=_environment(case.device))
    except ProcessFailed as error:
        click.echo(error.message, err=True)
        end = error.errors.strip()
        failed = reason(end, f"exit {error.code}: {end.splitlines()[-1] if end else ''}")
        return {side: {"failed": failed} for side in {"jax": ("unfolded", "folded", "card"), "timm": ("timm",)}[kind]}


def _environment(device: str) -> dict[str, str]:
    return _ENVIRONMENT | {"JAX_PLATFORMS": DEVICES[device]}  # no card is an error, not the CPU


@click.command("inference-gpu")
@click.option("--device", default="gpu", show_default=True, type=click.Choice(["gpu", "cpu"]), help="cpu: to try this")
@click.option("--networks", multiple=True, type=click.Choice([*NETWORKS]), default=[*NETWORKS], show_default=True)
@click.option("--batches", multiple=True, type=int, default=[1, 32, 256], show_default=True, help="images of a call")
@click.option("--precisions", multiple=True, type=click.Choice(PRECISIONS), default=PRECISIONS, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="new processes for each side of a case, in turns")
@click.option("--torch-mode", default="max-autotune", show_default=True, help="of torch.compile; else its default")
def command(
    device: str,
    networks: tuple[str, ...],
    batches: tuple[int, ...],
    precisions: tuple[str, ...],
    rounds: int,
    torch_mode: str,
) -> None:
    """Compares the folded network with the unfolded one, on JAX, and with timm's by torch.compile."""
    report(device, networks, batches, precisions, rounds, torch_mode)
