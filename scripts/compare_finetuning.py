"""Compares fine-tuning with training from scratch and with a linear probe, on a folder of class folders.

    python scripts/compare_finetuning.py FOLDER                    # FOLDER/train/CLASS/*, FOLDER/val/CLASS/*

Three ways to teach a network the classes of FOLDER, each with the images of train/ alone:

- fine-tuned: `keras_nasnet.finetune` with its recipe;
- from scratch: the same network from random weights, for the same epochs on the same images
  with the same augmentation, all of it at once, with BN and with a learning rate of its own;
- linear probe: multinomial logistic regression on frozen features, its regularisation chosen
  by cross-validation; once at the size of image at which the others train, and once at the
  size that the cross-validation likes best.

Each looks at the images of val/ once, at the end: there is no early stopping. Prints a table
in Markdown: mean and standard deviation over the seeds.
"""

import argparse
import datetime
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

import keras_nasnet
from keras_nasnet.data import Dataset, open_dataset
from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.training import AUGMENTATIONS, get_recipe

# Chosen on splits of the training images of ants and bees, as the recipe's own settings were.
SCRATCH = ("head_epochs=0", "body_learning_rate=1", "freeze_batch_norm=false", "learning_rate=0.02")
PROBE_SIZES = (48, 64, 96, 128)
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0)
FOLDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nasnet_a_cifar10", help="a catalog name or a .keras file")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument("--epochs", type=int, help="default: those of the recipe")
    arguments = parser.parse_args()

    model = keras_nasnet.load(arguments.model)
    recipe = get_recipe("finetune")
    size = max(recipe.image_size[0], model.preprocessing.height or 0)
    folder = open_dataset(
        arguments.folder,
        image_size=(size, size),
        crop=AUGMENTATIONS.get(recipe.augmentation).crop,
    )
    nothing = ArraySplit(np.empty((0, size, size, 3), np.uint8), np.empty(0, np.int32), len(folder.class_names))
    data = replace(folder, validation=nothing, test=folder.validation)

    results: dict[str, list[float]] = {}
    probe_sizes = sorted({*PROBE_SIZES, size})
    features = {side: probe_features(model, arguments.folder, side) for side in probe_sizes}
    for seed in range(arguments.seeds):
        start = time.monotonic()
        measured = {
            f"fine-tuned, {size} pixels": trained(data, arguments.model, arguments.epochs, seed),
            f"from scratch, {size} pixels": from_scratch(data, model, arguments.epochs, seed),
            f"linear probe, {size} pixels": probed(features, [size], seed),
            f"linear probe, the best of {', '.join(map(str, probe_sizes))} pixels": probed(features, probe_sizes, seed),
        }
        for name, accuracy in measured.items():
            results.setdefault(name, []).append(accuracy)
        said = ", ".join(f"{accuracy:.4f} {name}" for name, accuracy in measured.items())
        print(f"seed {seed}, {time.monotonic() - start:.0f} s: {said}", file=sys.stderr, flush=True)

    print("| | accuracy on val/ | sd | seeds |")
    print("|---|---|---|---|")
    for name, accuracies in results.items():
        each = ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies)
        spread = np.std(accuracies, ddof=1) if len(accuracies) > 1 else 0.0
        print(f"| {name} | {100 * np.mean(accuracies):.1f} % | {100 * spread:.1f} | {each} |")
    epochs = arguments.epochs or recipe.epochs
    print(
        f"\n{data.train.size} training images, {folder.validation.size} in val/; {epochs} epochs; seeds 0 to "
        f"{arguments.seeds - 1}; keras_nasnet {keras_nasnet.__version__}, keras {keras.__version__} on "
        f"{keras.backend.backend()}; {platform.machine()}, {os.cpu_count()} cores; {datetime.date.today()}; "
        f"`python {' '.join(sys.argv)}`"
    )


def trained(data: Dataset, model: str | Path, epochs: int | None, seed: int, *settings: str) -> float:
    """Fine-tunes without early stopping; returns the accuracy on the test split."""
    with tempfile.TemporaryDirectory() as run:
        result = keras_nasnet.finetune(
            data, model, epochs, run, settings=["patience=0", *settings], seed=seed, say=lambda line: None
        )
    assert result.test is not None
    return result.test.accuracy


def from_scratch(data: Dataset, model: keras_nasnet.NASNet, epochs: int | None, seed: int) -> float:
    """Trains the same network from random weights."""
    keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "random.keras")
        keras_nasnet.NASNet(**model.get_config()).save(path)
        return trained(data, path, epochs, seed, *SCRATCH)


# === Linear Probe ===

Examples = tuple[np.ndarray, np.ndarray]  # features, labels


def probe_features(model: keras_nasnet.NASNet, folder: Path, side: int) -> tuple[Examples, Examples]:
    """Returns the training and the validation examples, standardised by the training images."""
    train, validation = (
        keras_nasnet.extract_features(model, folder / part, image_size=side) for part in ("train", "val")
    )
    names = sorted(set(train.labels))
    mean, deviation = train.features.mean(axis=0), train.features.std(axis=0) + 1e-6
    examples = [
        ((part.features - mean) / deviation, np.array([names.index(label) for label in part.labels]))
        for part in (train, validation)
    ]
    return examples[0], examples[1]


def probed(features: dict[int, tuple[Examples, Examples]], sizes: list[int], seed: int) -> float:
    """Returns the probe's accuracy; size and penalty are chosen on the training images alone."""
    size, penalty = max(
        ((size, penalty) for size in sizes for penalty in PENALTIES),
        key=lambda choice: cross_validated(*features[choice[0]][0], choice[1], seed),
    )
    train, validation = features[size]
    return accuracy(fit(*train, penalty), *validation)


def cross_validated(examples: np.ndarray, labels: np.ndarray, penalty: float, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(labels))
    results = []
    for held_out in np.array_split(order, FOLDS):
        rest = np.setdiff1d(order, held_out)
        results.append(accuracy(fit(examples[rest], labels[rest], penalty), examples[held_out], labels[held_out]))
    return float(np.mean(results))


def fit(examples: np.ndarray, labels: np.ndarray, penalty: float, steps: int = 2000) -> np.ndarray:
    """Logistic regression by Nesterov's gradient method; returns weights (features + 1, classes)."""
    inputs = with_bias(examples)
    targets = np.eye(labels.max() + 1)[labels]
    rate = 1 / (0.5 * np.linalg.norm(inputs, 2) ** 2 / len(inputs) + penalty)
    weights = ahead = np.zeros((inputs.shape[1], targets.shape[1]))
    penalties = np.full((len(weights), 1), penalty)
    penalties[-1] = 0  # not on the bias
    for step in range(steps):
        logits = inputs @ ahead
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        gradient = inputs.T @ (odds / odds.sum(axis=1, keepdims=True) - targets) / len(inputs) + penalties * ahead
        if np.abs(gradient).max() < 1e-5:
            break
        before, weights = weights, ahead - rate * gradient
        ahead = weights + step / (step + 3) * (weights - before)
    return weights


def accuracy(weights: np.ndarray, examples: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean((with_bias(examples) @ weights).argmax(axis=1) == labels))


def with_bias(examples: np.ndarray) -> np.ndarray:
    return np.column_stack([examples, np.ones(len(examples))])


if __name__ == "__main__":
    main()
