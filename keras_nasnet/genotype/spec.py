"""What a NASNet cell is, as data: blocks, cells and genotypes.

Nothing here imports Keras, so genotypes can be read, written, compared and hashed
in a process that never builds a network.
"""

import hashlib
import json
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.escape import printable, shown
from keras_nasnet.genotype.diagram import svg
from keras_nasnet.genotype.vocabulary import COMBINE_LAYERS, OPERATION_LAYERS, combine_width
from keras_nasnet.genotype.wiring import walk

JSON_VERSION = 1


@dataclass(frozen=True)
class Block:
    """One block of a cell: two hidden states, an operation on each, and their combination.

    Args:
        inputs: two indices of hidden states. In a cell with n inputs, 0..n-1 are the
            cell's inputs (0 is h_i, 1 is h_{i-1}, ...) and n.. its blocks in order.
        operations: two names out of `OPERATIONS`, `MORE_OPERATIONS` and those of one's own, one for each input.
        combine: one of `COMBINES`, or one of one's own. "concat" has twice the filters of the others.

    Example:
        >>> Block((0, 1), ("sep_conv_5x5", "identity"))
        Block(inputs=(0, 1), operations=('sep_conv_5x5', 'identity'), combine='add')
    """

    inputs: tuple[int, int]
    operations: tuple[str, str]
    combine: str = "add"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _as_tuple(self.inputs))
        object.__setattr__(self, "operations", _as_tuple(self.operations))


