"""The network of a recipe, and which part of it is trained."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras

from keras_nasnet.accelerate.contents import all_layers
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.models.weights import copy_weights
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.recipe import Recipe
from keras_nasnet.zoo.loading import load


def make_network(recipe: Recipe, class_names: Sequence[str]) -> NASNet:
    """Return the recipe's network for these classes: logits, with drop path and, if it has weight, auxiliary head.

    Raises:
        ValueError: if there is no such variant or model, or its weights do not fit.
    """
    pretrained = None
    if recipe.variant in VARIANTS:
        config = dict(VARIANTS[recipe.variant])
        preprocessing = Preprocessing(*recipe.image_size)
    else:
        pretrained = _load(recipe.variant)
        config = pretrained.arguments()
        preprocessing = replace(pretrained.preprocessing, height=recipe.image_size[0], width=recipe.image_size[1])
    crop_fraction = AUGMENTATIONS.get(recipe.augmentation).crop_fraction
    options: dict[str, Any] = {
        "include_top": True,
        "pooling": None,
        "classes": len(class_names),
        "class_names": list(class_names),
        "classifier_activation": None,
        "input_shape": (*recipe.image_size, 3),
        "data_format": "channels_last",  # as the images come, however Keras is configured on this machine
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
    try:
        return load(name)
    except ValueError as error:
        raise ValueError(f"variant: {error} (or a network to train from scratch: {', '.join(VARIANTS)})") from None


def train_only_head(network: keras.Model) -> None:
    """Freeze all but the classifier."""
    for layer in network.layers:
        layer.trainable = layer.name in ("predictions", "auxiliary_predictions")


def train_all(network: keras.Model, freeze_batch_norm: bool) -> None:
    """Unfreeze the network; BN keeps its statistics, scales and offsets where it is frozen."""
    for layer in network.layers:
        layer.trainable = True
    if freeze_batch_norm:
        for layer in all_layers(network):
            if isinstance(layer, BatchNormalization):
                layer.trainable = False
