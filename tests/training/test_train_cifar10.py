"""scripts/train_cifar10.py: the curve of a run so far, as the documentation has it."""

import runpy

import pytest
from click.testing import CliRunner

from keras_nasnet.training.history import COLUMNS, History
from tests.support import SCRIPTS, toy


@pytest.fixture(scope="module")
def main():
    return runpy.run_path(str(SCRIPTS / "train_cifar10.py"))["main"]


def test_the_curve_is_the_history(main, tmp_path):
    toy.recipe(learning_rate=0.01).save(tmp_path / "recipe.toml")
    with History(tmp_path) as history:
        for epoch in (1, 2):
            history.append(dict.fromkeys(COLUMNS, 0.4321 / epoch) | {"epoch": epoch, "step": 6 * epoch})
    done = CliRunner().invoke(main, ["--curve", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:1] == "|"]
    assert rows[0][:4] == ["epoch", "loss", "training accuracy", "held-out accuracy"]
    assert [row[:4] for row in rows[2:]] == [
        ["1 of 2", "0.432", "43.21 %", "43.21 %"],
        ["2 of 2", "0.216", "21.61 %", "21.61 %"],
    ]
    assert "Recipe toy (" in done.stdout
    assert "learning_rate = 0.01" in done.stdout
    assert "seed 0" in done.stdout


def test_no_run_is_one_line(main, tmp_path):
    done = CliRunner().invoke(main, ["--curve", "--out", str(tmp_path)])
    assert done.exit_code == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1
    assert "recipe.toml: no such file" in said[0]
    assert "Traceback" not in done.stderr
