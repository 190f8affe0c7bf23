"""Augmentations that a recipe may name: the layers that vary a batch, and the crop with which images are read.

Importing this module imports no Keras: a recipe is checked without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_nasnet.common.registry import Registry
from keras_nasnet.data.crop import RandomCrop

if TYPE_CHECKING:
    import keras


def _no_layers(seed: int) -> Sequence["keras.layers.Layer"]:
    return []


def _flip(seed: int) -> Sequence["keras.layers.Layer"]:
    from keras_nasnet.training.augmentation_layers import RandomFlip

    return [RandomFlip(seed=seed)]


def _pad_crop_flip(seed: int) -> Sequence["keras.layers.Layer"]:
    from keras_nasnet.training.augmentation_layers import PadCropFlip

    return [PadCropFlip(seed=seed)]


def _flip_and_colors(seed: int) -> Sequence["keras.layers.Layer"]:
    from keras_nasnet.training.augmentation_layers import ColorDistortion, RandomFlip

    return [RandomFlip(seed=seed), ColorDistortion(seed=seed + 1)]


@dataclass(frozen=True)
class Augmentation:
    """How the images of a training run are varied.

    Args:
        layers: takes a seed and returns Keras layers, through which each batch of pixels 0..255, (batch, height,
            width, 3), goes in training, in their order; they keep its shape and dtype.
        crop: with which images are read from their files, anew in each epoch, and which says what part of an
            image evaluation sees. None takes the largest central crop always, so that images can be held in memory.

    Example:
        An augmentation of your own needs no more than a name. A recipe in a TOML file names it by its place in a
        module of yours, such as "my_module:AUGMENTATION".

        >>> def invert(seed):
        ...     return [keras.layers.RandomInvert(0.5, (0, 255), seed=seed)]
        >>> AUGMENTATIONS.register("invert", Augmentation(invert))
        >>> recipe = Recipe("own", augmentation="invert")
        >>> AUGMENTATIONS.get(recipe.augmentation).crop_fraction
        1.0
    """

    layers: Callable[[int], Sequence["keras.layers.Layer"]] = _no_layers
    crop: RandomCrop | None = None

    @property
    def crop_fraction(self) -> float:
        """The part of an image's shorter side that evaluation sees."""
        return 1.0 if self.crop is None else self.crop.evaluation

    @property
    def in_memory(self) -> bool:
        """Whether it works on images that are held in memory, as a search needs."""
        return self.crop is None


AUGMENTATIONS: Registry[Augmentation] = Registry(
    "augmentation",
    {
        "none": Augmentation(),
        "flip": Augmentation(_flip),
        "pad_crop_flip": Augmentation(_pad_crop_flip),  # for CIFAR
        "inception": Augmentation(_flip_and_colors, RandomCrop()),  # for photographs such as ImageNet's
    },
    importable=True,
)
