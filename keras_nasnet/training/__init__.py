"""Training: recipes as data, one loop for one CPU and for many machines, fine-tuning. Names load when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_nasnet.data.datasets import Dataset as Dataset
    from keras_nasnet.data.datasets import open_dataset as open_dataset
    from keras_nasnet.training.recipe import RECIPES as RECIPES
    from keras_nasnet.training.recipe import Recipe as Recipe
    from keras_nasnet.training.recipe import get_recipe as get_recipe
    from keras_nasnet.training.trainer import train as train

_MODULES = {
    "Dataset": "keras_nasnet.data.datasets",
    "RECIPES": "keras_nasnet.training.recipe",
    "Recipe": "keras_nasnet.training.recipe",
    "get_recipe": "keras_nasnet.training.recipe",
    "open_dataset": "keras_nasnet.data.datasets",
    "train": "keras_nasnet.training.trainer",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
