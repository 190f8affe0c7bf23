"""Supernet: the weights that all children of a search share, and each child's path through them.

Each place of a network has weights of its own for each operation that may stand there, and a
child is the path that its genotype takes. A place is a cell, a block in it and a side of the block,
as ENAS has it. What reads the concatenated hidden states of a cell (the fit of the next cell's
inputs, the classifier) has rows of its kernel for each hidden state that may be among them: a path
computes what the child itself would compute. There is one exception: a block whose combine is
"concat" is fitted to the cell's filters at once, by ReLU, 1x1 convolution and BN, so that who reads it
needs no second set of weights.

Source: Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing", section 2.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from keras_nasnet.genotype import CellSpec, Genotype
from keras_nasnet.models.assembly import CellPlan, plan_cells
from keras_nasnet.models.body import stage_sizes
from keras_nasnet.search.supernet.parts import Layout, Part, make_part

STEM_MULTIPLIER = 3


@dataclass(frozen=True, eq=False)
class Node:
    """A part at its place.

    Args:
        part: that computes.
        slots: names of the weight vectors that it takes; no two nodes of a path have one in common.
        reads: numbers of the nodes whose outputs it takes.
        data: "images" or "labels" if it reads those.
    """

    part: Part
    slots: tuple[str, ...]
    reads: tuple[int, ...]
    data: str | None = None


@dataclass(frozen=True)
class _State:
    """A hidden state: the node that computes it, and its channels."""

    node: int
    channels: int


@dataclass(frozen=True)
class _Output:
    """The states that a cell concatenates, each with its number in the cell, and their stride to the image."""

    states: tuple[tuple[int, _State], ...]
    stride: int

    @property
    def channels(self) -> list[int]:
        return [state.channels for _, state in self.states]


class Supernet:
    """Finds the paths of children. The weights themselves are held by who computes with them.

    Args:
        num_blocks: N, the normal cells at each resolution.
        filters: F, channels of the hidden states of the first cells.
        classes: number of classes.
    """

    def __init__(self, num_blocks: int, filters: int, classes: int):
        self.plans = plan_cells(stage_sizes(num_blocks), filters, "cifar", skip_reduction=False)
        self.filters = filters
        self.classes = classes
        self._parts: dict[tuple[Any, ...], Part] = {}

    def path(self, genotype: Genotype) -> list[Node]:
        """Returns a child's nodes in an order in which each reads only what stands before it.

        The first reads the images, pixels 0 to 255 of shape (batch, height, width, 3); the last reads the
        labels, int32 (batch,), and gives float32 (2,): the mean loss, and how many are classified right.

        Raises:
            ValueError: if its cells have other than two inputs and one output, do not fit their inputs, or
                concatenate a hidden state twice.
        """
        for spec in (genotype.normal, genotype.reduction):
            if spec.num_inputs != 2 or len(spec.outputs) != 1 or not spec.fit_inputs:
                raise ValueError("the genotype's cells must have two inputs, which they fit, and one output")
            if len(set(spec.outputs[0])) < len(spec.outputs[0]):
                raise ValueError("the genotype's cells must not concatenate a hidden state twice")
        return _needed(_Path(self, genotype).nodes)

    def part(self, kind: str, *sizes: Any) -> Part:
        """Returns the part of a kind and of sizes, the same one for the same."""
        key = (kind, *sizes)
        if key not in self._parts:
            self._parts[key] = make_part(kind, *sizes)
        return self._parts[key]


class _Path:
    """A child's nodes, put one behind the other."""

    def __init__(self, supernet: Supernet, genotype: Genotype):
        self.supernet = supernet
        self.nodes: list[Node] = []
        self._rectified: dict[_State, _State] = {}
        width = STEM_MULTIPLIER * supernet.filters
        newest = _Output(((0, self._add(width, "stem", (width,), ["stem"], [], "images")),), 1)
        older: _Output | None = None
        for plan in supernet.plans:
            spec = genotype.reduction if plan.reduction else genotype.normal
            newest, older = self._cell(plan, spec, newest, older), newest
        states = [state for _, state in newest.states]
        slots = [f"classifier/{number}" for number, _ in newest.states] + ["classifier"]
        self._add(2, "classifier", (tuple(newest.channels), supernet.classes), slots, states, "labels")

    def _add(
        self,
        channels: int,
        kind: str,
        sizes: Sequence[Any],
        slots: Sequence[str],
        reads: Sequence[_State],
        data: str | None = None,
    ) -> _State:
        part = self.supernet.part(kind, *sizes)
        slots = slots[: len(part.layouts)]  # none where the layer has no weights
        if part.reads_rectified:
            reads = [self._relu(state) for state in reads]
        self.nodes.append(Node(part, tuple(slots), tuple(state.node for state in reads), data))
        return _State(len(self.nodes) - 1, channels)

    def _relu(self, state: _State) -> _State:
        if state not in self._rectified:
            self._rectified[state] = self._add(state.channels, "relu", (), [], [state])
        return self._rectified[state]

    def _cell(self, plan: CellPlan, spec: CellSpec, newest: _Output, older: _Output | None) -> _Output:
        stride = 2 if plan.reduction else 1
        first = self._fit(f"{plan.name}/fit_0", plan.filters, 1, newest)
        if older is None:  # the first cell of a network: its other input is what it was given
            second = newest.states[0][1]
        elif older.stride != newest.stride:
            second = self._fit(f"{plan.name}/fit_1", plan.filters, 2, older)
        elif sum(older.channels) != plan.filters:
            second = self._fit(f"{plan.name}/fit_1", plan.filters, 1, older)
        elif len(older.states) > 1:
            second = self._add(plan.filters, "join", (), [], [state for _, state in older.states])
        else:
            second = older.states[0][1]
        states = [first, second]
        for number, block in enumerate(spec.blocks):
            place = f"{plan.name}/block_{number}"
            pair = []
            for side, index, name in zip(("left", "right"), block.inputs, block.operations, strict=True):
                sizes = (name, plan.filters, stride if index < 2 else 1, states[index].channels)
                pair.append(self._operation(f"{place}_{side}", sizes, states[index]))
            if block.combine == "concat":
                slots = [f"{place}/concat/left", f"{place}/concat/right", f"{place}/concat"]
                states.append(self._add(plan.filters, "fit", (plan.filters, 1, (plan.filters,) * 2), slots, pair))
            else:
                slots = [f"{place}/{block.combine}"]
                states.append(self._add(plan.filters, "combine", (block.combine, plan.filters), slots, pair))
        members = []
        for index in spec.outputs[0]:
            state = states[index]
            if index < 2 and (stride == 2 or state.channels != plan.filters):
                slots = [f"{plan.name}/output_fit_{index}/{part}" for part in ("kernel", "rest")]
                state = self._add(plan.filters, "fit", (plan.filters, stride, (state.channels,), False), slots, [state])
            members.append((index, state))
        return _Output(tuple(members), newest.stride * stride)

    def _operation(self, place: str, sizes: tuple[str, int, int, int], state: _State) -> _State:
        name, filters, stride, channels = sizes
        if name == "identity" and stride == 1 and channels == filters:
            return state
        return self._add(filters, "operation", sizes, [f"{place}/{name}_{stride}_{channels}"], [state])

    def _fit(self, place: str, filters: int, stride: int, output: _Output) -> _State:
        slots = [f"{place}/{number}" for number, _ in output.states] + [place]
        reads = [state for _, state in output.states]
        return self._add(filters, "fit", (filters, stride, tuple(output.channels)), slots, reads)


def slots(path: Sequence[Node]) -> dict[str, Layout]:
    """Returns the weight vectors of a path: what each slot holds, in the order of the nodes."""
    return {slot: layout for node in path for slot, layout in zip(node.slots, node.part.layouts, strict=True)}


def _needed(nodes: Sequence[Node]) -> list[Node]:
    """Returns the nodes without which the last one could not be computed."""
    needed = {len(nodes) - 1}
    for number in reversed(range(len(nodes))):
        if number in needed:
            needed.update(nodes[number].reads)
    place = {number: new for new, number in enumerate(sorted(needed))}
    return [
        replace(nodes[number], reads=tuple(place[read] for read in nodes[number].reads)) for number in sorted(needed)
    ]
