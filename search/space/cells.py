"""Search spaces: a child as a row of tokens, one for each decision, and as the genotype that it stands for.

Nothing here imports Keras.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from keras_nasnet.genotype import COMBINES, MORE_OPERATIONS, OPERATIONS, Block, CellSpec, Genotype

SPACES = ("nasnet", "darts_like", "nasbench201")

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
class SearchSpace(ABC):
    """All children that a controller may propose.

    Any value below `sizes[t]` is legal for token t, whatever the other tokens are.

    Attributes:
        name: one of `SPACES`.
        kinds: for each token, what it decides: "input" (a hidden state), "operation",
            "combine" or "edge". Tokens of one kind mean the same by the same value.
        sizes: for each token, the number of its legal values.
    """

    name: str
    kinds: tuple[str, ...] = field(init=False, repr=False)
    sizes: tuple[int, ...] = field(init=False, repr=False)

    @property
    def length(self) -> int:
        """Number of tokens of a child."""
        return len(self.sizes)

    @property
    def size(self) -> int:
        """Number of children; isomorphic ones count each."""
        return math.prod(self.sizes)

    @property
    def mask(self) -> np.ndarray:
        """Bool array (length, largest of sizes): true where a value is legal for a token."""
        return np.arange(max(self.sizes)) < np.array(self.sizes)[:, None]

    @abstractmethod
    def genotype(self, tokens: Sequence[int]) -> Genotype | str:
        """Returns the child: what evaluators take. Raises ValueError as `check` does."""

    @abstractmethod
    def tokens(self, genotype: Any) -> tuple[int, ...]:
        """Inverse of `genotype`. Raises ValueError if the child is not in this space; says why."""

    @abstractmethod
    def key(self, tokens: Sequence[int]) -> str:
        """Returns a text that isomorphic children have in common, and only they."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Returns plain data of which `get_space` makes this space again."""

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """Returns a child; each has the same probability."""
        return tuple(rng.integers(self.sizes).tolist())

    def mutate(self, tokens: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
        """Returns a child that differs in one token, each token and each other value of it equally probable."""
        child = list(self.check(tokens))
        position = int(rng.choice([token for token, size in enumerate(self.sizes) if size > 1]))
        shift = int(rng.integers(1, self.sizes[position]))
        child[position] = (child[position] + shift) % self.sizes[position]
        return tuple(child)

    def check(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Returns the tokens as a tuple of ints.

        Raises:
            ValueError: if they are no child of this space.
        """
        if not isinstance(tokens, list | tuple | np.ndarray) or len(tokens) != self.length:
            raise ValueError(f"tokens are {tokens!r}: a child of {self.name} has {self.length} of them")
        for position, (value, size) in enumerate(zip(tokens, self.sizes, strict=True)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < size:
                raise ValueError(f"token {position} is {value!r}: it must be from 0 to {size - 1} ({self.name})")
        return tuple(int(value) for value in tokens)


@dataclass(frozen=True)
class CellSpace(SearchSpace):
    """Normal and reduction cells of a number of blocks, in which each block chooses what it reads and does.

    Each block has five tokens: two hidden states, the operations on them, and their
    combination (none where there is one combination only). Block b may read 2 + b hidden
    states: h_i, h_{i-1} and the blocks before it. The tokens of the normal cell come
    first, then those of the reduction cell.

    Source: section 3 and figure 3 of the NASNet paper (Zoph et al. 2018).

    Args:
        name: "nasnet" or "darts_like".
        blocks: B, of each cell.
        operations: names out of `genotype.OPERATIONS` and `genotype.MORE_OPERATIONS`.
        combines: names out of `genotype.COMBINES`.
        concatenate_all: whether the cell's output concatenates all its blocks (DARTS), or
            those that no block reads (NASNet).

    Raises:
        ValueError: if there are no such blocks, operations or combines.
    """

    blocks: int
    operations: tuple[str, ...]
    combines: tuple[str, ...]
    concatenate_all: bool

    def __post_init__(self) -> None:
        if isinstance(self.blocks, bool) or not isinstance(self.blocks, int) or not 1 <= self.blocks <= MAX_BLOCKS:
            raise ValueError(f"blocks is {self.blocks!r}: it must be a whole number from 1 to {MAX_BLOCKS}")
        legal = {"operations": (*OPERATIONS, *MORE_OPERATIONS), "combines": COMBINES}
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

    def to_dict(self) -> dict[str, Any]:
        options = {"blocks": self.blocks, "operations": list(self.operations), "combines": list(self.combines)}
        return {"name": self.name} | (options if self.name == "nasnet" else {})


def get_space(space: str | Mapping[str, Any]) -> SearchSpace:
    """Returns a search space by name, or from plain data.

    - "nasnet": of the paper; 5 blocks, 13 operations, combines "add" and "concat". Options:
      `blocks`, `operations` and `combines` (all four of `genotype.COMBINES` are those that
      NASNet-B and C came from).
    - "darts_like": 4 blocks, the 8 operations of DARTS, sums only, all blocks concatenated.
    - "nasbench201": 6 edges with one of 5 operations each (`nasbench201.NASBench201`).

    Args:
        space: one of `SPACES`, or {"name": one of them, and its options}.

    Raises:
        ValueError: if there is no such space, or it has no such option; says which there are.
    """
    options = {"name": space} if isinstance(space, str) else dict(space)
    name = options.pop("name", None)
    if name not in SPACES:
        raise ValueError(f"space is {name!r}: choose from {_listed(SPACES)}")
    known = ("blocks", "operations", "combines") if name == "nasnet" else ()
    if unknown := sorted(options.keys() - set(known)):
        raise ValueError(f"the space {name} has no option {unknown[0]!r}; it has {_listed(known) or 'none'}")
    if name == "nasnet":
        defaults = {"blocks": 5, "operations": OPERATIONS, "combines": ("add", "concat")}
        return CellSpace(name, **(defaults | options), concatenate_all=False)
    if name == "darts_like":
        return CellSpace(name, 4, DARTS_OPERATIONS, ("add",), concatenate_all=True)
    from keras_nasnet.search.space.nasbench201 import NASBench201

    return NASBench201()


def _distinct(option: str, given: Any, legal: Sequence[str]) -> tuple[str, ...]:
    """Returns names as a tuple. Raises ValueError unless each is legal and stands there once."""
    if not isinstance(given, list | tuple) or not given:
        raise ValueError(f"{option} is {given!r}: give a list of names out of {_listed(legal)}")
    for name in given:
        if name not in legal:
            raise ValueError(f"{option} has the unknown {name!r}: choose from {_listed(legal)}")
        if given.count(name) > 1:
            raise ValueError(f"{option} has {name!r} twice")
    return tuple(given)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(map(str, values))
