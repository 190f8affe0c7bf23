"""`keras-nasnet detect` where the Model Garden is not installed."""

import subprocess
import sys

import pytest

WITHOUT = """
import sys
sys.modules["official"] = None  # as if it were not installed
from keras_nasnet.cli.main import main
main(sys.argv[1:], prog_name="keras-nasnet")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "train", "--data", "."),
        ("detect", "eval", "run"),
        ("detect", "export", "run", "--out", "out"),
        ("zoo", "backbone", "nasnet_a_cifar10", "--out", "out"),
    ],
)
def test_without_the_extra_a_line_says_what_to_install(arguments, tmp_path):
    result = subprocess.run([sys.executable, "-c", WITHOUT, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == (
        "Error: detection needs the TensorFlow Model Garden: pip install 'keras-nasnet[detection]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_what_needs_no_garden_imports_without_the_extra():
    script = """
import sys
sys.modules.update({"official": None, "tf_keras": None, "tensorflow": None})
from keras_nasnet import detection
from keras_nasnet.detection import anchors, detector_folder, report
detection.read_splits, detection.write_records, detection.Detections, detection.draw, detection.predict_files
"""
    subprocess.run([sys.executable, "-c", script], check=True)
