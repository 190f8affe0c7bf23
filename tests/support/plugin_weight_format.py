"""A weight format of one's own: JSON, a list of numbers for each variable."""

import json
from pathlib import Path

import keras

from keras_nasnet.zoo import WeightFormat


class JsonWeights(WeightFormat):
    suffixes = written = (".json",)

    def read(self, path, model, moving_averages=True):
        tensors = json.loads(Path(path).read_text())
        for variable in model.weights:
            variable.assign(tensors[variable.path])

    def write(self, model, path):
        path.write_text(json.dumps({v.path: keras.ops.convert_to_numpy(v).tolist() for v in model.weights}))


FORMAT = JsonWeights()
