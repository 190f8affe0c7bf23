"""What is installed, and what importing it costs."""

import re
import subprocess
import sys
import zipfile

import pytest

import keras_nasnet
from tests.support import ROOT


def run(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options).stdout


def test_import_is_instant():
    code = (
        "import sys, time; start = time.perf_counter(); import keras_nasnet; cost = time.perf_counter() - start;"
        "print(cost, 'keras' in sys.modules, 'numpy' in sys.modules)"
    )
    results = [run(code).split() for _ in range(3)]
    assert min(float(result[0]) for result in results) < 0.2
    assert results[0][1:] == ["False", "False"]


def test_every_public_name_loads():
    for name in keras_nasnet.__all__:
        assert getattr(keras_nasnet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = keras_nasnet.nothing


def test_the_core_never_imports_tensorflow_itself():
    for path in sorted((ROOT / "keras_nasnet" / "layers").glob("*.py")):
        assert not re.search(r"^\s*(import|from) tensorflow\b", path.read_text(), re.MULTILINE), path


def test_a_wheel_has_one_top_level_name_and_the_shipped_weights(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), "."]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"keras_nasnet"}
    expected = {"keras_nasnet/layers/cell.py", "keras_nasnet/zoo/loading.py", "keras_nasnet/search/__init__.py"}
    assert expected | {"keras_nasnet/py.typed"} <= set(names)
    assert "keras_nasnet/zoo/weights/nasnet_a_cifar10.safetensors" in names
    assert "keras_nasnet/zoo/catalog/nasnet_a_cifar10.toml" in names


def test_train_stays_the_function_whatever_is_imported():
    """A module of the same name would take its place in the package."""
    program = (
        "import keras_nasnet.training.loop, keras_nasnet.training.trainer, keras_nasnet.training.finetuning; "
        "from keras_nasnet import training, finetune; print(callable(training.train), callable(finetune))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
