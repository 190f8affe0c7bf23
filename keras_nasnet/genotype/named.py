"""Genotypes by name: NASNet-A, B, C, and those of one's own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_nasnet.common.documents import read_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import shown
from keras_nasnet.common.registry import Registry
from keras_nasnet.genotype.spec import Block, CellSpec, Genotype


def _blocks(*rows: Sequence[Any]) -> tuple[Block, ...]:
    return tuple(
        Block((left, right), (left_operation, right_operation), combine)
        for left, left_operation, right, right_operation, combine in rows
    )


# Released code (TF-slim, nasnet_utils.NasNetANormalCell and NasNetAReductionCell); the
# paper's figure leaves two arrows out of the concatenations.
NASNET_A = Genotype(
    name="nasnet_a",
    normal=CellSpec(
        _blocks(
            (0, "sep_conv_5x5", 1, "sep_conv_3x3", "add"),
            (1, "sep_conv_5x5", 1, "sep_conv_3x3", "add"),
            (0, "avg_pool_3x3", 1, "identity", "add"),
            (1, "avg_pool_3x3", 1, "avg_pool_3x3", "add"),
            (0, "sep_conv_3x3", 0, "identity", "add"),
        ),
        outputs=((1, 2, 3, 4, 5, 6),),
    ),
    reduction=CellSpec(
        _blocks(
            (0, "sep_conv_5x5", 1, "sep_conv_7x7", "add"),
            (0, "max_pool_3x3", 1, "sep_conv_7x7", "add"),
            (0, "avg_pool_3x3", 1, "sep_conv_5x5", "add"),
            (3, "identity", 2, "avg_pool_3x3", "add"),
            (2, "sep_conv_3x3", 0, "max_pool_3x3", "add"),
        ),
        outputs=((3, 4, 5, 6),),
    ),
)

# NASNet-B and C are known from the paper's figures alone.
NASNET_B = Genotype(
    name="nasnet_b",
    # This ratio and inputs that are not fitted come nearest to the published sizes
    # (scripts/published_sizes.py prints the table).
    penultimate_ratio=24,
    normal=CellSpec(
        _blocks(
            (1, "sep_conv_5x5", 2, "identity", "layer_norm_add"),
            (0, "sep_conv_5x5", 3, "sep_conv_3x3", "layer_norm_add"),
            (1, "sep_conv_3x3", 3, "identity", "layer_norm_add"),
            (0, "identity", 1, "sep_conv_3x3", "layer_norm_add"),
        ),
        outputs=((4,), (5,), (6,), (7,)),
        num_inputs=4,
        fit_inputs=False,
    ),
    reduction=CellSpec(
        _blocks(
            (0, "sep_conv_3x3", 1, "sep_conv_3x3", "layer_norm_add"),
            (1, "sep_conv_3x3", 3, "identity", "layer_norm_add"),
            (2, "identity", 3, "avg_pool_3x3", "add"),
            (0, "avg_pool_3x3", 4, "conv_1x3_3x1", "add"),
        ),
        outputs=((4,), (5,), (6,), (7,)),
        num_inputs=4,
        fit_inputs=False,
    ),
)

NASNET_C = Genotype(
    name="nasnet_c",
    normal=CellSpec(
        _blocks(
            (0, "sep_conv_3x3", 0, "sep_conv_5x5", "add"),
            (0, "sep_conv_3x3", 1, "sep_conv_3x3", "instance_norm_add"),
            (0, "sep_conv_3x3", 1, "sep_conv_3x3", "concat"),
            (1, "sep_conv_3x3", 1, "conv_1x3_3x1", "layer_norm_add"),
        ),
        outputs=((2, 3, 4, 5),),
    ),
    reduction=CellSpec(
        _blocks(
            (0, "max_pool_3x3", 0, "max_pool_3x3", "concat"),
            (0, "conv_1x7_7x1", 1, "max_pool_3x3", "layer_norm_add"),
            (0, "max_pool_3x3", 1, "max_pool_3x3", "instance_norm_add"),
            (1, "sep_conv_7x7", 1, "max_pool_5x5", "layer_norm_add"),
        ),
        outputs=((2, 3, 4, 5),),
    ),
)


GENOTYPES: Registry[Genotype] = Registry("genotype", {item.name: item for item in (NASNET_A, NASNET_B, NASNET_C)})


def get(genotype: "str | os.PathLike[str] | Genotype") -> Genotype:
    """Return a genotype by its name, from a .json file, or as it is.

    Args:
        genotype: "nasnet_a", "nasnet_b", "nasnet_c" or the name of one's own (`GENOTYPES.register`, or an entry point
            of the group "keras_nasnet.genotype"); the path of a .json file; or a `Genotype`.

    Raises:
        ValueError: if there is no such genotype, or the file holds none.

    Example:
        >>> get("nasnet_a") == NASNET_A
        True
        >>> GENOTYPES.register("mine", Genotype(NASNET_A.normal, NASNET_C.reduction, name="mine"))
        >>> get("mine").normal == NASNET_A.normal
        True
        >>> with open("found.json", "w") as file:
        ...     _ = file.write(NASNET_C.to_json())
        >>> get("found.json").name
        'nasnet_c'
    """
    if isinstance(genotype, Genotype):
        return genotype
    if isinstance(genotype, str | os.PathLike) and os.fspath(genotype).endswith(".json"):
        return _read(Path(genotype))
    if not isinstance(genotype, str) or genotype not in GENOTYPES:
        known = ", ".join(sorted(GENOTYPES))
        raise ValueError(f"genotype is {shown(genotype)}: give a Genotype, a .json file, or one of {known}")
    return GENOTYPES.get(genotype)


def _read(path: Path) -> Genotype:
    data = read_json(path)
    try:
        return Genotype.from_dict(data)
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error)}") from None
