"""The wiring of cells, as everything that interprets a genotype reads it."""

from collections.abc import Sequence
from typing import Protocol


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
