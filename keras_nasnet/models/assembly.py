"""How cells make a network: stem, order of cells, widths and resolutions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_nasnet.genotype import Genotype
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.convolution import channel_axis, initial_variance, kernel_initializer
from keras_nasnet.layers.drop_path import drop_path_rates

_IMAGE_SQUARE = 1 / 3  # mean square of pixels that lie anywhere in [-1, 1]
STEMS = ("imagenet", "cifar")


@dataclass(frozen=True)
class CellPlan:
    """One cell of a network: its place and its size.

    Args:
        name: "stem_0", "cell_3", "reduction_1": the names of TF-slim, shortened.
        reduction: whether it is a reduction cell.
        filters: channels of each of its hidden states.
        skipped: whether the next cell's h_{i-1} is this cell's own (`skip_reduction`).
    """

    name: str
    reduction: bool
    filters: int
    skipped: bool = False


@dataclass(frozen=True)
class State:
    """The hidden states that the next cell reads, newest first.

    Args:
        tensors: the hidden states.
        strides: of each, to the image.
        squares: mean square of each, as it is expected with initial weights; only needed before cells are built.
    """

    tensors: tuple[Any, ...]
    strides: tuple[int, ...]
    squares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Features:
    """What a run over the stem and the cells leaves behind.

    Args:
        states: the state behind the stem ("stem") and behind each cell, by name, in order.
        outputs: the outputs of the stem and of each cell, by name, in order.
    """

    states: dict[str, State]
    outputs: dict[str, tuple[Any, ...]]


def plan_cells(stages: Sequence[int], filters: int, stem: str, skip_reduction: bool) -> list[CellPlan]:
    """Return the cells of a network in order.

    Args:
        stages: normal cells at each resolution; a reduction cell that doubles the filters
            stands before each stage but the first.
        filters: F, the filters of the first stage.
        stem: "imagenet" starts with two reduction cells at F / 4 and F / 2, "cifar" with none.
        skip_reduction: the cell behind a reduction takes the reduction's own previous input.
    """
    plans = []
    if stem == "imagenet":
        plans += [CellPlan("stem_0", True, filters // 4), CellPlan("stem_1", True, filters // 2)]
    number = 0
    for stage, count in enumerate(stages):
        width = filters * 2**stage
        if stage:
            plans.append(CellPlan(f"reduction_{stage - 1}", True, width, skipped=skip_reduction))
        for _ in range(count):
            plans.append(CellPlan(f"cell_{number}", False, width))
            number += 1
    return plans


def make_cells(
    genotype: Genotype, plans: Sequence[CellPlan], state: State, drop_path_rate: float, **options: Any
) -> list[Cell]:
    """Return a new `Cell` for each plan, for a run from `state`. `options` go to every cell."""
    cells = []
    strides = state.strides
    for plan, rate in zip(plans, drop_path_rates(drop_path_rate, len(plans)), strict=True):
        spec = genotype.reduction if plan.reduction else genotype.normal
        ratios = tuple(strides[0] // stride for stride in strides)
        cell = Cell(
            spec,
            plan.filters,
            stride=2 if plan.reduction else 1,
            input_strides=ratios + (1,) * (spec.num_inputs - len(ratios)),
            drop_path_rate=rate,
            name=plan.name,
            **options,
        )
        cells.append(cell)
        strides = _next(plan, cell, (strides[0] * cell.stride,) * len(spec.outputs), strides)
    return cells


def run_cells(plans: Sequence[CellPlan], cells: Sequence[Cell], state: State) -> Features:
    """Apply the cells in order, from the state in front of the first."""
    features = Features({"stem": state}, {"stem": state.tensors[:1]})
    for plan, cell in zip(plans, cells, strict=True):
        if not cell.built:
            cell.input_squares = state.squares
        outputs = cell(list(state.tensors))
        outputs = tuple(outputs) if isinstance(outputs, list | tuple) else (outputs,)
        strides = (state.strides[0] * cell.stride,) * len(outputs)
        state = State(
            _next(plan, cell, outputs, state.tensors),
            _next(plan, cell, strides, state.strides),
            _next(plan, cell, tuple(cell.output_squares), state.squares),
        )
        features.states[plan.name] = state
        features.outputs[plan.name] = outputs
    return features


def _next(plan: CellPlan, cell: Cell, outputs: tuple[Any, ...], inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the cell behind this one reads: this one's outputs, then its newest inputs.

    Where this one is skipped, its older inputs: the next cell reads across the reduction.
    """
    older = inputs[len(outputs) :] if plan.skipped else inputs
    return (outputs + older)[: cell.spec.num_inputs]


def apply_stem(
    inputs: Any, stem: str, filters: int, momentum: float, epsilon: float, data_format: str, dtype: Any
) -> State:
    """Return the state behind the convolution in front of the cells: 3x3, with BN and without ReLU.

    "imagenet": stride 2 and VALID padding; "cifar": stride 1 and SAME.
    """
    stride = 2 if stem == "imagenet" else 1
    tensor = keras.layers.Conv2D(
        filters,
        3,
        strides=stride,
        padding="valid" if stem == "imagenet" else "same",
        use_bias=False,
        kernel_initializer=kernel_initializer(),
        data_format=data_format,
        dtype=dtype,
        name="stem_convolution",
    )(inputs)
    tensor = BatchNormalization(
        axis=channel_axis(data_format),
        momentum=momentum,
        epsilon=epsilon,
        moving_variance_initializer=keras.initializers.Constant(initial_variance(_IMAGE_SQUARE, 3, filters)),
        dtype=dtype,
        name="stem_batch_norm",
    )(tensor)
    return State((tensor,), (stride,), (1.0,))
