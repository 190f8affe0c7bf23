"""What a search space is: a child as a row of tokens, one for each decision, and as what evaluators take.

Nothing here imports Keras.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from keras_nasnet.genotype import Genotype


@dataclass(frozen=True)
class SearchSpace(ABC):
    """All children that a controller may propose.

    Any value below `sizes[t]` is legal for token t, whatever the other tokens are. A space of your own is a frozen
    dataclass that inherits from this class and sets `kinds` and `sizes` in `__post_init__`; its fields are its options.

    Attributes:
        name: by which `get_space` finds it.
        kinds: for each token, what it decides: "input" (a hidden state), "operation", "combine" or "edge". Tokens of
            one kind mean the same by the same value.
        sizes: for each token, the number of its legal values.

    Example:
        >>> space = get_space("nasbench201")
        >>> isinstance(space, SearchSpace), space.length, space.size
        (True, 6, 15625)
        >>> child = space.sample(np.random.default_rng(0))
        >>> space.tokens(space.genotype(child)) == child
        True
    """

    name: ClassVar[str]
    kinds: tuple[str, ...] = field(init=False, repr=False)
    sizes: tuple[int, ...] = field(init=False, repr=False)

    @property
    def length(self) -> int:
        """The number of tokens of a child."""
        return len(self.sizes)

    @property
    def size(self) -> int:
        """The number of children; isomorphic ones count each."""
        return math.prod(self.sizes)

    @property
    def mask(self) -> np.ndarray:
        """A bool array (length, largest of sizes), True where a value is legal for a token."""
        return np.arange(max(self.sizes)) < np.array(self.sizes)[:, None]

    @property
    @abstractmethod
    def operation_names(self) -> tuple[str, ...]:
        """The operations that the values of tokens of kind "operation" or "edge" stand for."""

    @abstractmethod
    def genotype(self, tokens: Sequence[int]) -> Genotype | str:
        """Return the child, which evaluators take. Raises ValueError as `check` does."""

    @abstractmethod
    def tokens(self, genotype: Any) -> tuple[int, ...]:
        """Return the tokens of a child, as the inverse of `genotype`.

        Raises:
            ValueError: if the child is not in this space; says why.
        """

    @abstractmethod
    def key(self, tokens: Sequence[int]) -> str:
        """Return a text that isomorphic children have in common, and only they."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain data from which `get_space` makes this space again."""

    def sample(self, rng: np.random.Generator) -> tuple[int, ...]:
        """Return a random child, each with the same probability."""
        return tuple(rng.integers(self.sizes).tolist())

    def mutate(self, tokens: Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
        """Return a child that differs in one token, each token and each other value of it equally probable."""
        child = list(self.check(tokens))
        position = int(rng.choice([token for token, size in enumerate(self.sizes) if size > 1]))
        shift = int(rng.integers(1, self.sizes[position]))
        child[position] = (child[position] + shift) % self.sizes[position]
        return tuple(child)

    def check(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Return the tokens as a tuple of ints.

        Raises:
            ValueError: if they are no child of this space.
        """
        if not isinstance(tokens, list | tuple | np.ndarray) or len(tokens) != self.length:
            raise ValueError(f"tokens are {tokens!r}: a child of {self.name} has {self.length} of them")
        for position, (value, size) in enumerate(zip(tokens, self.sizes, strict=True)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < size:
                raise ValueError(f"token {position} is {value!r}: it must be from 0 to {size - 1} ({self.name})")
        return tuple(int(value) for value in tokens)
