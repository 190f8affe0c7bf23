"""Seconds from a new child of a supernet to its reward: its parts compiled once, each child traced, or a switch.

    python -m scripts.benchmarks shared
    KERAS_BACKEND=jax python -m scripts.benchmarks shared --num-blocks 1 --children 1

Three ways to train shared weights along a path that changes every few steps:

- parts: what `keras_nasnet.search` does: a program for each kind and size of layer, run one after the other;
- joined: the same, but that those programs are put together to one for each child (with TensorFlow, for long chunks);
- whole: the step of each child as one program, traced when the child comes. A cache of the last children
  helps those that come again; here all are new, as nearly all are in a space of 10^20;
- switch: one program for all children, in which each place chooses its operation and its inputs when it runs.
"""

import datetime
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click
import numpy as np

from scripts.benchmarks.common import SEED

BATCH, PIXELS, CLASSES, FILTERS = 64, 32, 10, 8
BLOCKS = 5  # B of a cell, in NASNet's space without "concat"
EVALUATED = 4  # held-out batches for a reward
CHUNKS = (1, 10, 50)
WAYS = ("parts", "joined", "whole", "switch")

Step = Callable[[Any, Any, Any], tuple[Any, Any]]  # (weights, images, labels) -> (loss, gradients)


def measure(num_blocks: int, children: int, warm: int, ways: Sequence[str]) -> dict[str, list[tuple[float, float]]]:
    """Returns for each way, and each new child, the seconds until it can be run and the seconds of a later step.

    Args:
        num_blocks: N.
        children: that are measured.
        warm: children that come before: the parts of nearly all sizes are compiled then.
        ways: some of `WAYS`.
    """
    from keras_nasnet.search.space.registry import get_space
    from keras_nasnet.search.supernet.supernet import Supernet

    space = get_space({"name": "nasnet", "blocks": BLOCKS, "combines": ["add"]})
    rng = np.random.default_rng(SEED)
    images = rng.integers(0, 256, (BATCH, PIXELS, PIXELS, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, BATCH).astype(np.int32)
    supernet = Supernet(num_blocks, FILTERS, CLASSES)
    genotypes: list[Any] = [space.genotype(space.sample(rng)) for _ in range(warm + children)]
    makers: dict[str, Callable[[Any], tuple[float, float]]] = {
        "parts": Parts(supernet, images, labels, chunk=6).measure,
        "joined": Parts(supernet, images, labels, chunk=20).measure,
        "whole": Whole(supernet, images, labels).measure,
    }
    times: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for number, genotype in enumerate(genotypes):
        for way in (way for way in ways if way != "switch"):
            if number < warm and way == "whole":  # which is no quicker behind others
                continue
            first, later = makers[way](genotype)
            if number >= warm:
                times[way].append((first - later, later))
            click.echo(f"  child {number + 1}, {way}: {first:.2f} s, then {later:.3f} s a step", err=True)
    if "switch" in ways:
        begun = time.perf_counter()
        switch = Switch(num_blocks, images, labels)
        switch.step(genotypes[0])
        click.echo(f"  switch: {time.perf_counter() - begun:.1f} s until its first step", err=True)
        for genotype in genotypes[warm:]:
            times["switch"].append((0.0, _repeated(partial(switch.step, genotype))))
    return times


def _repeated(step: Callable[[], float], count: int = 5) -> float:
    """Median seconds of a step."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


class Parts:
    """What the package does, which joins parts in chunks of many steps and not in those of few."""

    def __init__(self, supernet: Any, images: np.ndarray, labels: np.ndarray, chunk: int):
        from keras_nasnet.search.supernet.steps import Descent, make_steps

        self._supernet, self._batch, self._chunk = supernet, (images, labels), chunk
        self._steps = make_steps(Descent())

    def measure(self, genotype: Any) -> tuple[float, float]:
        begun = time.perf_counter()
        path = self._supernet.path(genotype)
        weights = _weights(path)
        zeros = {slot: np.zeros_like(vector) for slot, vector in weights.items()}
        asked = []

        def batches() -> Iterator[Any]:
            for _ in range(self._chunk):
                asked.append(time.perf_counter())
                yield self._batch

        self._steps.train(path, weights, zeros, batches(), [0.05] * self._chunk)
        asked.append(time.perf_counter())
        return asked[1] - begun, statistics.median(np.diff(asked[1:]))


class Whole:
    """A step of the whole path as one program: loss, gradients and the same update."""

    def __init__(self, supernet: Any, images: np.ndarray, labels: np.ndarray):
        self._supernet, self._images, self._labels = supernet, images, labels

    def measure(self, genotype: Any) -> tuple[float, float]:
        from keras_nasnet.search.supernet.steps import forward

        begun = time.perf_counter()
        path = self._supernet.path(genotype)

        def loss(weights: Mapping[str, Any], images: Any, labels: Any) -> Any:
            return forward(path, lambda part, *given: (part.function(*given),), weights, images, labels)[-1][0][0]

        step = descent(loss, _weights(path), self._images, self._labels)
        step()
        return time.perf_counter() - begun, _repeated(step)


class Switch:
    """One program for all children; operations and inputs of each place are numbers that it is given.

    Every place holds every operation, and every input of a concatenation that might be one stands
    there, times 0 where this child has it not: that is what makes the program one.
    """

    def __init__(self, num_blocks: int, images: np.ndarray, labels: np.ndarray):
        from keras_nasnet.genotype import OPERATIONS
        from keras_nasnet.models.arguments import stage_sizes
        from keras_nasnet.models.assembly import plan_cells
        from keras_nasnet.search.supernet.parts import initial, make_part

        self._operations = OPERATIONS
        self._plans = plan_cells(stage_sizes(num_blocks), FILTERS, "cifar", skip_reduction=False)
        self._parts: dict[tuple[Any, ...], Any] = {}
        self._weights: dict[str, np.ndarray] = {}
        self._make, self._initial, self._rng = make_part, initial, np.random.default_rng(SEED)
        self._build()
        self._run = descent(self._loss, self._weights, images, labels)

    def step(self, genotype: Any) -> float:
        return self._run(_choices_of(genotype))

    def _part(self, slot: str, kind: str, *sizes: Any) -> Any:
        part = self._parts.setdefault((kind, *sizes), None) or self._make(kind, *sizes)
        self._parts[kind, *sizes] = part
        for number, layout in enumerate(part.layouts):
            self._weights.setdefault(f"{slot}/{number}", self._initial(layout, self._rng))
        return part

    def _build(self) -> None:
        """Makes parts and weights, by the same walk that computes: with nothing to compute."""
        self._walk(lambda slot, tensors, data, kind, *sizes: self._part(slot, kind, *sizes) and None, None, None, None)

    def _loss(self, weights: Mapping[str, Any], images: Any, labels: Any, choices: Any) -> Any:
        def call(slot: str, tensors: Sequence[Any], data: Any, kind: str, *sizes: Any) -> Any:
            from keras import ops

            part = self._parts[kind, *sizes]
            tensors = [ops.relu(tensor) for tensor in tensors] if part.reads_rectified else tensors
            return part.function([weights[f"{slot}/{i}"] for i in range(len(part.layouts))], tensors, data)

        return self._walk(call, images, labels, choices)[0]

    def _walk(self, call: Callable[..., Any], images: Any, labels: Any, choices: Any) -> Any:
        width = 3 * FILTERS
        newest: list[Any] = [call("stem", [], images, "stem", width)]
        older, channels, older_channels, older_stride = newest, [width], [width], 1
        for plan in self._plans:
            stride = 2 if plan.reduction else 1
            states = [call(f"{plan.name}/fit_0", newest, None, "fit", plan.filters, 1, tuple(channels))]
            fit = ("fit", plan.filters, older_stride, tuple(older_channels))
            states.append(call(f"{plan.name}/fit_1", older, None, *fit))
            cell = None if choices is None else choices[int(plan.reduction)]
            blocks: list[Any] = []
            for block in range(BLOCKS):
                sides: list[Any] = [
                    self._place(call, plan, stride, states, blocks, cell, block, side) for side in (0, 1)
                ]
                blocks.append(None if cell is None else sides[0] + sides[1])
            older, older_channels, older_stride = newest, channels, stride
            loose = [1.0] * BLOCKS if cell is None else [cell["loose"][number] for number in range(BLOCKS)]
            newest = [None if cell is None else block * loose[number] for number, block in enumerate(blocks)]
            channels = [plan.filters] * BLOCKS
        return call("classifier", newest, labels, "classifier", tuple(channels), CLASSES)

    def _place(
        self,
        call: Callable[..., Any],
        plan: Any,
        stride: int,
        inputs: Sequence[Any],
        blocks: Sequence[Any],
        cell: Any,
        block: int,
        side: int,
    ) -> Any:
        """One side of a block: a branch for each operation, on the cell's inputs and on its blocks."""
        place, filters = f"{plan.name}/{block}/{side}", plan.filters
        steps = (1,) if stride == 1 else (stride, 1)
        if cell is None:
            for step in steps:
                for name in self._operations:
                    call(f"{place}/{name}_{step}", [], None, "operation", name, filters, step, filters)
            return None

        def branches(step: int) -> list[Callable[[Any], Any]]:
            def branch(name: str, tensor: Any) -> Any:
                return call(f"{place}/{name}_{step}", [tensor], None, "operation", name, filters, step, filters)

            return [partial(branch, name) for name in self._operations]

        index, operation = cell["inputs"][block, side], cell["operations"][block, side]
        if stride == 1:
            return switched(operation, branches(1), chosen(index, [*inputs, *blocks]))
        outer = switched(operation, branches(stride), chosen(index, list(inputs)))
        if not blocks:
            return outer
        inner = switched(operation, branches(1), chosen(index - 2, list(blocks)))
        return chosen(_at_least_two(index), [outer, inner])


def _choices_of(genotype: Any) -> list[dict[str, np.ndarray]]:
    from keras_nasnet.genotype import OPERATIONS

    choices = []
    for name in ("normal", "reduction"):
        inputs = np.zeros((BLOCKS, 2), np.int32)
        operations = np.zeros((BLOCKS, 2), np.int32)
        loose = np.ones(BLOCKS, np.float32)
        if genotype is not None:
            cell = getattr(genotype, name)
            inputs = np.array([block.inputs for block in cell.blocks], np.int32)
            operations = np.array([[OPERATIONS.index(o) for o in b.operations] for b in cell.blocks], np.int32)
            loose = np.array([float(2 + number in cell.outputs[0]) for number in range(BLOCKS)], np.float32)
        choices.append({"inputs": inputs, "operations": operations, "loose": loose})
    return choices


def switched(index: Any, branches: Sequence[Callable[[Any], Any]], tensor: Any) -> Any:
    """Runs one of the branches on a tensor."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.switch(index, list(branches), tensor)
    import tensorflow as tf

    return tf.switch_case(index, [partial(branch, tensor) for branch in branches])


def chosen(index: Any, tensors: Sequence[Any]) -> Any:
    """Returns the tensor of this number, the first or last one where there is none."""
    from keras import ops

    if len(tensors) == 1:
        return tensors[0]
    return ops.take(ops.stack(list(tensors)), ops.clip(index, 0, len(tensors) - 1), axis=0)


def _at_least_two(index: Any) -> Any:
    from keras import ops

    return ops.cast(index >= 2, "int32")


def descent(
    loss: Callable[..., Any],
    weights: Mapping[str, np.ndarray],
    images: np.ndarray,
    labels: np.ndarray,
    extra: Any = None,
) -> Callable[..., float]:
    """Returns a step as one program: gradients of all weights, clipped, and a step with momentum.

    The step takes what `loss` takes beyond weights, images and labels.
    """
    import keras

    if keras.backend.backend() == "jax":
        import jax
        import jax.numpy as jnp

        def update(weights: Any, momenta: Any, *given: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(weights, *given)
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in gradients.values()))
            factor = 5.0 / jnp.maximum(norm, 5.0)
            momenta = {slot: 0.9 * momenta[slot] - 0.05 * factor * gradients[slot] for slot in weights}
            return value, {slot: weights[slot] + momenta[slot] for slot in weights}, momenta

        program = jax.jit(update)
        zeros = {slot: np.zeros_like(vector) for slot, vector in weights.items()}
        return lambda *given: float(program(dict(weights), zeros, images, labels, *given)[0])
    import tensorflow as tf

    variables = {slot: tf.Variable(vector) for slot, vector in weights.items()}
    momenta = {slot: tf.Variable(tf.zeros_like(vector)) for slot, vector in weights.items()}

    @tf.function(autograph=False)
    def graph(images: Any, labels: Any, *given: Any) -> Any:
        with tf.GradientTape() as tape:
            value = loss({slot: tf.convert_to_tensor(v) for slot, v in variables.items()}, images, labels, *given)
        order = list(variables)
        found = tape.gradient(
            value, [variables[slot] for slot in order], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        found, _ = tf.clip_by_global_norm(found, 5.0)
        for slot, gradient in zip(order, found, strict=True):
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variables[slot].handle,
                accum=momenta[slot].handle,
                lr=0.05,
                grad=gradient,
                momentum=0.9,
                use_nesterov=True,
            )
        return value

    placed = tf.constant(images), tf.constant(labels)
    return lambda *given: float(graph(*placed, *tf.nest.map_structure(tf.constant, list(given))))


def _weights(path: Any) -> dict[str, np.ndarray]:
    from keras_nasnet.search.supernet.parts import initial
    from keras_nasnet.search.supernet.supernet import slots

    rng = np.random.default_rng(SEED)
    return {slot: initial(layout, rng) for slot, layout in slots(path).items()}


def report(num_blocks: int, children: int, warm: int, ways: Sequence[str]) -> None:
    """Measures, and prints a table."""
    import keras

    from keras_nasnet.common.hardware import hardware

    times = measure(num_blocks, children, warm, ways)
    click.echo(
        f"| seconds, N = {num_blocks} | to its first step | each step | "
        + " | ".join(f"chunk of {chunk}" for chunk in CHUNKS)
        + " |\n|"
        + "---|" * (3 + len(CHUNKS))
    )
    for way, found in times.items():
        first, step = (statistics.median(column) for column in zip(*found, strict=True))
        chunks = [f"{first + chunk * step:.1f}" for chunk in CHUNKS]
        click.echo(f"| {way} | {first:.2f} | {step:.3f} | {' | '.join(chunks)} |")
    click.echo(
        f"\nMedians of {children} new children behind {warm} others, F = {FILTERS}, batch {BATCH}, {PIXELS} px, B = "
        f"{BLOCKS}. {hardware()}, {keras.backend.backend()}, load {os.getloadavg()[0]:.1f}; seed {SEED}; "
        f"{datetime.date.today()}"
    )


@click.command("shared")
@click.option("--num-blocks", default=1, show_default=True, help="N")
@click.option("--children", default=5, show_default=True)
@click.option("--warm", default=15, show_default=True, help="children before those that are measured")
@click.option("--way", "ways", multiple=True, type=click.Choice(WAYS), help="default: all")
def command(num_blocks: int, children: int, warm: int, ways: tuple[str, ...]) -> None:
    """Compares ways to train shared weights: seconds from a new child of a supernet to its reward."""
    report(num_blocks, children, warm, ways or WAYS)
