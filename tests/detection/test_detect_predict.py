"""The command `keras-nasnet detect predict`: what it prints, and what it refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet.cli.detect_predict import predict_command, show
from keras_nasnet.common.image_formats import FORMATS_TEXT
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.prediction import FileDetections, predict_files
from tests.support import ROOT
from tests.support.bright_squares import BrightSquares


@pytest.fixture
def folder(tmp_path):
    image = Image.new("RGB", (256, 128), (20, 30, 40))
    image.save(tmp_path / "2.png")
    image.paste((250, 250, 250), (10, 20, 110, 60))
    image.paste((230, 20, 30), (120, 30, 200, 100))
    image.save(tmp_path / "10.png")
    (tmp_path / "1.png").write_text("no image")
    return tmp_path


def shown(folder, capsys, threshold=0.3, **options):
    model = BrightSquares()
    broken = show(model.class_names, predict_files(model, [folder], threshold), threshold, **options)
    captured = capsys.readouterr()
    return broken, captured.out, captured.err


def test_lines(folder, capsys):
    broken, out, err = shown(folder, capsys)
    assert broken == 1
    assert out.splitlines() == [
        f"{folder / '2.png'}  nothing from 0.3 up",
        f"{folder / '10.png'}  white 0.70  10 20 110 60",
        f"{folder / '10.png'}  red 0.40  120 30 200 100",
    ]
    assert err == f"{folder / '1.png'}: not an image ({FORMATS_TEXT})\n"


def test_names_of_classes_and_files_move_no_cursor(capsys):
    found = Detections([[1, 2, 3, 4]], [0.9], [0], ("\x1b[2Jcat\n\x9b",))
    files = [FileDetections(Path("\x1b[1m.jpg"), found), FileDetections(Path("b.jpg"), ValueError("\x1b[1m: broken"))]
    assert show(found.class_names, files, 0.5) == 1
    captured = capsys.readouterr()
    assert captured.out == "\\x1b[1m.jpg  \\x1b[2Jcat\\n\\x9b 0.90  1 2 3 4\n"
    assert captured.err == "\\x1b[1m: broken\n"


def test_json_is_in_the_format_of_coco(folder, capsys):
    broken, out, _ = shown(folder, capsys, as_json=True)
    data = json.loads(out)
    assert broken == 1
    assert data["images"] == [
        {"id": 1, "file_name": str(folder / "2.png"), "width": 256, "height": 128},
        {"id": 2, "file_name": str(folder / "10.png"), "width": 256, "height": 128},
    ]
    assert data["categories"] == [{"id": 1, "name": "white"}, {"id": 2, "name": "red"}]
    assert [entry["bbox"] for entry in data["annotations"]] == [[10, 20, 100, 40], [120, 30, 80, 70]]
    assert [(entry["image_id"], entry["category_id"]) for entry in data["annotations"]] == [(2, 1), (2, 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.png"], "nowhere.png: no such file or folder"),
        (["empty"], "empty: no images in this folder"),
        (["2.png", "--threshold", "2"], "--threshold"),
        (["2.png", "--top", "0"], "--top"),
        ([], "IMAGE_OR_FOLDER"),
    ],
)
def test_refusals(folder, monkeypatch, arguments, message):
    monkeypatch.chdir(folder)
    Path("empty").mkdir()
    result = CliRunner().invoke(predict_command, [*arguments, "--model", "run"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_nothing_of_this_needs_tensorflow(folder):
    code = (
        "import sys, keras_nasnet.detection.prediction, keras_nasnet.detection.report\n"
        "from keras_nasnet.cli.detect_predict import predict_command\n"
        "try: predict_command()\n"
        "finally: print(sorted({'keras', 'tensorflow', 'official'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, "nowhere.png", "--model", "run"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert result.stdout.splitlines()[-1] == "[]"
    assert result.returncode == 2
