"""Child: the small network by which a search judges a genotype."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.genotype import Genotype
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.search.trial import Fidelity


def make_child(
    genotype: str | Genotype,
    fidelity: Fidelity,
    classes: int,
    image_shape: Sequence[int],
    seed: int = 0,
    dtype: Any = None,
) -> NASNet:
    """Return the network of the paper's search: CIFAR stem, N normal cells at each resolution, no auxiliary head.

    Args:
        genotype: of its cells, or its name.
        fidelity: gives N (`num_blocks`) and F (`filters`).
        classes: number of classes.
        image_shape: (height, width, 3) of the images, in pixels.
        seed: of the initial weights; sets Keras', NumPy's and Python's random numbers, as Keras draws from all three.
        dtype: Keras' dtype policy; default: the one that is set.

    Returns:
        A `NASNet` that takes images scaled to [-1, 1] and gives logits (batch, classes).

    Source: arXiv 1707.07012, section 4 and appendix A.

    Example:
        >>> genotype = get_space({"name": "nasnet", "blocks": 1}).genotype((0, 1, 0, 0, 0) * 2)
        >>> child = make_child(genotype, Fidelity(filters=2, num_blocks=1), classes=10, image_shape=(8, 8, 3))
        >>> child.output_shape
        (None, 10)
    """
    genotype = get_genotype(genotype)
    assert genotype.penultimate_ratio is not None  # a genotype that is given none works its own out
    height, width, _ = image_shape
    keras.utils.set_random_seed(seed)
    return NASNet(
        genotype,
        fidelity.num_blocks,
        fidelity.filters * genotype.penultimate_ratio,
        stem="cifar",
        classes=classes,
        classifier_activation=None,
        input_shape=(height, width, 3),
        preprocessing=Preprocessing(height, width),
        dtype=dtype,
        name="child",
    )
