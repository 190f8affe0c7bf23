"""The objective of training: from pixels through the network to the loss, one Keras layer for all backends."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.layers.drop_path import share_progress
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.augmentation_layers import Cutout
from keras_nasnet.training.recipe import Recipe


class Objective(keras.layers.Layer):
    """Augment and scale pixels, run the network, and compute its loss.

    All state of a run but the optimizer's is in its variables: weights, BN statistics, the
    seeds of augmentation, dropout and DropPath, and how far DropPath's rates have grown.

    Args:
        network: a `NASNet` without a classifier activation (logits), with `preprocessing`.
        recipe: gives label_smoothing and auxiliary_weight.
        augmentation: layers from pixels to pixels, applied in order while training.
        class_weights: (classes,) factor of each class' loss while training.
    """

    def __init__(
        self,
        network: keras.Model,
        recipe: Recipe,
        augmentation: Sequence[keras.layers.Layer] = (),
        class_weights: Sequence[float] | None = None,
    ):
        super().__init__(name="objective", dtype="float32")
        self.network = network
        self.augmentation = list(augmentation)
        self.progress = share_progress(network)
        self.label_smoothing = recipe.label_smoothing
        self.auxiliary_weight = recipe.auxiliary_weight
        self.class_weights = None if class_weights is None else [float(weight) for weight in class_weights]
        self.built = True

    def call(
        self, images: Any, labels: Any, weights: Any = None, progress: Any = None, training: bool = False
    ) -> dict[str, Any]:
        """Return sums over the examples, float32 scalars: "loss", "right", "right_5", "examples"; and "predicted".

        Args:
            images: pixels 0..255, (batch, height, width, 3).
            labels: int32 (batch,).
            weights: float32 (batch,): 0 for examples that only fill up the batch.
            progress: scalar, the part of all steps that is done.
            training: whether to augment, drop and smooth.
        """
        if progress is not None and self.progress is not None:
            self.progress.assign(progress)
        for layer in self.augmentation if training else ():
            images = layer(images, training=True)
        outputs = self.network(scale(images, self.network), training=training)
        outputs = outputs if isinstance(outputs, dict) else {"predictions": outputs}
        logits = ops.cast(outputs["predictions"], "float32")
        if weights is None:
            weights = ops.ones_like(logits[:, 0])
        smoothing = self.label_smoothing if training else 0.0
        loss = cross_entropy(logits, labels, smoothing)
        if training and self.auxiliary_weight:
            auxiliary = ops.cast(outputs["auxiliary_predictions"], "float32")
            loss += self.auxiliary_weight * cross_entropy(auxiliary, labels, smoothing)
        if training and self.class_weights is not None:
            loss *= ops.take(ops.convert_to_tensor(self.class_weights, "float32"), labels)
        predicted = ops.cast(ops.argmax(logits, axis=-1), "int32")
        k = min(5, logits.shape[-1])
        return {
            "loss": ops.sum(loss * weights),
            "right": ops.sum(ops.cast(predicted == labels, "float32") * weights),
            "right_5": ops.sum(ops.cast(ops.in_top_k(labels, logits, k), "float32") * weights),
            "examples": ops.sum(weights),
            "predicted": predicted,
        }


def make_augmentation(recipe: Recipe, network: Any) -> list[keras.layers.Layer]:
    """Return the layers that augment batches of pixels in training; a crop is done where images are read.

    Args:
        recipe: gives augmentation, cutout and seed.
        network: a `NASNet`, whose mean colour fills what is cut out; None where the recipe has no cutout.
    """
    layers = [*AUGMENTATIONS.get(recipe.augmentation).layers(recipe.seed)]
    if recipe.cutout:
        layers.append(Cutout(recipe.cutout, fill=network.preprocessing.mean, seed=recipe.seed + 2))
    return layers


def scale(images: Any, network: Any) -> Any:
    """Return pixels 0..255, (batch, height, width, 3), as the network's float32 input."""
    preprocessing = network.preprocessing
    images = (ops.cast(images, "float32") - ops.convert_to_tensor(preprocessing.mean, "float32")) / (
        ops.convert_to_tensor(preprocessing.std, "float32")
    )
    return ops.transpose(images, (0, 3, 1, 2)) if network.get_config()["data_format"] == "channels_first" else images


def cross_entropy(logits: Any, labels: Any, smoothing: float = 0.0) -> Any:
    """Return the softmax cross entropy of each example, (batch,).

    Args:
        logits: float (batch, classes).
        labels: int (batch,).
        smoothing: the part of each label that is spread over all classes.
    """
    log_probabilities = ops.log_softmax(logits, axis=-1)
    target = ops.take_along_axis(log_probabilities, ops.expand_dims(labels, -1), axis=-1)[:, 0]
    return -((1.0 - smoothing) * target + smoothing * ops.mean(log_probabilities, axis=-1))
