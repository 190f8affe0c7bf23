"""Genotypes: what a NASNet cell is, as data. Imports no Keras."""

from keras_nasnet.genotype.named import NASNET_A, NASNET_B, NASNET_C, get
from keras_nasnet.genotype.spec import COMBINES, MORE_OPERATIONS, OPERATIONS, Block, CellSpec, Genotype

__all__ = [
    "COMBINES",
    "MORE_OPERATIONS",
    "NASNET_A",
    "NASNET_B",
    "NASNET_C",
    "OPERATIONS",
    "Block",
    "CellSpec",
    "Genotype",
    "get",
]
