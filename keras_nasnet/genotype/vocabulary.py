"""The words of genotypes: the names of operations and combinations, and the layers that they stand for.

A layer is named here, and imported when a network is built. Operations of one's own get a row by
`OPERATION_LAYERS.register`, or by an entry point of the group "keras_nasnet.operation"; combinations likewise.
"""

from collections.abc import Callable
from typing import Any

from keras_nasnet.common.registry import Registry

_LAYERS = "keras_nasnet.layers.operations"
_PAPER = {  # section 3.1
    "identity": f"{_LAYERS}:Identity",
    "conv_1x3_3x1": f"{_LAYERS}:Convolution",
    "conv_1x7_7x1": f"{_LAYERS}:Convolution",
    "dil_conv_3x3": f"{_LAYERS}:Convolution",
    "avg_pool_3x3": f"{_LAYERS}:Pool",
    "max_pool_3x3": f"{_LAYERS}:Pool",
    "max_pool_5x5": f"{_LAYERS}:Pool",
    "max_pool_7x7": f"{_LAYERS}:Pool",
    "conv_1x1": f"{_LAYERS}:Convolution",
    "conv_3x3": f"{_LAYERS}:Convolution",
    "sep_conv_3x3": f"{_LAYERS}:Convolution",
    "sep_conv_5x5": f"{_LAYERS}:Convolution",
    "sep_conv_7x7": f"{_LAYERS}:Convolution",
}
_DARTS = {  # what DARTS (Liu et al. 2019) has beyond them
    "zero": f"{_LAYERS}:Zero",
    "dil_sep_conv_3x3": f"{_LAYERS}:Convolution",
    "dil_sep_conv_5x5": f"{_LAYERS}:Convolution",
}
_COMBINES = {  # the normalised sums are those of NASNet-B and C
    "add": f"{_LAYERS}:Add",
    "concat": f"{_LAYERS}:Concatenate",
    "layer_norm_add": f"{_LAYERS}:layer_norm_add",
    "instance_norm_add": f"{_LAYERS}:instance_norm_add",
}

OPERATIONS = tuple(_PAPER)  # the 13 operations of the paper's search space
MORE_OPERATIONS = tuple(_DARTS)  # legal in blocks as well
COMBINES = tuple(_COMBINES)  # how a block joins its two branches

# All that blocks may have. A row is called with what `layers.make_operation` and `layers.make_combine` take.
OPERATION_LAYERS: Registry[Callable[..., Any]] = Registry("operation", _PAPER | _DARTS)
COMBINE_LAYERS: Registry[Callable[..., Any]] = Registry("combine", _COMBINES)


def combine_width(name: str) -> int:
    """Return the channels of a block's result as a multiple of the cell's filters; 1 for combinations of one's own."""
    return 2 if name == "concat" else 1
