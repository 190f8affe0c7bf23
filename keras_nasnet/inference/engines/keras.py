"""The Keras model itself, on TensorFlow, or on JAX or PyTorch where Keras is configured so."""

from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.inference.engines.engine import Engine, Network, Report

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet


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
        config = model.get_config()
        self.metadata: dict[str, Any] = classifier.metadata(model) | {"classes": config["classes"]}
        self._model = model
        self._gives_logits = config["classifier_activation"] == "linear"
        self._channels_first = config["data_format"] == "channels_first"

    def run(self, images: np.ndarray) -> np.ndarray:
        import keras

        # Called, not predicted: a new batch size costs no compilation.
        outputs = self._model(images.transpose(0, 3, 1, 2) if self._channels_first else images, training=False)
        if isinstance(outputs, dict):  # with an auxiliary head
            outputs = outputs["predictions"]
        return keras.ops.convert_to_numpy(keras.ops.softmax(outputs) if self._gives_logits else outputs)


ENGINE = KerasEngine()
