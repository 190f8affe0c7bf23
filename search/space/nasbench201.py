"""The search space of NAS-Bench-201: a cell of four nodes with an operation on each of the six edges.

Source: Dong and Yang 2020; github.com/D-X-Y/AutoDL-Projects, cell_searchs/genotypes.py (Structure).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_nasnet.search.space.contract import SearchSpace

EDGE_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = (
    (1, 0),
    (2, 0),
    (2, 1),
    (3, 0),
    (3, 1),
    (3, 2),
)  # (node, the node that it reads), as an architecture lists them


@dataclass(frozen=True)
class NASBench201(SearchSpace):
    """15,625 cells, 6,466 of which differ. A child is an architecture string of NAS-Bench-201.

    Example:
        >>> NASBench201().genotype((3, 3, 3, 1, 3, 3))
        '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|'
    """

    name = "nasbench201"

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", ("edge",) * len(EDGES))
        object.__setattr__(self, "sizes", (len(EDGE_OPERATIONS),) * len(EDGES))

    @property
    def operation_names(self) -> tuple[str, ...]:
        return EDGE_OPERATIONS

    def genotype(self, tokens: Sequence[int]) -> str:
        edges = list(zip(EDGES, self.check(tokens), strict=True))
        return "+".join(
            "|" + "|".join(f"{EDGE_OPERATIONS[value]}~{source}" for (node, source), value in edges if node == to) + "|"
            for to in (1, 2, 3)
        )

    def tokens(self, genotype: Any) -> tuple[int, ...]:
        parts = [part for part in str(genotype).replace("|+|", "|").split("|") if part]
        tokens = []
        for part in parts:
            operation = part.split("~")[0]
            if operation not in EDGE_OPERATIONS:
                raise ValueError(
                    f"{genotype!r} is not in {self.name}: {operation!r} is none of {', '.join(EDGE_OPERATIONS)}"
                )
            tokens.append(EDGE_OPERATIONS.index(operation))
        if len(tokens) != len(EDGES) or self.genotype(tokens) != genotype:
            example = self.genotype((0,) * len(EDGES))
            raise ValueError(f"{genotype!r} is not in {self.name}: an architecture looks like {example}")
        return tuple(tokens)

    def key(self, tokens: Sequence[int]) -> str:
        """Return what the last node computes, written out: a skip is what it reads, and what reads a zero is a zero.

        The same as `Structure.to_unique_str(consider_zero=True)`, also in that a sum of
        zeros counts as something: so are the 6,466 classes of the benchmark defined.
        """
        values = self.check(tokens)
        nodes = ["0"]
        for to in (1, 2, 3):
            summands = []
            for (node, source), value in zip(EDGES, values, strict=True):
                if node != to:
                    continue
                operation = EDGE_OPERATIONS[value]
                if operation == "none" or nodes[source] == "#":
                    summands.append("#")
                elif operation == "skip_connect":
                    summands.append(nodes[source])
                else:
                    summands.append(f"({nodes[source]})@{operation}")
            nodes.append("+".join(sorted(summands)))
        return nodes[-1]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name}
