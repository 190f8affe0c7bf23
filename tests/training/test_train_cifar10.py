"""scripts/train_cifar10.py: the curve of a run so far, as the documentation has it."""

import subprocess
import sys

from keras_nasnet.training import train
from keras_nasnet.training.history import read_history
from tests.support import SCRIPTS, toy

SCRIPT = SCRIPTS / "train_cifar10.py"


def curve(folder):
    program = [sys.executable, SCRIPT, "--curve", "--out", folder]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_the_curve_is_the_history(tmp_path):
    train(toy.recipe(learning_rate=0.01), tmp_path / "run", data=toy.dataset())
    done = curve(tmp_path / "run")
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert rows[0][:4] == ["epoch", "loss", "training accuracy", "held-out accuracy"]
    history = read_history(tmp_path / "run" / "history.csv")
    assert [row[:4] for row in rows[2:]] == [
        [
            f"{row['epoch']} of 2",
            f"{row['loss']:.3f}",
            f"{100 * row['accuracy']:.2f} %",
            f"{100 * row['validation_accuracy']:.2f} %",
        ]
        for row in history
    ]
    assert "Recipe toy (" in done.stdout
    assert "learning_rate = 0.01" in done.stdout
    assert "seed 0" in done.stdout


def test_no_run_is_one_line(tmp_path):
    done = curve(tmp_path)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert "recipe.toml: no such file" in said[0]
    assert "Traceback" not in done.stderr
