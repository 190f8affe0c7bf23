"""The packages that offer names to users."""

FACES = (
    "keras_nasnet",
    "keras_nasnet.data",
    "keras_nasnet.detection",
    "keras_nasnet.genotype",
    "keras_nasnet.inference",
    "keras_nasnet.layers",
    "keras_nasnet.models",
    "keras_nasnet.search",
    "keras_nasnet.training",
    "keras_nasnet.zoo",
)
