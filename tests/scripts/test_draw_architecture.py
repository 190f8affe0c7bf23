"""docs/architecture.svg shows the layers that `make lint` checks."""

import importlib.util
import re
from xml.etree import ElementTree

import pytest

from tests.support import SCRIPTS

SCRIPT = SCRIPTS / "draw_architecture.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="needs the scripts of the checkout")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_architecture", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_that_of_the_contract(script):
    drawn = script.draw(script.layers(script.ROOT / "pyproject.toml"))
    assert script.PICTURE.read_text(encoding="utf-8") == drawn, "python scripts/draw_architecture.py draws it anew"


def test_every_package_has_its_place(script):
    found = [text.text for text in ElementTree.fromstring(script.PICTURE.read_text(encoding="utf-8")).iter()]
    packages = {place.parent.name for place in script.ROOT.glob("keras_nasnet/*/__init__.py")} | {"search", "zoo"}
    assert packages <= set(found)


def test_layers_are_read_in_order(script, tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text(
        '[[tool.importlinter.contracts]]\ntype = "layers"\nlayers = ["top", "left | right : more", "low"]\n'
    )
    assert script.layers(file) == [["top"], ["left", "right", "more"], ["low"]]
    drawn = script.draw(script.layers(file))
    places = {name: float(y) for y, name in re.findall(r'y="([\d.]+)"[^>]*>(\w+)</text>', drawn)}
    assert places["top"] < places["left"] == places["right"] == places["more"] < places["low"]
    file.write_text("[[tool.importlinter.contracts]]\ntype = 'independence'\n")
    with pytest.raises(ValueError, match="no contract of layers"):
        script.layers(file)
