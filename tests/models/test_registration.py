"""Keras loads saved models once the package is imported, whichever of the two comes first."""

import importlib
import os
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_nasnet.layers
import keras_nasnet.models
from keras_nasnet import NASNet
from keras_nasnet.layers import Projection
from keras_nasnet.models import registration
from keras_nasnet.models.weights import save_model
from tests.support.toy import NETWORK


def test_every_class_of_the_core_is_known():
    for package in (keras_nasnet.layers, keras_nasnet.models):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    importlib.import_module("keras_nasnet.inference.folding")
    homes = {name: thing.__module__ for name, thing in keras.saving.get_custom_objects().items()}
    core = {
        name.removeprefix("keras_nasnet>"): home.removeprefix("keras_nasnet.")
        for name, home in homes.items()
        if name.startswith("keras_nasnet>") and home.split(".")[1] in ("accelerate", "layers", "models", "inference")
    }
    assert core == registration.CLASSES


# Keras is asked for, not imported; then it is imported by a module of the package.
LOOKED_FOR = (
    "keras_nasnet, importlib.util; importlib.util.find_spec('keras'); import keras_nasnet.layers.batch_norm, keras"
)


def network():
    return NASNet(**NETWORK, stem="cifar", stem_filters=4, classes=3)


def layers():
    return keras.Sequential([keras.Input((4, 4, 3)), Projection(2)])


@pytest.mark.parametrize(
    ("order", "make", "backend"),
    [
        ("keras, keras_nasnet", network, "numpy"),  # JAX would compile a network's first weights
        (LOOKED_FOR, layers, "jax"),
    ],
)
def test_a_saved_model_loads(tmp_path, order, make, backend):
    net = make()
    save_model(net, tmp_path / "net.keras")
    code = (
        "import sys; sys.modules['tensorflow'] = None  # Keras looks for it, for seconds, when it loads a model\n"
        f"import {order}\n"
        "net = keras.saving.load_model('net.keras')\n"
        "import importlib; importlib.reload(keras)\n"
        "print(type(net).__name__, sum(float(abs(keras.ops.convert_to_numpy(w)).sum()) for w in net.weights))"
    )
    environment = os.environ | {"KERAS_BACKEND": backend}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    kind, total = done.stdout.split()
    assert kind == type(net).__name__
    expected = sum(float(abs(keras.ops.convert_to_numpy(weight)).sum()) for weight in net.weights)
    np.testing.assert_allclose(float(total), expected, rtol=1e-6)
