"""An export format of one's own: a Keras file, and beside it one with the metadata."""

import json
from types import SimpleNamespace

import keras
import numpy as np

from keras_nasnet.inference import Format


class TwoFiles(Format):
    name, suffix, reads = "two_files", ".keras", ("keras",)

    def write(self, model, path, signature):
        model.save(path)
        path.with_suffix(".json").write_text(json.dumps(signature.metadata))

    def read(self, path):
        model = keras.saving.load_model(path)
        metadata = json.loads(path.with_suffix(".json").read_text())
        return SimpleNamespace(metadata=metadata, run=lambda images: np.asarray(model(images, training=False)))

    def files(self, path):
        return [path.with_suffix(".json"), path]


FORMAT = TwoFiles()
