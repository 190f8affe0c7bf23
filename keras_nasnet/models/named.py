"""The networks of the paper by name."""

from typing import Any

import keras

from keras_nasnet.models.classifier import NASNet

_CIFAR = {"stem": "cifar", "classes": 10, "input_shape": (32, 32, 3)}
_IMAGENET = {"stem": "imagenet", "classes": 1000, "dropout": 0.5}

# "genotype_N_P_dataset", where "N @ P" is the paper's name. For B and C the cells at each
# resolution and the stem are the reading that comes nearest to the published sizes
# (scripts/published_sizes.py).
VARIANTS: dict[str, dict[str, Any]] = {
    "nasnet_a_6_768_cifar": {"genotype": "nasnet_a", "num_blocks": 6, "penultimate_filters": 768, **_CIFAR},
    "nasnet_a_7_2304_cifar": {"genotype": "nasnet_a", "num_blocks": 7, "penultimate_filters": 2304, **_CIFAR},
    "nasnet_b_4_1152_cifar": {"genotype": "nasnet_b", "num_blocks": (3, 3, 4), "penultimate_filters": 1152, **_CIFAR},
    "nasnet_c_4_640_cifar": {"genotype": "nasnet_c", "num_blocks": 4, "penultimate_filters": 640, **_CIFAR},
    "nasnet_a_4_1056_imagenet": {
        "genotype": "nasnet_a",
        "num_blocks": 4,
        "penultimate_filters": 1056,
        "input_shape": (224, 224, 3),
        **_IMAGENET,
    },
    "nasnet_a_5_1536_imagenet": {
        "genotype": "nasnet_a",
        "num_blocks": 5,
        "penultimate_filters": 1536,  # the paper prints 1538, which no F gives
        "stem_filters": 96,
        "skip_reduction": True,
        "input_shape": (299, 299, 3),
        **_IMAGENET,
    },
    "nasnet_a_7_1920_imagenet": {
        "genotype": "nasnet_a",
        "num_blocks": 7,
        "penultimate_filters": 1920,
        "stem_filters": 96,
        "skip_reduction": True,
        "input_shape": (299, 299, 3),
        **_IMAGENET,
    },
    "nasnet_a_6_4032_imagenet": {
        "genotype": "nasnet_a",
        "num_blocks": 6,
        "penultimate_filters": 4032,
        "stem_filters": 96,
        "skip_reduction": True,
        "input_shape": (331, 331, 3),
        **_IMAGENET,
    },
    "nasnet_b_4_1536_imagenet": {
        "genotype": "nasnet_b",
        "num_blocks": (3, 3, 4),
        "penultimate_filters": 1536,
        "input_shape": (224, 224, 3),
        **_IMAGENET,
    },
    "nasnet_c_3_960_imagenet": {
        "genotype": "nasnet_c",
        "num_blocks": 2,
        "penultimate_filters": 960,
        "stem_filters": 96,
        "input_shape": (224, 224, 3),
        **_IMAGENET,
    },
}


def variants() -> list[str]:
    """Return the names that `variant` takes: those of the paper's networks.

    Example:
        >>> variants()[:2]
        ['nasnet_a_4_1056_imagenet', 'nasnet_a_5_1536_imagenet']
    """
    return sorted(VARIANTS)


def variant(name: str, /, **options: Any) -> NASNet:
    """Return a network of the paper with random weights.

    Args:
        name: one of `variants()`, for example "nasnet_a_6_768_cifar".
        **options: arguments of `NASNet` that replace the variant's.

    Raises:
        ValueError: if there is no such variant.

    Example:
        >>> network = variant("nasnet_a_6_768_cifar", num_blocks=1, penultimate_filters=48)
        >>> network.name, network.output.shape
        ('nasnet_a_6_768_cifar', (None, 10))
    """
    if name not in VARIANTS:
        raise ValueError(f"unknown variant {name!r}: choose from {', '.join(variants())}")
    chosen = {"name": name} | VARIANTS[name] | options
    if chosen.get("data_format") is None:
        chosen["data_format"] = keras.config.image_data_format()
    if chosen["data_format"] == "channels_first" and "input_shape" not in options:
        *sides, channels = chosen["input_shape"]
        chosen["input_shape"] = (channels, *sides)
    return NASNet(**chosen)
