"""`detect convert`, and the options of `detect` that say how annotated images are read. Needs no TensorFlow."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from keras_nasnet.cli.detect import detect_group
from tests.support.small_coco import changed, write_coco


def detect(*arguments):
    result = CliRunner().invoke(detect_group, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_a_dataset_becomes_yolo_s_and_what_was_wrong_is_said(tmp_path):
    content = changed(categories=[{"id": 9, "name": "\x1b[2J"}])
    content["annotations"][0]["bbox"] = [35, 6, 10, 12]
    content["images"][2]["file_name"] = "C:\\c.jpg"
    write_coco(tmp_path / "data", content, images="../photos")
    code, out, err = detect(
        "convert", "--data", tmp_path / "data", "--images", tmp_path / "photos", "--out", tmp_path / "yolo"
    )
    assert (code, out) == (0, f"YOLO {tmp_path / 'yolo' / 'data.yaml'}\n")
    assert "clipped" in err and "backslashes for slashes" in err and "\x1b" not in err
    assert len(list((tmp_path / "yolo" / "images" / "train").iterdir())) == 2
    assert len(list((tmp_path / "yolo" / "images" / "val").iterdir())) == 1
    code, _, err = detect("convert", "--data", tmp_path / "data", "--out", tmp_path / "yolo", "--exif", "apply")
    assert code == 2 and len(err.splitlines()) == 1  # the images are elsewhere


@pytest.mark.parametrize("command", ["train", "eval", "convert"])
def test_images_and_exif_are_options_wherever_annotated_images_are_read(command):
    help_text = " ".join(detect(command, "--help")[1].split())
    assert "--images PATH" in help_text and "--exif [apply|ignore]" in help_text


def test_options_of_data_need_data():
    code, _, err = detect("eval", "run", "--exif", "apply")
    assert code == 2 and "give --data too" in err


def test_converting_imports_neither_tensorflow_nor_keras(tmp_path):
    write_coco(tmp_path / "data")
    code = (
        "import sys; from keras_nasnet.cli.detect import detect_group; "
        "detect_group(sys.argv[1:], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    arguments = ["convert", "--data", tmp_path / "data", "--out", tmp_path / "yolo"]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
