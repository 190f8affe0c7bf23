"""NASNet on Keras 3.

The names below load when they are first used: importing the package imports nothing else.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from keras_nasnet import registration

if TYPE_CHECKING:
    from keras_nasnet.applications import NASNetLarge as NASNetLarge
    from keras_nasnet.applications import NASNetMobile as NASNetMobile
    from keras_nasnet.applications import decode_predictions as decode_predictions
    from keras_nasnet.applications import preprocess_input as preprocess_input
    from keras_nasnet.applications import variant as variant
    from keras_nasnet.applications import variants as variants
    from keras_nasnet.backbone import NASNetBackbone as NASNetBackbone
    from keras_nasnet.cell import Cell as Cell
    from keras_nasnet.complexity import mult_adds as mult_adds
    from keras_nasnet.genotype import NASNET_A as NASNET_A
    from keras_nasnet.genotype import NASNET_B as NASNET_B
    from keras_nasnet.genotype import NASNET_C as NASNET_C
    from keras_nasnet.genotype import Block as Block
    from keras_nasnet.genotype import CellSpec as CellSpec
    from keras_nasnet.genotype import Genotype as Genotype
    from keras_nasnet.model import NASNet as NASNet
    from keras_nasnet.training.features import extract_features as extract_features
    from keras_nasnet.training.finetune import finetune as finetune
    from keras_nasnet.zoo.loading import load as load

__version__ = "0.1.0"

_MODULES = {
    "Block": "genotype",
    "Cell": "cell",
    "CellSpec": "genotype",
    "Genotype": "genotype",
    "NASNET_A": "genotype",
    "NASNET_B": "genotype",
    "NASNET_C": "genotype",
    "NASNet": "model",
    "NASNetBackbone": "backbone",
    "NASNetLarge": "applications",
    "NASNetMobile": "applications",
    "decode_predictions": "applications",
    "extract_features": "training.features",
    "finetune": "training.finetune",
    "load": "zoo.loading",
    "mult_adds": "complexity",
    "preprocess_input": "applications",
    "variant": "applications",
    "variants": "applications",
}
__all__ = sorted(_MODULES)

# In a checkout that is not installed, search/ and zoo/ stand beside this folder.
_folder = os.path.dirname(os.path.abspath(__file__))
if not os.path.isdir(os.path.join(_folder, "zoo")):
    __path__.append(os.path.dirname(_folder))


registration.register()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"keras_nasnet.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_nasnet' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
