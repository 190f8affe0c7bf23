"""What is installed, and what importing it costs."""

import importlib
import pkgutil
import re
import subprocess
import sys
import zipfile

import pytest

import keras_nasnet
from tests.support import ROOT
from tests.support.faces import FACES


def run(code, **options):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **options).stdout


def test_importing_the_package_imports_the_standard_library_alone():
    """So that it is instant: 0.02 s, as `python -X importtime -c "import keras_nasnet"` shows."""
    code = (
        "import sys; before = set(sys.modules); import keras_nasnet;"
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    assert run(code).split() == ["keras_nasnet"]


def test_every_public_name_loads():
    for name in keras_nasnet.__all__:
        assert getattr(keras_nasnet, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = keras_nasnet.nothing


def test_the_core_never_imports_tensorflow_itself():
    for path in sorted((ROOT / "keras_nasnet" / "layers").glob("*.py")):
        assert not re.search(r"^\s*(import|from) tensorflow\b", path.read_text(), re.MULTILINE), path


def test_a_wheel_has_one_top_level_name_and_the_shipped_weights(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"keras_nasnet"}
    expected = {"keras_nasnet/layers/cell.py", "keras_nasnet/zoo/loading.py", "keras_nasnet/search/__init__.py"}
    assert expected | {"keras_nasnet/py.typed"} <= set(names)
    assert "keras_nasnet/zoo/weights/nasnet_a_cifar10.safetensors" in names
    assert "keras_nasnet/zoo/catalog/nasnet_a_cifar10.toml" in names


@pytest.mark.parametrize("face", FACES)
def test_no_module_takes_the_place_of_a_name_of_its_package(face):
    """A module of the same name would hide it once it is imported."""
    package = importlib.import_module(face)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not modules & set(package.__all__)
