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
from keras_nasnet.genotype.vocabulary import combine_width
from keras_nasnet.genotype.wiring import SIDES, walk
from keras_nasnet.models.arguments import stage_sizes
from keras_nasnet.models.assembly import CellPlan, plan_cells
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
        """Return a child's nodes in an order in which each reads only what stands before it.

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
        """Return the part of a kind and of sizes, the same one for the same."""
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
        newest = _Output(((0, self.add(width, "stem", (width,), ["stem"], [], "images")),), 1)
        older: _Output | None = None
        for plan in supernet.plans:
            spec = genotype.reduction if plan.reduction else genotype.normal
            newest, older = self._cell(plan, spec, newest, older), newest
        states = [state for _, state in newest.states]
        slots = [f"classifier/{number}" for number, _ in newest.states] + ["classifier"]
        self.add(2, "classifier", (tuple(newest.channels), supernet.classes), slots, states, "labels")

    def add(
        self,
        channels: int,
        kind: str,
        sizes: Sequence[Any],
        slots: Sequence[str],
        reads: Sequence[_State],
        data: str | None = None,
    ) -> _State:
        """Add a node, and returns the state that it computes."""
        part = self.supernet.part(kind, *sizes)
        slots = slots[: len(part.layouts)]  # none where the layer has no weights
        if part.reads_rectified:
            reads = [self._relu(state) for state in reads]
        self.nodes.append(Node(part, tuple(slots), tuple(state.node for state in reads), data))
        return _State(len(self.nodes) - 1, channels)

    def _relu(self, state: _State) -> _State:
        if state not in self._rectified:
            self._rectified[state] = self.add(state.channels, "relu", (), [], [state])
        return self._rectified[state]

    def _cell(self, plan: CellPlan, spec: CellSpec, newest: _Output, older: _Output | None) -> _Output:
        inputs = [newest] if older is None else [newest, older]
        (output,) = walk(spec, inputs, _CellPath(self, plan, newest.stride))
        return output


class _CellPath:
    """Visits a cell, and adds its nodes to a path."""

    def __init__(self, path: _Path, plan: CellPlan, stride: int):
        self.path = path
        self.plan = plan
        self.before = stride  # of the newest input to the image
        self.stride = 2 if plan.reduction else 1

    def fit_input(self, index: int, given: _Output) -> _State:
        filters, place = self.plan.filters, f"{self.plan.name}/fit_{index}"
        states = [state for _, state in given.states]
        if index == 0 or given.stride != self.before or sum(given.channels) != filters:
            slots = [f"{place}/{number}" for number, _ in given.states] + [place]
            stride = self.before // given.stride
            return self.path.add(filters, "fit", (filters, stride, tuple(given.channels)), slots, states)
        return states[0] if len(states) == 1 else self.path.add(filters, "join", (), [], states)

    def missing_input(self, newest: _Output) -> _State:
        return newest.states[0][1]

    def operation(self, block: int, side: int, name: str, index: int, state: _State) -> _State:
        filters, stride = self.plan.filters, self.stride if index < 2 else 1
        sizes = (name, filters, stride, state.channels)
        if self.path.supernet.part("operation", *sizes).passes_through:
            return state
        place = f"{self.plan.name}/block_{block}_{SIDES[side]}/{name}_{stride}_{state.channels}"
        return self.path.add(filters, "operation", sizes, [place], [state])

    def combine(self, block: int, name: str, branches: Sequence[_State]) -> _State:
        filters, place = self.plan.filters, f"{self.plan.name}/block_{block}/{name}"
        if combine_width(name) == 1:
            return self.path.add(filters, "combine", (name, filters), [place], branches)
        slots = [*(f"{place}/{side}" for side in SIDES), place]
        return self.path.add(filters, "fit", (filters, 1, (filters,) * 2), slots, branches)

    def fit_output(self, index: int, state: _State) -> _State:
        filters = self.plan.filters
        if self.stride == 1 and state.channels == filters:
            return state
        slots = [f"{self.plan.name}/output_fit_{index}/{part}" for part in ("kernel", "rest")]
        return self.path.add(filters, "fit", (filters, self.stride, (state.channels,), False), slots, [state])

    def join(self, number: int, members: Sequence[tuple[int, _State]]) -> _Output:
        return _Output(tuple(members), self.before * self.stride)


def slots(path: Sequence[Node]) -> dict[str, Layout]:
    """Return the weight vectors of a path: what each slot holds, in the order of the nodes."""
    return {slot: layout for node in path for slot, layout in zip(node.slots, node.part.layouts, strict=True)}


def _needed(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes without which the last one could not be computed."""
    needed = {len(nodes) - 1}
    for number in reversed(range(len(nodes))):
        if number in needed:
            needed.update(nodes[number].reads)
    place = {number: new for new, number in enumerate(sorted(needed))}
    return [
        replace(nodes[number], reads=tuple(place[read] for read in nodes[number].reads)) for number in sorted(needed)
    ]
