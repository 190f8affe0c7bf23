"""A genotype of one's own, with an operation of one's own. To import the module is to add it."""

import tests.support.plugin_operation  # noqa: F401
from keras_nasnet.genotype import GENOTYPES, Block, CellSpec, Genotype

CELL = CellSpec((Block((0, 1), ("conv_5x5", "identity")),), outputs=((0, 2),))

GENOTYPES.register("wide", Genotype(normal=CELL, reduction=CELL, name="wide"))
