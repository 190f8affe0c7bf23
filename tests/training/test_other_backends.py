"""JAX and PyTorch run the same loop; on JAX with data in memory no TensorFlow is imported."""

import importlib.util
import subprocess
import sys

import keras
import pytest

from tests.support import JAX, environment
from tests.support.toy import write_npz

AVERAGES = """
import keras, numpy as np
from keras_nasnet.training.evaluation import averaged_weights
variable = keras.Variable(np.array([1.0, 2.0], "float32"))
optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
optimizer.build([variable])
for _ in range(2):
    optimizer.apply([keras.ops.convert_to_tensor([1.0, 1.0], "float32")], [variable])
class Step:
    sync = changed = lambda self: None
values = lambda: np.array(keras.ops.convert_to_numpy(variable)).tolist()
before = values()
with averaged_weights(Step(), optimizer):
    during = values()
print(before, during, values())
"""
AND_BACK = "[0.0, 1.0] [0.25, 1.25] [0.0, 1.0]"  # the weights, their averages, and the weights again

PROGRAM = """
import gc, sys
gc.disable()  # a sixth of a short run
from tests.support import JAX, environment
from tests.support.toy import recipe
from keras_nasnet.training.trainer import train
settings = recipe(epochs=4, learning_rate=0.02, clip_norm=5.0, weight_decay=1e-4, auxiliary_weight=0.4,
                  drop_path_rate=0.2, augmentation="pad_crop_flip", cutout=8, ema=0.5, dtype={dtype!r})
result = train(settings, {out!r}, data={data!r})
print("tensorflow" in sys.modules, result.test.accuracy, result.network.name)
"""


def run(backend, tmp_path, dtype="float32"):
    data, out = write_npz(tmp_path / "toy.npz"), tmp_path / "run"
    program = PROGRAM.format(data=str(data), out=str(out), dtype=dtype) + AVERAGES
    variables = environment(**(JAX if backend == "jax" else {"KERAS_BACKEND": backend}))
    done = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result, averages = done.stdout.strip().splitlines()[-2:]
    assert averages == AND_BACK
    tensorflow, accuracy, _ = result.split()
    names = {path.name for path in out.iterdir()}
    assert {"model.keras", "history.csv", "curves.png", "confusion.png", "checkpoint.safetensors"} <= names
    return tensorflow == "True", float(accuracy)


@pytest.mark.jax
def test_jax_trains_without_tensorflow(tmp_path):
    tensorflow, accuracy = run("jax", tmp_path)
    assert not tensorflow
    assert accuracy >= 0.6  # 1/3 is chance


@pytest.mark.slow
def test_jax_trains_in_mixed_precision(tmp_path):
    for dtype in ("mixed_bfloat16", "mixed_float16"):
        (tmp_path / dtype).mkdir()
        assert run("jax", tmp_path / dtype, dtype)[1] >= 0.6


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_torch_trains(tmp_path, dtype):
    assert run("torch", tmp_path, dtype)[1] >= 0.6


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the other backends' programs say so above")
def test_weights_come_back_from_behind_their_averages(capsys):
    exec(AVERAGES, {})
    assert capsys.readouterr().out.strip().splitlines()[-1] == AND_BACK
