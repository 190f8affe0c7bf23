"""The command `keras-nasnet export`."""

import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from keras_nasnet import NASNet
from keras_nasnet.cli.main import main
from keras_nasnet.inference.formats.registry import FORMATS
from tests.support import ROOT, environment
from tests.support.toy import NETWORK


def run(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_writes_and_says_how_it_compares(tmp_path):
    """As a program: nothing but its own words."""
    names = ["ant", "bee", "cow"]
    NASNet(**NETWORK, stem="cifar", classes=3, class_names=names).save(tmp_path / "small.keras")
    command = [sys.executable, "-m", "keras_nasnet.cli.main", "export", "small.keras", "--to", "saved_model"]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    compared, wrote = result.stdout.splitlines()
    assert compared.startswith("compared on 4 images: differs by ")
    assert wrote == "wrote small_saved_model"
    assert {file.name for file in tmp_path.iterdir()} == {"small.keras", "small_saved_model"}
    runner = FORMATS.get("saved_model").read(tmp_path / "small_saved_model")
    assert runner.metadata["class_names"] == names
    assert runner.run(np.zeros((1, 32, 32, 3), np.float32)).shape == (1, 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nasnet_z", "--to", "keras"), "choose from nasnet_a_cifar10"),
        (("nasnet_a_cifar10", "--to", "keras", "--int8", "weights"), "keras knows no int8"),
        (("nasnet_a_cifar10", "--to", "keras", "--out", "model.h5"), "ends in .keras"),
        (("nasnet_a_cifar10", "--to", "keras", "--no-dynamic-batch"), "network's own sizes"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_missing_runtime_is_said_without_keras(tmp_path):
    code = (
        "import sys; sys.modules['onnxruntime'] = None\n"
        "from keras_nasnet.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "export", "nasnet_a_cifar10", "--to", "onnx"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (2, "[]\n")
    assert result.stderr == "Error: onnx needs onnxruntime: pip install 'keras-nasnet[onnx]'\n"