@dataclass(frozen=True, eq=False)
class CellSpec:
    """The wiring of one cell.

    Two specs are equal, and have the same `digest`, when they are two spellings of
    one cell: branches swapped, blocks listed in another order, or the members of a
    concatenation in another order (the same network up to the order of channels).

    Args:
        blocks: the blocks in an order in which each reads only what stands before it.
        outputs: for each output of the cell, the hidden states that are concatenated
            into it. NASNet-A and C have one output, NASNet-B has four.
        num_inputs: number of cell inputs (2: h_i and h_{i-1}).
        fit_inputs: whether inputs are projected to the cell's filters before blocks read
            them. If not, each operation that needs it projects for itself.

    Raises:
        ValueError: if the wiring is invalid; the message names the block.

    Example:
        >>> cell = CellSpec((Block((0, 1), ("sep_conv_5x5", "identity")),), outputs=((0, 2),))
        >>> cell == CellSpec((Block((1, 0), ("identity", "sep_conv_5x5")),), outputs=((2, 0),))
        True
        >>> CellSpec((Block((0, 2), ("identity", "identity")),), outputs=((2,),))
        Traceback (most recent call last):
        ValueError: block 0 reads itself (hidden state 2): a cycle
    """

    blocks: tuple[Block, ...]
    outputs: tuple[tuple[int, ...], ...]
    num_inputs: int = 2
    fit_inputs: bool = True
    digest: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))
        object.__setattr__(self, "outputs", tuple(_as_tuple(group) for group in self.outputs))
        self._check()
        object.__setattr__(self, "digest", self._canonical_digest())

    def _check(self) -> None:
        if not _is_index(self.num_inputs) or self.num_inputs < 1:
            raise ValueError(f"num_inputs is {shown(self.num_inputs)}: a cell has at least one input")
        if self.num_inputs > limits.CELL_INPUTS:
            raise ValueError(f"num_inputs is {shown(self.num_inputs)}: a cell has at most {limits.CELL_INPUTS}")
        if not isinstance(self.fit_inputs, bool):
            raise ValueError(f"fit_inputs is {shown(self.fit_inputs)}: it must be true or false")
        if not self.blocks:
            raise ValueError("the cell has no block: give at least one")
        _check_size(self.blocks, self.outputs)
        for number, block in enumerate(self.blocks):
            self._check_block(number, block)
        if not self.outputs:
            raise ValueError(
                f"the cell has no output: nothing reads block {len(self.blocks) - 1}; "
                "list in `outputs` the hidden states that it returns"
            )
        last = self.num_inputs + len(self.blocks) - 1
        for number, group in enumerate(self.outputs):
            if not group:
                raise ValueError(f"output {number} is empty: list the hidden states it concatenates")
            for index in group:
                if not _is_index(index) or index > last:
                    raise ValueError(
                        f"output {number} reads hidden state {shown(index)}, which no block defines "
                        f"(the last, block {len(self.blocks) - 1}, is hidden state {last})"
                    )

    def _check_block(self, number: int, block: Block) -> None:
        if not isinstance(block, Block):
            raise ValueError(f"block {number} is {shown(block)}, not a Block")
        if len(block.inputs) != 2 or len(block.operations) != 2:
            raise ValueError(
                f"block {number} has {len(block.inputs)} inputs and {len(block.operations)} "
                "operations: a block has two of each"
            )
        defined = self.num_inputs + number
        for index in block.inputs:
            if not _is_index(index):
                raise ValueError(f"block {number} reads hidden state {shown(index)}: not an index from 0 up")
            if index == defined:
                raise ValueError(f"block {number} reads itself (hidden state {index}): a cycle")
            if index > defined:
                raise ValueError(
                    f"block {number} reads hidden state {shown(index)}, which is not yet defined (it may "
                    f"read 0 to {defined - 1}): reorder the blocks, or break the cycle if there is one"
                )
        for name in block.operations:
            if not isinstance(name, str) or name not in OPERATION_LAYERS:
                known = ", ".join(OPERATION_LAYERS)
                raise ValueError(f"block {number} has the unknown operation {shown(name)}: choose from {known}")
        if not isinstance(block.combine, str) or block.combine not in COMBINE_LAYERS:
            known = ", ".join(COMBINE_LAYERS)
            raise ValueError(f"block {number} has the unknown combine {shown(block.combine)}: choose from {known}")

    def _canonical_digest(self) -> str:
        """Hex SHA-256 that does not depend on how the cell is spelled.

        Colour refinement over the cell's graph: each hidden state is described by
        what it reads and by who reads it, again and again until every path has been
        seen. What it reads alone would not tell a shared block from a copied one.
        """
        size = self.num_inputs + len(self.blocks)
        colours = [f"input {index}" for index in range(self.num_inputs)]
        colours += [f"block {block.combine}" for block in self.blocks]
        readers: list[list[tuple[str, int]]] = [[] for _ in range(size)]  # (role, reader)
        for number, block in enumerate(self.blocks):
            for index, operation in zip(block.inputs, block.operations, strict=True):
                readers[index].append((operation, self.num_inputs + number))
        for number, group in enumerate(self.outputs):
            for index in group:
                readers[index].append((f"output {number}", -1))
        for _ in range(size):
            refined = []
            for state in range(size):
                reads: list[tuple[str, str]] = []
                if state >= self.num_inputs:
                    block = self.blocks[state - self.num_inputs]
                    pairs = zip(block.operations, block.inputs, strict=True)
                    reads = [(operation, colours[index]) for operation, index in pairs]
                read_by = [(role, colours[reader] if reader >= 0 else "") for role, reader in readers[state]]
                refined.append(_sha256([colours[state], sorted(reads), sorted(read_by)]))
            colours = refined
        return _sha256([self.num_inputs, self.fit_inputs, len(self.outputs), sorted(colours)])

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, CellSpec) else NotImplemented

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    @property
    def output_multipliers(self) -> tuple[int, ...]:
        """Channels of each output as a multiple of the cell's filters."""
        return tuple(walk(self, [1] * self.num_inputs, _Widths()))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "num_inputs": self.num_inputs,
            "fit_inputs": self.fit_inputs,
            "blocks": [
                {"inputs": list(b.inputs), "operations": list(b.operations), "combine": b.combine} for b in self.blocks
            ],
            "outputs": [list(group) for group in self.outputs],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CellSpec":
        """Inverse of `to_dict`. Raises ValueError if `data` is not a cell."""
        _check_keys("a cell", data, {"blocks", "outputs"}, {"num_inputs", "fit_inputs"})
        given = _check_list("blocks", data["blocks"])
        _check_size(given, _check_list("outputs", data["outputs"]))
        blocks = []
        for number, item in enumerate(given):
            _check_keys(f"block {number}", item, {"inputs", "operations"}, {"combine"})
            inputs = _check_list(f"block {number}: inputs", item["inputs"])
            operations = _check_list(f"block {number}: operations", item["operations"])
            blocks.append(Block(tuple(inputs), tuple(operations), item.get("combine", "add")))  # type: ignore[arg-type]
        outputs = [tuple(_check_list(f"output {number}", group)) for number, group in enumerate(data["outputs"])]
        return cls(tuple(blocks), tuple(outputs), data.get("num_inputs", 2), data.get("fit_inputs", True))


class _Widths:
    """Visits a cell with channels, as multiples of its filters."""

    def fit_input(self, index: int, given: int) -> int:
        return given

    def missing_input(self, newest: int) -> int:
        return newest

    def operation(self, block: int, side: int, name: str, index: int, state: int) -> int:
        return 1

    def combine(self, block: int, name: str, branches: Sequence[int]) -> int:
        return combine_width(name)

    def fit_output(self, index: int, state: int) -> int:
        return state

    def join(self, number: int, members: Sequence[tuple[int, int]]) -> int:
        return sum(width for _, width in members)


