"""The walk over a cell's wiring: everything that interprets a genotype is a visitor of it."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

SIDES = ("left", "right")  # of a block, in the order of its inputs and operations


class BlockWiring(Protocol):
    """What is read of a block."""

    @property
    def inputs(self) -> tuple[int, int]: ...
    @property
    def operations(self) -> tuple[str, str]: ...
    @property
    def combine(self) -> str: ...


class CellWiring(Protocol):
    """What is read of a cell."""

    @property
    def blocks(self) -> Sequence[BlockWiring]: ...
    @property
    def outputs(self) -> Sequence[Sequence[int]]: ...
    @property
    def num_inputs(self) -> int: ...


class GenotypeWiring(Protocol):
    """What is read of a genotype."""

    @property
    def name(self) -> str: ...
    @property
    def normal(self) -> CellWiring: ...
    @property
    def reduction(self) -> CellWiring: ...


Input = TypeVar("Input")
State = TypeVar("State")
Branch = TypeVar("Branch")
Output = TypeVar("Output")
Input_contra = TypeVar("Input_contra", contravariant=True)
Output_co = TypeVar("Output_co", covariant=True)


class Visitor(Protocol[Input_contra, State, Branch, Output_co]):
    """What a cell's wiring means to whoever walks over it: shapes, tensors, boxes of a picture, ...

    `Input` is what the walk is given for each cell input, `State` a hidden state, `Branch` the result of an
    operation, and `Output` an output of the cell.
    """

    def fit_input(self, index: int, given: Input_contra) -> State:
        """Return the hidden state of a cell input that was given."""
        ...

    def missing_input(self, newest: Input_contra) -> State:
        """Return what stands for a cell input that was not given (in the first cell of a network)."""
        ...

    def operation(self, block: int, side: int, name: str, index: int, state: State) -> Branch:
        """Return an operation's result.

        Args:
            block: number of the block.
            side: 0 or 1, see `SIDES`.
            name: of the operation.
            index: of the hidden state that it reads; a cell input if it is below the number of inputs.
            state: that hidden state.
        """
        ...

    def combine(self, block: int, name: str, branches: Sequence[Branch]) -> State:
        """Return the hidden state that a block makes of its two branches."""
        ...

    def fit_output(self, index: int, state: State) -> State:
        """Return a cell input as the outputs contain it."""
        ...

    def join(self, number: int, members: Sequence[tuple[int, State]]) -> Output_co:
        """Return an output of the cell: its hidden states, each with its index, one behind the other."""
        ...


def walk(cell: CellWiring, inputs: Sequence[Input], visitor: Visitor[Input, State, Branch, Output]) -> list[Output]:
    """Return the outputs of a cell, as a visitor computes them.

    The order is always the same: inputs, then blocks (left, right, combination), then the cell inputs among the
    outputs' members by their index, then outputs.

    Args:
        cell: the wiring.
        inputs: one for each cell input, newest first; `visitor.missing_input` stands in for those at the end that
            are not given.
        visitor: answers for each step.

    Example:
        The depth of the cell, in blocks:

        >>> class Depth:
        ...     def fit_input(self, index, given): return given
        ...     def missing_input(self, newest): return newest
        ...     def operation(self, block, side, name, index, state): return state
        ...     def combine(self, block, name, branches): return 1 + max(branches)
        ...     def fit_output(self, index, state): return state
        ...     def join(self, number, members): return max(depth for _, depth in members)
        >>> walk(keras_nasnet.NASNET_A.normal, [0, 0], Depth()), walk(keras_nasnet.NASNET_A.reduction, [0, 0], Depth())
        ([1], [2])
    """
    states = [visitor.fit_input(index, given) for index, given in enumerate(inputs)]
    states += [visitor.missing_input(inputs[0]) for _ in range(cell.num_inputs - len(inputs))]
    for number, block in enumerate(cell.blocks):
        branches = [
            visitor.operation(number, side, name, index, states[index])
            for side, (index, name) in enumerate(zip(block.inputs, block.operations, strict=True))
        ]
        states.append(visitor.combine(number, block.combine, branches))
    joined = {index for group in cell.outputs for index in group}
    for index in sorted(index for index in joined if index < cell.num_inputs):
        states[index] = visitor.fit_output(index, states[index])
    return [
        visitor.join(number, [(index, states[index]) for index in group]) for number, group in enumerate(cell.outputs)
    ]
