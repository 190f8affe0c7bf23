"""An engine of one's own, as CONTRIBUTING.md describes it: the Keras model, saved and loaded again."""

from types import SimpleNamespace

import keras
import numpy as np

from keras_nasnet.inference import CompiledEngine


class Reloaded(CompiledEngine):
    name, title, module, distribution = "reloaded", "Keras, reloaded", "keras", "keras"

    def compile(self, model, signature, folder, precision):
        model.save(folder / "network.keras")

    def open_folder(self, folder, metadata, precision):
        model = keras.saving.load_model(folder / "network.keras")
        return SimpleNamespace(metadata=metadata, run=lambda images: np.asarray(model(images, training=False)))


ENGINE = Reloaded()
