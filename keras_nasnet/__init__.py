"""NASNet on Keras 3.

The names below load when they are first used: importing the package imports nothing else.
"""

import os
from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face
from keras_nasnet.common.version import __version__ as __version__
from keras_nasnet.models import registration

if TYPE_CHECKING:
    from keras_nasnet.genotype import NASNET_A as NASNET_A
    from keras_nasnet.genotype import NASNET_B as NASNET_B
    from keras_nasnet.genotype import NASNET_C as NASNET_C
    from keras_nasnet.genotype import Block as Block
    from keras_nasnet.genotype import CellSpec as CellSpec
    from keras_nasnet.genotype import Genotype as Genotype
    from keras_nasnet.layers.cell import Cell as Cell
    from keras_nasnet.models.backbone import NASNetBackbone as NASNetBackbone
    from keras_nasnet.models.classifier import NASNet as NASNet
    from keras_nasnet.models.complexity import mult_adds as mult_adds
    from keras_nasnet.models.named import variant as variant
    from keras_nasnet.models.named import variants as variants
    from keras_nasnet.training.features import extract_features as extract_features
    from keras_nasnet.training.finetuning import finetune as finetune
    from keras_nasnet.zoo.applications import NASNetLarge as NASNetLarge
    from keras_nasnet.zoo.applications import NASNetMobile as NASNetMobile
    from keras_nasnet.zoo.applications import decode_predictions as decode_predictions
    from keras_nasnet.zoo.applications import preprocess_input as preprocess_input
    from keras_nasnet.zoo.loading import load as load

# In a checkout that is not installed, search/ and zoo/ stand beside this folder.
_folder = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_folder, "zoo")):
    __path__.append(os.path.dirname(_folder))


registration.register()

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "Block": "genotype.spec",
        "Cell": "layers.cell",
        "CellSpec": "genotype.spec",
        "Genotype": "genotype.spec",
        "NASNET_A": "genotype.named",
        "NASNET_B": "genotype.named",
        "NASNET_C": "genotype.named",
        "NASNet": "models.classifier",
        "NASNetBackbone": "models.backbone",
        "NASNetLarge": "zoo.applications",
        "NASNetMobile": "zoo.applications",
        "decode_predictions": "zoo.applications",
        "extract_features": "training.features",
        "finetune": "training.finetuning",
        "load": "zoo.loading",
        "mult_adds": "models.complexity",
        "preprocess_input": "zoo.applications",
        "variant": "models.named",
        "variants": "models.named",
    },
)
