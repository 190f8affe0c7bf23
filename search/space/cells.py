"""Spaces of a normal and a reduction cell: NASNet's, and one like DARTS'. Nothing here imports Keras."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from keras_nasnet.common.registry import Registry
from keras_nasnet.genotype import COMBINE_LAYERS, OPERATION_LAYERS, OPERATIONS, Block, CellSpec, Genotype
from keras_nasnet.search.space.contract import SearchSpace

# DARTS (Liu et al. 2019), genotypes.PRIMITIVES, by the names of this package.
DARTS_OPERATIONS = (
    "zero",
    "max_pool_3x3",
    "avg_pool_3x3",
    "identity",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_sep_conv_3x3",
    "dil_sep_conv_5x5",
)
MAX_BLOCKS = 20  # of a cell; more is a mistake


@dataclass(frozen=True)
class CellSpace(SearchSpace):
    """Normal and reduction cells, each block of which chooses what it reads and what it does with it.

    Each block has five tokens: two hidden states, the operations on them, and their combination (none where there is
    one combination only). Block b may read 2 + b hidden states: h_i, h_{i-1} and the blocks before it. The tokens of
    the normal cell come first, then those of the reduction cell.

    Source: section 3 and figure 3 of the NASNet paper (Zoph et al. 2018).

    Args:
        blocks: B, the number of blocks of each cell, from 1 to 20.
        operations: names out of `genotype.OPERATION_LAYERS`.
        combines: names out of `genotype.COMBINE_LAYERS`.

    Attributes:
        concatenate_all: whether the cell's output concatenates all its blocks (DARTS), or those that no block reads
            (NASNet).

    Raises:
        ValueError: if there are no such blocks, operations or combines.
    """

    concatenate_all: ClassVar[bool]
    blocks: int
    operations: tuple[str, ...]
    combines: tuple[str, ...]

    def __post_init__(self) -> None:
        if isinstance(self.blocks, bool) or not isinstance(self.blocks, int) or not 1 <= self.blocks <= MAX_BLOCKS:
            raise ValueError(f"blocks is {self.blocks!r}: it must be a whole number from 1 to {MAX_BLOCKS}")
        legal = {"operations": OPERATION_LAYERS, "combines": COMBINE_LAYERS}
        for option, names in legal.items():
            object.__setattr__(self, option, _distinct(option, getattr(self, option), names))
        block_kinds = ["input", "input", "operation", "operation"] + ["combine"] * (len(self.combines) > 1)
        kinds, sizes = [], []
        for _ in range(2):
            for block in range(self.blocks):
                kinds += block_kinds
                size = {"input": 2 + block, "operation": len(self.operations), "combine": len(self.combines)}
                sizes += [size[kind] for kind in block_kinds]
        object.__setattr__(self, "kinds", tuple(kinds))
        object.__setattr__(self, "sizes", tuple(sizes))

    @property
    def operation_names(self) -> tuple[str, ...]:
        return self.operations

    def genotype(self, tokens: Sequence[int]) -> Genotype:
        values = self.check(tokens)
        half = self.length // 2
        return Genotype(self._cell(values[:half]), self._cell(values[half:]))

    def _cell(self, values: Sequence[int]) -> CellSpec:
        step = len(values) // self.blocks
        blocks = []
        for start in range(0, len(values), step):
            left, right, left_operation, right_operation, *combine = values[start : start + step]
            names = (self.operations[left_operation], self.operations[right_operation])
            blocks.append(Block((left, right), names, self.combines[combine[0] if combine else 0]))
        return CellSpec(tuple(blocks), (self._concatenated(blocks),))

    def _concatenated(self, blocks: Sequence[Block]) -> tuple[int, ...]:
        read = set() if self.concatenate_all else {index for block in blocks for index in block.inputs}
        return tuple(index for index in range(2, 2 + len(blocks)) if index not in read)

    def tokens(self, genotype: Any) -> tuple[int, ...]:
        if not isinstance(genotype, Genotype):
            raise ValueError(f"{genotype!r} is not in {self.name}: its children are a Genotype")
        tokens: list[int] = []
        for kind, cell in (("normal", genotype.normal), ("reduction", genotype.reduction)):
            try:
                tokens += self._cell_tokens(cell)
            except ValueError as error:
                raise ValueError(f"the genotype is not in {self.name}: {kind} cell: {error}") from None
        return tuple(tokens)

    def _cell_tokens(self, cell: CellSpec) -> list[int]:
        if cell.num_inputs != 2 or not cell.fit_inputs:
            raise ValueError(f"it has {cell.num_inputs} inputs, fit_inputs {cell.fit_inputs}: must be 2 and True")
        if len(cell.blocks) != self.blocks:
            raise ValueError(f"it has {len(cell.blocks)} blocks, not {self.blocks}")
        tokens = []
        for number, block in enumerate(cell.blocks):
            for name in block.operations:
                if name not in self.operations:
                    raise ValueError(f"block {number} has the operation {name}: choose from {_listed(self.operations)}")
            if block.combine not in self.combines:
                raise ValueError(
                    f"block {number} has the combine {block.combine}: choose from {_listed(self.combines)}"
                )
            tokens += [*block.inputs, *map(self.operations.index, block.operations)]
            tokens += [self.combines.index(block.combine)] * (len(self.combines) > 1)
        rule = self._concatenated(cell.blocks)
        if [sorted(group) for group in cell.outputs] != [list(rule)]:
            raise ValueError(
                f"its outputs concatenate hidden states {' and '.join(_listed(group) for group in cell.outputs)}; "
                f"by the rule of this space that is {_listed(rule)}"
            )
        return tokens

    def key(self, tokens: Sequence[int]) -> str:
        return self.genotype(tokens).digest


@dataclass(frozen=True)
class NASNetSpace(CellSpace):
    """The space of the NASNet paper: 5 blocks, 13 operations, sums and concatenations.

    With all of `genotype.COMBINES` it is the one that NASNet-B and NASNet-C came from.

    Source: section 3 and figure 3 of the NASNet paper (Zoph et al. 2018).
    """

    name = "nasnet"
    concatenate_all = False
    blocks: int = 5
    operations: tuple[str, ...] = OPERATIONS
    combines: tuple[str, ...] = ("add", "concat")

    def to_dict(self) -> dict[str, Any]:
        options = {"blocks": self.blocks, "operations": list(self.operations), "combines": list(self.combines)}
        return {"name": self.name} | options


@dataclass(frozen=True)
class DartsLikeSpace(CellSpace):
    """A space like that of DARTS: 4 blocks, its 8 operations, sums only, all blocks concatenated."""

    name = "darts_like"
    concatenate_all = True
    blocks: int = field(default=4, init=False)
    operations: tuple[str, ...] = field(default=DARTS_OPERATIONS, init=False)
    combines: tuple[str, ...] = field(default=("add",), init=False)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}


def _distinct(option: str, given: Any, legal: Registry[Any]) -> tuple[str, ...]:
    """Return names as a tuple. Raises ValueError unless each is legal and stands there once."""
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"{option} is {given!r}: give a list of names out of {_listed(legal)}")
    for name in given:
        if name not in legal:
            raise ValueError(f"{option} has the unknown {name!r}: choose from {_listed(legal)}")
        if given.count(name) > 1:
            raise ValueError(f"{option} has {name!r} twice")
    return tuple(given)


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(str, values))
