"""Comparison of a network in another runtime with the network itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.predictor import Runner

TOLERANCE = 1e-4  # relative, between probabilities in float32


class Comparison(NamedTuple):
    """How near the probabilities of an export are to those of its network.

    Args:
        difference: the largest between their probabilities, relative to the largest probability.
        agreement: share of the images that both give the same class.
        images: number of images.

    Example:
        >>> compared = Comparison(difference=2e-6, agreement=1.0, images=4)
        >>> f"{compared.agreement:.0%} of {compared.images} images"
        '100% of 4 images'
    """

    difference: float
    agreement: float
    images: int


def compare(network: "keras.Model", runner: "Runner", batches: Iterable[np.ndarray], exact: bool = True) -> Comparison:
    """Compare probabilities of preprocessed images.

    Args:
        network: a Keras model that returns probabilities.
        runner: the other one.
        batches: of images.
        exact: whether they must be the same but for `TOLERANCE`.

    Raises:
        ValueError: if they are not, or the runtime gives no probabilities.
    """
    import keras

    difference, agreed, images = 0.0, 0, 0
    for batch in batches:
        ours, theirs = keras.ops.convert_to_numpy(network(batch, training=False)), runner.run(batch)
        if theirs.shape != ours.shape or not np.isfinite(theirs).all():
            raise ValueError("what was written gives no probabilities: nothing is kept")
        difference = max(difference, float(np.abs(ours - theirs).max() / np.abs(ours).max()))
        agreed += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        images += len(batch)
    if exact and not difference <= TOLERANCE:
        raise ValueError(
            f"what was written differs from the network by {difference:.1e}, more than {TOLERANCE:.0e}: nothing is kept"
        )
    return Comparison(difference, agreed / images, images)
