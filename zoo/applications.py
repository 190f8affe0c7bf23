"""NASNetMobile and NASNetLarge with pretrained weights, as in `keras.applications`."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras.applications import nasnet

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.models.body import MIN_SIZE
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.named import variant
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.class_list import imagenet
from keras_nasnet.zoo.formats.registry import format_of

IMAGENET = imagenet()

__all__ = ["NASNetLarge", "NASNetMobile", "decode_predictions", "preprocess_input"]

# The entry of the catalog behind weights="imagenet", by network and whether the top is in.
_BEST = {
    ("nasnet_a_4_1056_imagenet", True): "nasnet_a_mobile_keras",
    ("nasnet_a_4_1056_imagenet", False): "nasnet_a_mobile_keras_no_top",
    ("nasnet_a_6_4032_imagenet", True): "nasnet_a_large_slim",
    ("nasnet_a_6_4032_imagenet", False): "nasnet_a_large_slim",
}


def NASNetMobile(
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_mobile",
) -> NASNet:
    """Build NASNet-A 4 @ 1056 for ImageNet, with the arguments of `keras.applications.NASNetMobile`.

    Args:
        input_shape: (height, width, 3), each from 32 up; without top also None. Default:
            (224, 224, 3) with top, any size without. Unlike there, every size takes the
            ImageNet weights.
        include_top: whether the classifier is there.
        weights: "imagenet" downloads the best at the first use (below); None starts at
            random; a name of `keras_nasnet.zoo.list()` takes those; or the path of a file in
            any of the `keras_nasnet.zoo.WEIGHT_FORMATS`: those of other code (.h5 of
            `keras.applications`, .safetensors or .pth of timm, .tar.gz of TF-slim) come with
            that code's pools.
        input_tensor: a Keras tensor to build on.
        pooling: without top, None, "avg" or "max".
        classes: number of classes; 1000 with "imagenet" and top.
        classifier_activation: "softmax" or None.
        name: of the model.

    Returns:
        A `NASNet`. Inputs are images scaled to [-1, 1] as `preprocess_input` does.

    "imagenet" is `keras.applications`' checkpoint with its pools, which pool padded zeros like
    pixels: 74.366 % top-1 as published, where TF-slim publishes 74.0 % for the moving averages
    (EMA) of its weights with its own pools.

    Example:
        >>> body = NASNetMobile((32, 32, 3), include_top=False, weights=None, pooling="avg")
        >>> body.output_shape
        (None, 1056)
    """
    return _application(
        "nasnet_a_4_1056_imagenet",
        224,
        input_shape,
        include_top,
        weights,
        input_tensor,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def NASNetLarge(
    input_shape: Sequence[int | None] | None = None,
    include_top: bool = True,
    weights: str | os.PathLike[str] | None = "imagenet",
    input_tensor: Any = None,
    pooling: str | None = None,
    classes: int = 1000,
    classifier_activation: Any = "softmax",
    name: str = "nasnet_large",
) -> NASNet:
    """Build NASNet-A 6 @ 4032 for ImageNet, with the arguments of `keras.applications.NASNetLarge`.

    Args: as for `NASNetMobile`; the default size with top is (331, 331, 3).

    "imagenet" is TF-slim's checkpoint, the moving averages (EMA) of its weights with the pools
    that they were trained with: 82.7 % top-1 as published. timm publishes 82.638 % with its own
    pools ("nasnet_a_large_timm"), `keras.applications` 82.498 % with its own: for its outputs
    give weights="nasnet_a_large_keras". No result is published for the weights without averaging.

    Example:
        >>> NASNetLarge(weights="imagenet", classes=10)
        Traceback (most recent call last):
        ValueError: classes is 10: the ImageNet weights with top have 1000
    """
    return _application(
        "nasnet_a_6_4032_imagenet",
        331,
        input_shape,
        include_top,
        weights,
        input_tensor,
        pooling,
        classes,
        classifier_activation,
        name,
    )


def _application(
    variant_name: str,
    default_size: int,
    input_shape: Sequence[int | None] | None,
    include_top: bool,
    weights: str | os.PathLike[str] | None,
    input_tensor: Any,
    pooling: str | None,
    classes: int,
    classifier_activation: Any,
    name: str,
) -> NASNet:
    if weights == "imagenet" and include_top and classes != 1000:
        raise ValueError(f"classes is {classes}: the ImageNet weights with top have 1000")
    if weights is not None and classifier_activation not in (None, "softmax"):
        raise ValueError(f"classifier_activation is {classifier_activation!r}: with weights it is None or 'softmax'")
    entry = None
    if weights == "imagenet":
        entry = _BEST[variant_name, include_top]
    elif weights is not None:
        entry = loading.entry_name(weights)
    if weights is not None and entry is None and not os.path.exists(weights):
        raise ValueError(f"weights is {weights!r}: give None, 'imagenet', a name of the zoo or the path of a file")
    if include_top and input_shape is not None and None in tuple(input_shape):
        raise ValueError(f"input_shape is {tuple(input_shape)}: with top it must be fixed, from {MIN_SIZE} up")
    if input_shape is None and include_top:
        sides = (default_size, default_size)
        input_shape = (3, *sides) if keras.config.image_data_format() == "channels_first" else (*sides, 3)
    options = {
        "input_shape": input_shape,
        "include_top": include_top,
        "input_tensor": input_tensor,
        "pooling": pooling,
        "classes": classes,
        "classifier_activation": classifier_activation,
        "name": name,
    }
    if weights is None:
        return variant(variant_name, **options)
    if entry is not None:
        padding = entries.entry(entry).builder.get("pool_padding", "same")
    else:
        padding = format_of(weights).pool_padding or "same"
    with without_random_values():
        model = variant(variant_name, pool_padding=padding, **options)
    if entry is not None:
        loading.fill(entry, model)
    else:
        format_of(weights).read(weights, model)
    return model


def preprocess_input(x: Any, data_format: str | None = None) -> Any:
    """Scale pixels to [-1, 1], as `keras.applications.nasnet.preprocess_input` does.

    Args:
        x: array or tensor of pixels 0..255; a float32 array is changed in place.
        data_format: has no effect on the values; default: that of Keras.

    Returns:
        The scaled pixels, of the same shape.

    Example:
        >>> preprocess_input(np.array([0.0, 127.5, 255.0], "float32"))
        array([-1.,  0.,  1.], dtype=float32)
    """
    return nasnet.preprocess_input(x, data_format=data_format)


def decode_predictions(preds: np.ndarray, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """Return the most probable classes of ImageNet, as `keras.applications.nasnet.decode_predictions` does.

    The names are in the package: unlike there, nothing is downloaded.

    Args:
        preds: probabilities (n, 1000).
        top: number of classes.

    Returns:
        For each image a list of WordNet number, name and probability, the most probable first.

    Raises:
        ValueError: if `preds` has another shape.

    Example:
        >>> probabilities = np.zeros((1, 1000))
        >>> probabilities[0, 207] = 0.9375
        >>> decode_predictions(probabilities, top=1)
        [[('n02099601', 'golden_retriever', 0.9375)]]
        >>> decode_predictions(np.zeros((1, 10)))
        Traceback (most recent call last):
        ValueError: `decode_predictions` expects a batch of predictions, of shape (n, 1000): they have the shape (1, 10)
    """
    found = np.asarray(preds)
    if found.ndim != 2 or found.shape[1] != len(IMAGENET):
        raise ValueError(
            f"`decode_predictions` expects a batch of predictions, of shape (n, {len(IMAGENET)}): they have the shape "
            f"{found.shape}"
        )
    return [[(*IMAGENET[label], float(row[label])) for label in row.argsort()[::-1][:top]] for row in found]
