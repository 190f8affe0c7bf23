"""What a user has set for Keras elsewhere: the commands compute as they always do, or say in a line what is missing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def run(home, settings, *arguments):
    (home / "keras.json").write_text(json.dumps(settings))
    return subprocess.run(
        [sys.executable, "-m", "keras_nasnet.cli.main", *map(str, arguments)],
        env={key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"} | {"KERAS_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def photos(tmp_path):
    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = random.integers(0, 100, (32, 32, 3)) + 150 * (name == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def test_other_axes_and_floats_do_not_leak_in(photos, tmp_path):
    settings = {"image_data_format": "channels_first", "floatx": "float16", "backend": "tensorflow"}
    options = ("--epochs", 1, "--out", tmp_path / "run", "--set", "batch=4", "--set", "image_size=32")
    done = run(tmp_path, settings, "finetune", photos, *options)
    assert done.returncode == 0, done.stderr
    classified = ("classify", photos, "--model", tmp_path / "run", "--engine", "tensorflow", "--json")
    done = run(tmp_path, settings, *classified)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    done = run(tmp_path, {"backend": "tensorflow"}, *classified)
    assert [json.loads(line) for line in done.stdout.splitlines()] == found
    assert len(found) == 8


def test_a_backend_that_is_missing_is_one_line(photos, tmp_path, monkeypatch):
    (tmp_path / "modules" / "jax").mkdir(parents=True)  # stands in front of one that may be installed
    lines = 'raise ModuleNotFoundError("No module named \'jax\'", name="jax")'
    (tmp_path / "modules" / "jax" / "__init__.py").write_text(lines)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ["PYTHONPATH"]]))
    done = run(tmp_path, {"backend": "jax"}, "classify", photos, "--engine", "tensorflow")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "No module named 'jax': install it, or choose another backend" in done.stderr
