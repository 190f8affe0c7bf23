"""Training: recipes as data, and one loop for one CPU and for many machines."""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.training.augmentation import AUGMENTATIONS as AUGMENTATIONS
    from keras_nasnet.training.augmentation import Augmentation as Augmentation
    from keras_nasnet.training.evaluation import Scores as Scores
    from keras_nasnet.training.features import Features as Features
    from keras_nasnet.training.loop import TrainingResult as TrainingResult
    from keras_nasnet.training.recipe import RECIPES as RECIPES
    from keras_nasnet.training.recipe import Recipe as Recipe
    from keras_nasnet.training.recipe import get_recipe as get_recipe
    from keras_nasnet.training.trainer import train as train

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "AUGMENTATIONS": "augmentation",
        "Augmentation": "augmentation",
        "Features": "features",
        "RECIPES": "recipe",
        "Recipe": "recipe",
        "Scores": "evaluation",
        "TrainingResult": "loop",
        "get_recipe": "recipe",
        "train": "trainer",
    },
)
