"""Keras layers: the cell, its operations, and what they are made of.

For those who build a network of their own, or add an operation; the names below load when they are first used.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.layers.batch_norm import BatchNormalization as BatchNormalization
    from keras_nasnet.layers.cell import Cell as Cell
    from keras_nasnet.layers.convolution import FactorizedReduction as FactorizedReduction
    from keras_nasnet.layers.convolution import Projection as Projection
    from keras_nasnet.layers.drop_path import DropPath as DropPath
    from keras_nasnet.layers.drop_path import DropPathSchedule as DropPathSchedule
    from keras_nasnet.layers.operations import Combine as Combine
    from keras_nasnet.layers.operations import Operation as Operation
    from keras_nasnet.layers.operations import make_combine as make_combine
    from keras_nasnet.layers.operations import make_operation as make_operation

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "BatchNormalization": "batch_norm",
        "Cell": "cell",
        "Combine": "operations",
        "DropPath": "drop_path",
        "DropPathSchedule": "drop_path",
        "FactorizedReduction": "convolution",
        "Operation": "operations",
        "Projection": "convolution",
        "make_combine": "operations",
        "make_operation": "operations",
    },
)
