"""The command `keras-nasnet finetune`: untidy folders, refusals, Ctrl-C and --resume."""

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet import Block, CellSpec, Genotype, NASNet
from keras_nasnet.cli.main import main
from keras_nasnet.training.history import History

CELL = CellSpec((Block((0, 1), ("avg_pool_3x3", "identity")),), ((2,),))


def run(*arguments):
    return CliRunner().invoke(main, ["finetune", *map(str, arguments)])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("source") / "source.keras"
    NASNet(Genotype(CELL, CELL), 1, 96, stem="cifar", classes=4).save(path)
    return path


def fill(folder, colour, count):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        pixels = np.clip(generator.normal(colour, 30, (40, 48, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture
def photos(tmp_path):
    """Two classes; a broken image, a text file, and half of one class in nested folders."""
    folder = tmp_path / "photos"
    fill(folder / "red", (200, 40, 40), 10)
    fill(folder / "blue" / "more" / "still more", (40, 40, 200), 5)
    fill(folder / "blue", (40, 40, 200), 5)
    content = (folder / "red" / "7.png").read_bytes()
    (folder / "red" / "7.png").write_bytes(content[: len(content) // 2])
    (folder / "blue" / "notes.txt").write_text("from the garden")
    return folder


def test_untidy_folder_ctrl_c_and_resume(photos, source, tmp_path, monkeypatch):
    out = tmp_path / "runs" / "finetune-photos"  # the default
    settings = ["--epochs=3", "--set=image_size=32", "--set=patience=0", "--seed=1", f"--model={source}"]
    monkeypatch.chdir(tmp_path)
    append = History.append

    def interrupted(self, row):
        append(self, row)
        if row["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(History, "append", interrupted)
        result = run("photos", *settings)
    assert result.exit_code == 130, result.stderr
    assert "--resume goes on" in result.stderr
    assert len(rows(out)) == 2

    result = run("photos", *settings, "--resume", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "goes on after step" in result.stderr
    assert [row["epoch"] for row in rows(out)] == ["1", "2", "3"]
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 2
    assert warnings[0] == "warning: photos: left out blue/notes.txt: no image"
    assert warnings[1].startswith(f"warning: {Path('photos', 'red', '7.png')}: cannot be read")
    assert "precision" in result.stderr and "recall" in result.stderr
    accuracy, *places = result.stdout.splitlines()
    assert re.fullmatch(r"validation accuracy [01]\.\d{4} \(4 images\)", accuracy)
    assert places == [
        f"confusion matrix {out / 'confusion.png'}",
        f"model {out / 'model.keras'}",
    ]
    assert (out / "confusion.png").stat().st_size > 0

    command = ["classify", str(photos / "blue" / "more"), "--model", str(out / "model.keras"), "--json"]
    lines = CliRunner().invoke(main, command).stdout.splitlines()
    assert len(lines) == 5
    for line in lines:
        assert sorted(entry["label"] for entry in json.loads(line)["predictions"]) == ["blue", "red"]

    again = run("photos", *settings)
    assert again.exit_code == 2
    place = Path("runs", "finetune-photos")
    assert again.stderr.splitlines()[-1].startswith(f"Error: {place} holds a run already: add --resume")


def rows(out):
    if not (out / "history.csv").exists():
        return []
    with open(out / "history.csv") as file:
        return list(csv.DictReader(file))


REFUSALS = """
import json, sys
from click.testing import CliRunner
from keras_nasnet.cli.main import main
for arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke(main, arguments)
    print(json.dumps([result.exit_code, result.stdout, result.stderr]))
print(sorted({"keras", "tensorflow", "torch", "jax"} & set(sys.modules)))
"""


def test_refusals_need_no_keras_and_leave_nothing(photos, source, tmp_path):
    """An untidy folder with an empty class among them: its one line comes before anything is trained."""
    (photos / "green").mkdir()
    wrong = {
        ("photos",): f"{Path('photos', 'green')}: no image in this class folder; add some or remove the class",
        ("nowhere",): "nowhere: no such folder",
        ("photos", "--model", "nasnet_z"): "choose from nasnet_a_cifar10",
        ("photos", "--model", "nothing.keras"): "nothing.keras: no such file",
        ("photos", "--set", "colour=red"): "no setting 'colour'",
        ("photos", "--epochs", "0"): "epochs is 0",
        ("",): "an argument is empty",
        ("photos", "--labels", "none.csv"): "none.csv: no such file",
        ("photos", "--labels", "photos/blue/notes.txt"): "notes.txt: no column path or filename",
    }
    before = sorted(tmp_path.iterdir())
    commands = json.dumps([["finetune", "--model", str(source), *arguments] for arguments in wrong])
    command = [sys.executable, "-c", REFUSALS, commands]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    *results, modules = done.stdout.splitlines()
    assert modules == "[]"
    for line, words in zip(results, wrong.values(), strict=True):
        code, output, errors = json.loads(line)
        assert (code, output) == (2, "")
        assert len(errors.splitlines()) == 1
        assert words in errors
    assert sorted(tmp_path.iterdir()) == before
