"""A recipe's network for training, and what is kept of it afterwards."""

import inspect
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from keras_nasnet.applications import VARIANTS
from keras_nasnet.batch_norm import BatchNormalization
from keras_nasnet.images import Preprocessing
from keras_nasnet.model import NASNet
from keras_nasnet.training.data import crop
from keras_nasnet.training.optimizer import is_head
from keras_nasnet.training.recipe import Recipe


def make_network(recipe: Recipe, class_names: Sequence[str]) -> NASNet:
    """Returns the recipe's network for these classes: logits, with drop path and, if it has weight, auxiliary head.

    Raises:
        ValueError: if there is no such variant or model, or its weights do not fit.
    """
    pretrained = None
    if recipe.variant in VARIANTS:
        config = dict(VARIANTS[recipe.variant])
        preprocessing = Preprocessing(*recipe.image_size)
    else:
        pretrained = _load(recipe.variant)
        config = pretrained.get_config()
        preprocessing = replace(pretrained.preprocessing, height=recipe.image_size[0], width=recipe.image_size[1])
    crop_fraction = crop.EVALUATION if recipe.augmentation == "inception" else 1.0
    options: dict[str, Any] = {
        "include_top": True,
        "pooling": None,
        "classes": len(class_names),
        "class_names": list(class_names),
        "classifier_activation": None,
        "input_shape": (*recipe.image_size, 3),
        "preprocessing": replace(preprocessing, crop_fraction=crop_fraction),
        "auxiliary_head": recipe.auxiliary_weight > 0,
        "drop_path_rate": recipe.drop_path_rate,
        "dropout": recipe.dropout,
        "dtype": recipe.dtype,
        "name": recipe.name,
    }
    if recipe.batch_norm_momentum is not None:
        options["batch_norm_momentum"] = recipe.batch_norm_momentum
    unknown = sorted(recipe.network.keys() - inspect.signature(NASNet).parameters.keys())
    if unknown:
        raise ValueError(f"network.{unknown[0]}: NASNet has no such argument")
    network = NASNet(**(config | options | recipe.network))
    if pretrained is not None:
        same_classes = pretrained.get_config()["include_top"] and pretrained.class_names == tuple(class_names)
        copy_weights(pretrained, network, head=same_classes)
        if not same_classes:
            # Large random logits would spoil the body's weights before the classifier has learned anything.
            kernel = network.get_layer("predictions").kernel
            kernel.assign(keras.ops.zeros(kernel.shape))
    return network


def _load(name: str) -> NASNet:
    from keras_nasnet.zoo.loading import load

    try:
        return load(name)
    except ValueError as error:
        raise ValueError(f"variant: {error} (or a network to train from scratch: {', '.join(VARIANTS)})") from None


def copy_weights(source: keras.Model, target: keras.Model, head: bool = False) -> None:
    """Copies weights by their paths; all but the auxiliary head's and, unless `head`, the classifier's.

    Raises:
        ValueError: if a weight of the target has no equal in the source; nothing is copied then.
    """
    known = {variable.path: variable for variable in source.weights}
    pairs = []
    for variable in target.weights:
        if variable.path.startswith("auxiliary_") or (not head and is_head(variable)):
            continue
        found = known.get(variable.path)
        if found is None or found.shape != variable.shape:
            shape = "nothing" if found is None else tuple(found.shape)
            raise ValueError(f"the weights do not fit: {variable.path} is {tuple(variable.shape)}, they have {shape}")
        pairs.append((variable, found))
    for variable, found in pairs:
        variable.assign(found)


def train_only_head(network: keras.Model) -> None:
    """Freezes all but the classifier."""
    for layer in network.layers:
        layer.trainable = layer.name in ("predictions", "auxiliary_predictions")


def train_all(network: keras.Model, freeze_batch_norm: bool) -> None:
    """Unfreezes the network; BN keeps its statistics, scales and offsets where it is frozen."""
    for layer in network.layers:
        layer.trainable = True
    if freeze_batch_norm:
        for layer in network._flatten_layers():
            if isinstance(layer, BatchNormalization):
                layer.trainable = False


def for_inference(network: NASNet) -> NASNet:
    """Returns the network as its users want it: probabilities, no auxiliary head, float32, the same weights."""
    options = {"classifier_activation": "softmax", "auxiliary_head": False, "dtype": "float32"}
    kept = NASNet(**(network.get_config() | options))
    copy_weights(network, kept, head=True)
    return kept


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Writes a `.keras` file, which appears when it is whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp.keras")
    try:
        model.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
