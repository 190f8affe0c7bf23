"""Small networks to export, and what a test needs of a runtime."""

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.inference.real_images import photographs
from tests.support.random_weights import randomized
from tests.support.toy import GENOTYPE

NAMES = [f"class {letter}" for letter in "abcdefg"]
# 4 filters, one block a cell; strided pools that look at sizes.
SMALL = {
    "genotype": GENOTYPE,
    "num_blocks": 1,
    "penultimate_filters": 32,
    "stem": "cifar",
    "classes": len(NAMES),
    "class_names": NAMES,
    "input_shape": (32, 32, 3),
    "preprocessing": Preprocessing(32, 32, 0.9, "bilinear", mean=(120.0, 118.5, 110.0), std=(60.0, 61.25, 66.0)),
}


def needs(to: str) -> None:
    """Skips a test where the runtime of a format is not installed."""
    try:
        FORMATS.get(to).require(writing=True, int8=True)
    except ImportError as error:
        pytest.skip(str(error))


def network(seed: int = 0, **options) -> NASNet:
    """A small network for which see `unsure`."""
    keras.utils.set_random_seed(seed)
    return unsure(NASNet(**(SMALL | options)), seed)


def unsure(model: NASNet, seed: int = 0) -> NASNet:
    """Gives a network random weights with which its classifier is unsure of photographs, as trained ones are."""
    randomized(model, seed)
    random = np.random.default_rng(seed + 1)
    heads = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    height, width = (side or 40 for side in model.input_shape[1:3])
    images = dataclasses.replace(model.preprocessing, height=height, width=width)(photographs())
    for head in heads:
        features = keras.ops.convert_to_numpy(keras.Model(model.inputs, head.input)(images))
        middle = features.mean(0)
        kernel = random.normal(0, 2, head.kernel.shape) / np.linalg.norm(features - middle, axis=-1).max()
        head.set_weights([kernel, -middle @ kernel])
    return model


def path_of(folder: Path, to: str) -> Path:
    return folder / f"exported{FORMATS.get(to).suffix}"


def tree(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}
