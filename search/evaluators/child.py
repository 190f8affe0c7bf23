"""Child: the small network by which a search judges a genotype."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.genotype import Genotype
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.search.trial import Fidelity
from keras_nasnet.training.trainer import no_search_for_tensorflow


def make_child(
    genotype: str | Genotype,
    fidelity: Fidelity,
    classes: int,
    image_shape: Sequence[int],
    seed: int = 0,
    dtype: Any = None,
) -> NASNet:
    """Returns the network of the paper's search: CIFAR stem, N normal cells at each resolution, no auxiliary head.

    Args:
        genotype: of its cells.
        fidelity: gives N (`num_blocks`) and F (`filters`).
        classes: number of classes.
        image_shape: (height, width, 3) of the images, in pixels.
        seed: of the initial weights; sets Keras', NumPy's and Python's random numbers, as Keras draws from all three.
        dtype: Keras' dtype policy; default: the one that is set.

    Returns:
        A `NASNet` that takes images scaled to [-1, 1] and gives logits (batch, classes).

    Source: arXiv 1707.07012, section 4 and appendix A.
    """
    genotype = get_genotype(genotype)
    height, width, _ = image_shape
    with no_search_for_tensorflow():
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
