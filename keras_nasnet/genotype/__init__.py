"""Genotypes: what a NASNet cell is, as data. Imports no Keras."""

from keras_nasnet.genotype.named import GENOTYPES, NASNET_A, NASNET_B, NASNET_C, get
from keras_nasnet.genotype.spec import Block, CellSpec, Genotype
from keras_nasnet.genotype.vocabulary import COMBINE_LAYERS, COMBINES, MORE_OPERATIONS, OPERATION_LAYERS, OPERATIONS

__all__ = [
    "COMBINES",
    "COMBINE_LAYERS",
    "GENOTYPES",
    "MORE_OPERATIONS",
    "NASNET_A",
    "NASNET_B",
    "NASNET_C",
    "OPERATIONS",
    "OPERATION_LAYERS",
    "Block",
    "CellSpec",
    "Genotype",
    "get",
]