@dataclass(frozen=True, eq=False)
class Genotype:
    """A normal cell and a reduction cell: all that tells one NASNet family from another.

    Equality and `digest` are those of the two cells; the name does not count.

    Args:
        normal: the cell that keeps the resolution.
        reduction: the cell that halves it (its operations on cell inputs have stride 2).
        name: how people call it.
        penultimate_ratio: P / F, where P is the "@ P" of the paper's "N @ P" and F the
            filters of the first cells. Default: 4 (two doublings) times the channels of
            the normal cell's outputs in units of its filters, so that P is the number
            of channels that the classifier reads.

    Example:
        >>> cell = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), outputs=((2,),))
        >>> genotype = Genotype(normal=cell, reduction=cell, name="smallest")
        >>> Genotype.from_json(genotype.to_json()) == genotype
        True
        >>> genotype.filters(penultimate_filters=32)
        8
    """

    normal: CellSpec
    reduction: CellSpec
    name: str = ""
    penultimate_ratio: int | None = None

    def __post_init__(self) -> None:
        for kind, cell in (("normal", self.normal), ("reduction", self.reduction)):
            if not isinstance(cell, CellSpec):
                raise ValueError(f"the {kind} cell is {shown(cell)}, not a CellSpec")
        if self.normal.num_inputs != self.reduction.num_inputs:
            raise ValueError(
                f"the normal cell has {self.normal.num_inputs} inputs and the reduction cell "
                f"{self.reduction.num_inputs}: they must agree"
            )
        if len(self.normal.outputs) != len(self.reduction.outputs):
            raise ValueError(
                f"the normal cell has {len(self.normal.outputs)} outputs and the reduction cell "
                f"{len(self.reduction.outputs)}: they must agree"
            )
        if len(self.normal.outputs) > self.normal.num_inputs:
            raise ValueError(
                f"the cells have {len(self.normal.outputs)} outputs but the next cell takes only "
                f"{self.normal.num_inputs} inputs"
            )
        if not isinstance(self.name, str) or len(self.name) > limits.NAME_CHARACTERS:
            raise ValueError(
                f"name is {shown(self.name)}: it must be text of at most {limits.NAME_CHARACTERS} characters"
            )
        if self.penultimate_ratio is None:
            object.__setattr__(self, "penultimate_ratio", 4 * sum(self.normal.output_multipliers))
        elif not _is_index(self.penultimate_ratio) or self.penultimate_ratio < 1:
            raise ValueError(
                f"penultimate_ratio is {shown(self.penultimate_ratio)}: it must be a whole number from 1 up"
            )

    @property
    def digest(self) -> str:
        """Hex SHA-256, the same in every process and for every spelling of the cells."""
        return _sha256([self.normal.digest, self.reduction.digest])

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Genotype) else NotImplemented

    def __hash__(self) -> int:
        return int(self.digest[:15], 16)

    def filters(self, penultimate_filters: int) -> int:
        """F, the filters of the first cells, from P, the "@ P" of the paper's "N @ P"."""
        assert self.penultimate_ratio is not None
        filters = penultimate_filters // self.penultimate_ratio
        if filters < 1:
            raise ValueError(
                f"penultimate_filters is {shown(penultimate_filters)}: with this genotype it must be at least "
                f"{self.penultimate_ratio} (F = P // {self.penultimate_ratio})"
            )
        return filters

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "version": JSON_VERSION,
            "name": self.name,
            "penultimate_ratio": self.penultimate_ratio,
            "normal": self.normal.to_dict(),
            "reduction": self.reduction.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Genotype":
        """Inverse of `to_dict`. Raises ValueError if `data` is not a genotype of this version."""
        _check_keys("a genotype", data, {"version", "normal", "reduction"}, {"name", "penultimate_ratio"})
        if data["version"] != JSON_VERSION:
            raise ValueError(
                f"the genotype has version {shown(data['version'])}, this package reads {JSON_VERSION}: "
                "install the keras-nasnet that wrote it"
            )
        cells = {}
        for kind in ("normal", "reduction"):
            try:
                cells[kind] = CellSpec.from_dict(data[kind])
            except ValueError as error:
                raise ValueError(f"{kind} cell: {error}") from None
        return cls(cells["normal"], cells["reduction"], data.get("name", ""), data.get("penultimate_ratio"))

    def to_json(self, indent: int | None = 2) -> str:
        """Return the genotype as versioned JSON text."""
        return json.dumps(self.to_dict(), indent=indent)

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """Inverse of `to_json`. Raises ValueError if the text is not a genotype."""
        return cls.from_dict(parse_json(text, "the genotype"))

    def _repr_svg_(self) -> str:
        return svg(self)


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_size(blocks: Sized, outputs: Sequence[object]) -> None:
    """Raises ValueError for a cell that is larger than any cell that is meant: its digest alone would take hours."""
    if len(blocks) > limits.CELL_BLOCKS:
        raise ValueError(f"the cell has {len(blocks):,} blocks: at most {limits.CELL_BLOCKS} are taken")
    members = sum(len(group) if isinstance(group, list | tuple) else 1 for group in outputs)
    if max(members, len(outputs)) > limits.CELL_OUTPUTS:
        raise ValueError(f"the cell's outputs have {members:,} hidden states: at most {limits.CELL_OUTPUTS} are taken")


def _check_list(what: str, value: object) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{what} is {shown(value)}, not a list")
    return list(value)


def _check_keys(what: str, data: object, required: set[str], optional: set[str]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{what} is {shown(data)}, not an object")
    if missing := required - data.keys():
        raise ValueError(f"{what} lacks {', '.join(sorted(missing))}")
    if unknown := data.keys() - required - optional:
        raise ValueError(
            f"{what} has the unknown {', '.join(printable(key)[:80] for key in sorted(map(str, unknown))[:5])}"
        )


def _sha256(data: object) -> str:
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()
