"""Keras itself: the folded network on TensorFlow, or on JAX or PyTorch where Keras is configured so."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.inference.engines.engine import Engine, Network, Report

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

Compute = Callable[[np.ndarray], np.ndarray]  # from images (n, height, width, 3) to probabilities (n, classes)

SIZES = (64, 8, 1)  # images that are computed at a time
_PADDED = 3  # of an image that is computed alone, the time that eight take together: more are filled up to eight


class KerasEngine(Engine):
    """See the module."""

    name, title = "tensorflow", "TensorFlow"
    module = distribution = "keras"
    computes_all = True

    def open(self, network: Network, precision: str, report: Report | None = None) -> "KerasRunner":
        return KerasRunner(network.load())


class KerasRunner:
    """See `Runner`.

    Args:
        model: a NASNet with a classifier.
    """

    def __init__(self, model: "NASNet"):
        from keras_nasnet.inference.formats import classifier

        classifier.check(model)
        self.metadata: dict[str, Any] = classifier.metadata(model) | {"classes": model.get_config()["classes"]}
        self._compute = _compiled(_plain(model))

    def run(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([self._compute(part)[:count] for part, count in _parts(images)])


def _plain(model: "NASNet") -> "keras.Model":
    """Return a model of few layers that takes images, channels last, and returns probabilities."""
    from keras_nasnet.inference.formats import classifier

    height, width = model.preprocessing.height, model.preprocessing.width
    exact = classifier.rebuilt(model, height, width)
    try:
        network = classifier.folded(exact)
    except NotImplementedError:  # an operation of one's own that does not say how it is folded
        network = exact
    return classifier.with_probabilities(network, (None, height, width, 3))


def _parts(images: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
    """Yield the images in parts of `SIZES`, each with the number of those in it that are no padding."""
    start = 0
    while left := len(images) - start:
        size = next(size for size in SIZES if size <= left)
        if size == 1 and left > _PADDED:
            missing = SIZES[-2] - left
            yield np.concatenate([images[start:], np.zeros((missing, *images.shape[1:]), images.dtype)]), left
            return
        yield images[start : start + size], size
        start += size


def _compiled(model: "keras.Model") -> Compute:
    import keras

    return {"tensorflow": _by_tensorflow, "jax": _by_jax, "torch": _by_torch}[keras.backend.backend()](model)


def _by_tensorflow(model: "keras.Model") -> Compute:
    import tensorflow as tf

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(model.input_shape, tf.float32)])
    def compute(images: Any) -> Any:
        return model(images, training=False)

    return lambda images: compute(images).numpy()


def _by_jax(model: "keras.Model") -> Compute:
    import jax

    state = [
        [variable.value for variable in kind] for kind in (model.trainable_variables, model.non_trainable_variables)
    ]
    compute = jax.jit(lambda state, images: model.stateless_call(*state, images, training=False)[0])
    return lambda images: np.asarray(compute(state, images))


def _by_torch(model: "keras.Model") -> Compute:
    import keras
    import torch

    def compute(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return keras.ops.convert_to_numpy(model(images, training=False))

    return compute


ENGINE = KerasEngine()
