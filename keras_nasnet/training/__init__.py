"""Training: recipes as data, one loop for one CPU and for many machines, fine-tuning. Names load when first used."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_nasnet.training.data.datasets import Dataset as Dataset
    from keras_nasnet.training.data.datasets import open_dataset as open_dataset
    from keras_nasnet.training.recipe import RECIPES as RECIPES
    from keras_nasnet.training.recipe import Recipe as Recipe
    from keras_nasnet.training.recipe import get_recipe as get_recipe
    from keras_nasnet.training.trainer import train as train

_MODULES = {
    "Dataset": "data.datasets",
    "RECIPES": "recipe",
    "Recipe": "recipe",
    "get_recipe": "recipe",
    "open_dataset": "data.datasets",
    "train": "trainer",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
