"""What a user has set for Keras elsewhere: the commands compute as they always do, or say in a line what is missing."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet import NASNet
from keras_nasnet.cli.main import main
from tests.support.toy import NETWORK

# Each argument is a command, in JSON; a user's settings must be as they were before each.
COMMANDS = """
import json, sys
from keras_nasnet.cli.main import main
for arguments in map(json.loads, sys.argv[1:]):
    if "keras" in sys.modules:
        from keras import config
        assert (config.image_data_format(), config.floatx()) == ("channels_first", "float16")
    try:
        main(arguments)
    except SystemExit as done:
        if done.code:
            raise
"""


def run(home, settings, *commands):
    """Runs commands in a process of a user with these settings."""
    (home / "keras.json").write_text(json.dumps(settings))
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, *(json.dumps([*map(str, command)]) for command in commands)],
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


def test_other_axes_and_floats_do_not_leak_in(photos, tmp_path, monkeypatch):
    settings = {"image_data_format": "channels_first", "floatx": "float16", "backend": "tensorflow"}
    NASNet(**NETWORK, stem="cifar", classes=3).save(tmp_path / "start.keras")
    learn = ("finetune", photos, "--model", tmp_path / "start.keras", "--out", tmp_path / "run", "--epochs", 1)
    options = ("--set", "batch=4", "--set", "image_size=32")
    classify = ("classify", photos, "--model", tmp_path / "run", "--engine", "tensorflow", "--json")
    done = run(tmp_path, settings, (*learn, *options), classify)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(found) == 8
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    lines = CliRunner().invoke(main, [*map(str, classify)]).stdout.splitlines()
    assert [json.loads(line) for line in lines] == found


def test_a_backend_that_is_missing_is_one_line(photos, tmp_path, monkeypatch):
    (tmp_path / "modules" / "jax").mkdir(parents=True)  # stands in front of one that may be installed
    lines = 'raise ModuleNotFoundError("No module named \'jax\'", name="jax")'
    (tmp_path / "modules" / "jax" / "__init__.py").write_text(lines)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ["PYTHONPATH"]]))
    done = run(tmp_path, {"backend": "jax"}, ("classify", photos, "--engine", "tensorflow"))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "No module named 'jax': install it, or choose another backend" in done.stderr
