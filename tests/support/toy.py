"""A tiny dataset and recipe that all tests of training share."""

from pathlib import Path

import numpy as np

from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.split import Dataset
from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.training.recipe import Recipe

# One block a cell: a graph that is quickly traced, with a separable convolution for DropPath to drop.
_CELL = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((0, 2),), 2)
GENOTYPE = Genotype(_CELL, _CELL, name="toy", penultimate_ratio=8)
NETWORK = {"genotype": GENOTYPE.to_dict(), "num_blocks": 1, "penultimate_filters": 32}

# For what trains: only the reduction cells have a convolution to trace, and its variables to keep.
_POOL = CellSpec((Block((0, 1), ("avg_pool_3x3", "identity")),), ((0, 2),), 2)
TRAINED = NETWORK | {"genotype": Genotype(_POOL, _CELL, name="trained", penultimate_ratio=8).to_dict()}


def arrays(examples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise whose brightness tells the class, one of three."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, examples)
    pixels = generator.normal(90, 30, (examples, 32, 32, 3)) + 40 * labels[:, None, None, None]
    return np.clip(pixels, 0, 255).astype(np.uint8), labels


def dataset() -> Dataset:
    train, validation, test = (ArraySplit(*arrays(n, seed), 3) for seed, n in enumerate((48, 14, 10)))
    return Dataset("toy", ("dark", "grey", "light"), train, validation, test)


def write_npz(path: Path, train: int = 48, test: int = 12) -> Path:
    images, labels = arrays(train, 0)
    test_images, test_labels = arrays(test, 1)
    np.savez(path, train_images=images, train_labels=labels, test_images=test_images, test_labels=test_labels)
    return path


def recipe(**settings) -> Recipe:
    defaults = {"variant": "nasnet_a_6_768_cifar", "network": TRAINED, "batch": 8, "epochs": 2, "dataset": "toy"}
    return Recipe("toy", **(defaults | settings))
