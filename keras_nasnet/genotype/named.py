"""Genotypes by name: NASNet-A, B and C."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def get(genotype: "str | os.PathLike[str] | Genotype") -> Genotype:
    """Returns a genotype by its name ("nasnet_a", "nasnet_b", "nasnet_c"), from a .json file, or as it is.

    Raises:
        ValueError: if there is no such genotype, or the file holds none.
    """
    if isinstance(genotype, Genotype):
        return genotype
    known = {item.name: item for item in (NASNET_A, NASNET_B, NASNET_C)}
    if isinstance(genotype, str) and genotype in known:
        return known[genotype]
    if isinstance(genotype, str | os.PathLike) and os.fspath(genotype).endswith(".json"):
        return _read(Path(genotype))
    raise ValueError(f"genotype is {genotype!r}: give a Genotype, a .json file, or one of {', '.join(sorted(known))}")


def _read(path: Path) -> Genotype:
    try:
        return Genotype.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
