"""Keras loads saved models once the package is imported, whichever of the two comes first."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.models import registration
from keras_nasnet.models.weights import save_model


def test_every_class_of_the_core_is_known():
    known = keras.saving.get_custom_objects()
    core = {
        name.partition(">")[2]: known[name].__module__.removeprefix("keras_nasnet.")
        for name in known
        if name.startswith("keras_nasnet>")
        and (known[name].__module__.count(".") == 1 or known[name].__module__.startswith("keras_nasnet.inference."))
    }
    assert core == registration.CLASSES


LOOKED_FOR = "keras_nasnet, importlib.util; importlib.util.find_spec('keras'); import keras"  # asked for, not imported


@pytest.mark.parametrize("order", ["keras, keras_nasnet", "keras_nasnet.layers.batch_norm, keras", LOOKED_FOR])
def test_a_saved_model_loads(tmp_path, order):
    net = NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", stem_filters=4, classes=3)
    save_model(net, tmp_path / "net.keras")
    code = (
        f"import {order}\n"
        "net = keras.saving.load_model('net.keras')\n"
        "import importlib; importlib.reload(keras)\n"
        "print(type(net).__name__, sum(float(abs(keras.ops.convert_to_numpy(w)).sum()) for w in net.weights))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    kind, total = done.stdout.split()
    assert kind == "NASNet"
    expected = sum(float(abs(keras.ops.convert_to_numpy(weight)).sum()) for weight in net.weights)
    np.testing.assert_allclose(float(total), expected, rtol=1e-6)
