"""OpenVINO is imported so that it tells nobody."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("openvino", reason="needs OpenVINO")

TELEMETRY = """
import pathlib
from unittest.mock import MagicMock
def Telemetry(**options):
    pathlib.Path({told!r}).touch()
    return MagicMock()
"""


@pytest.mark.parametrize(
    "code, tells",
    [
        ("import openvino", True),  # shows that it would, and that this test could tell
        ("from keras_nasnet.accelerate.openvino import openvino; openvino().convert_model", False),
        ("from keras_nasnet.inference.formats.openvino import core; core()", False),
    ],
)
def test_tells_nobody(tmp_path, code, tells):
    told = tmp_path / "told"
    package = tmp_path / "modules" / "openvino_telemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(TELEMETRY.format(told=str(told)))
    (package / "backend").mkdir()
    (package / "backend" / "__init__.py").write_text("backend_ga4 = None\n")
    path = os.pathsep.join([str(tmp_path / "modules"), os.environ["PYTHONPATH"]])
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, check=True)
    assert told.exists() == tells
