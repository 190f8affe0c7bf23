"""The command `keras-nasnet evaluate`: a row or a line of JSON for each model, refusals, Ctrl-C."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet import Block, CellSpec, Genotype, NASNet, zoo
from keras_nasnet.cli.main import main
from tests.support import environment
from tests.support.eager import eagerly

CLASSES = list(zoo.info("nasnet_a_cifar10").class_names)
CELL = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((2,),))


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def refusal(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr.removeprefix("Error: ").strip()


@pytest.fixture
def folder(tmp_path):
    """Two images of noise for each class of CIFAR-10."""
    random = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(2):
            pixels = random.integers(0, 256, (40, 44, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    NASNet(Genotype(CELL, CELL), 1, 96, stem="cifar", classes=10, class_names=CLASSES[::-1]).save(path)
    return str(path)


def test_a_row_for_each_model(folder, tiny):
    with eagerly():
        result = run("nasnet_a_cifar10", tiny, "--data", folder, "--crop", 0.5, "--size", 40)
        expected = zoo.evaluate(tiny, folder, crop=0.5, size=40)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()]
    assert rows[0][:8] == ["model", "data", "images", "pixels", "crop", "top-1", "top-5", "ECE"]
    assert set(rows[1]) == {"---"}
    assert [row[:5] for row in rows[2:]] == [
        [name, str(folder), "20", "40x40", "0.5"] for name in ("nasnet_a_cifar10", tiny)
    ]
    assert rows[3][5:8] == [f"{100 * expected.top1:.2f} %", f"{100 * expected.top5:.2f} %", f"{expected.ece:.4f}"]
    assert rows[2][9] == "0.46M"
    assert len({len(row) for row in rows}) == 1


def test_what_is_left_out_and_that_some_classes_are_measured(folder, tiny):
    for name in CLASSES[3:]:
        (folder / name).rename(folder.parent / name)
    (folder / "cat.txt").write_text("x")
    (folder / "bird" / "notes.txt").write_text("x")
    with eagerly():
        result = run(tiny, "--data", folder)
    assert result.exit_code == 0
    assert result.stderr == f"warning: {folder}: left out bird/notes.txt: no image\n"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines()]
    assert [row[1] for row in rows[2:]] == [
        f"{folder}, 3 of 10 classes",
        f"{folder}, 3 of 10 classes, restricted to these",
    ]


def test_labels_from_a_table(folder, tiny, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    lines = ["file,class"]
    for name in CLASSES[:4]:
        for number in range(2):
            (folder / name / f"{number}.png").rename(flat / f"{name}-{number}.png")
            lines.append(f"{name}-{number},{name}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    with eagerly():
        result = run(tiny, "--data", flat, "--labels", tmp_path / "labels.csv", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["images"], found["classes"]) == (8, 4)
    assert [entry["images"] for entry in found["per_class"]] == [0] * 6 + [2] * 4


def test_json(folder, tiny):
    result = run(tiny, tiny, "--data", folder, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first | {"images_per_second": 0} == second | {"images_per_second": 0}
    assert [entry["name"] for entry in first["per_class"]] == CLASSES[::-1]
    assert [entry["images"] for entry in first["per_class"]] == [2] * 10
    assert sum(entry["recall"] for entry in first["per_class"]) / 10 == pytest.approx(first["top1"])
    assert [first[key] for key in ("model", "data", "images", "split")] == [tiny, str(folder), 20, None]


# === Refused ===


def test_what_is_refused(folder, tiny, tmp_path):
    assert refusal("nasnet_a_cifar10", "nasnet_z", "--data", folder).startswith("no model is called 'nasnet_z'")
    assert refusal("nasnet_a_cifar10", "--data", tmp_path / "nowhere").startswith(
        f"{tmp_path / 'nowhere'}: no such folder"
    )
    broken = folder / "ship" / "0.png"
    broken.write_bytes(broken.read_bytes()[:500])
    assert refusal(tiny, "--data", folder).startswith(f"{broken}: cannot be read")
    assert run("nasnet_a_cifar10").exit_code == 2


def test_refusals_need_no_keras(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pruned" / "yak").mkdir(parents=True)
    (folder / "cat" / "0.png").rename(tmp_path / "pruned" / "yak" / "0.png")
    (tmp_path / "none" / "cat").mkdir(parents=True)
    cases = (
        (["nasnet_z", "--data", folder], "no model is called"),
        (["nasnet_a_cifar10", "--data", "empty"], "no class folders"),
        (["nasnet_a_cifar10", "--data", "none"], "none: no image in its class folders"),
        (["nasnet_a_cifar10", "--data", "pruned"], "the model does not know its class 'yak'"),
        (["nasnet_a_cifar10", "--data", folder, "--labels", "none.csv"], "none.csv: no such file"),
        (["nasnet_a_cifar10", "--data", folder, "--label-columns", "path"], "give two names of columns"),
        (["nasnet_a_cifar10", "--data", ""], "an argument is empty"),
        (["nasnet_a_cifar10", "--data="], "an argument is empty"),
        (["nasnet_a_mobile_keras_no_top", "--data", "pruned"], "has no classifier"),
        (["nasnet_a_cifar10", "--data", "pruned", "--crop", "0"], "crop is 0.0"),
        (["nasnet_a_cifar10", "--data", "pruned", "--batch", "0"], "batch is 0"),
        (["--help"], ""),
    )
    code = (
        "import json, sys; from click.testing import CliRunner; from keras_nasnet.cli.main import main\n"
        "for case in json.loads(sys.argv[1]):\n"
        "    done = CliRunner().invoke(main, ['evaluate', *case])\n"
        "    print(json.dumps([done.exit_code, done.stderr]))\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, json.dumps([list(map(str, arguments)) for arguments, _ in cases])]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=True)
    *outcomes, imported = result.stdout.splitlines()
    assert imported == "[]"
    for (arguments, word), outcome in zip(cases, map(json.loads, outcomes), strict=True):
        assert outcome[0] == (0 if arguments == ["--help"] else 2)
        assert word in outcome[1]


# === Ctrl-C ===


# The command with a network that needs no Keras, which takes seconds to import.
STAND_IN = """
import sys
from unittest.mock import MagicMock
import numpy as np
from keras_nasnet.cli.main import main
from keras_nasnet.zoo import evaluation, loading
class Network:
    class_names, input_shape = loading.entry("nasnet_a_cifar10").class_names, (None, 32, 32, 3)
    preprocessing = loading.entry("nasnet_a_cifar10").preprocessing
    def get_config(self): return {"include_top": True, "classes": 10}
    def preprocess(self, pixels): return pixels
    def predict_on_batch(self, inputs): return np.full((len(inputs), 10), 0.1)
sys.modules["keras_nasnet.common.hardware"] = MagicMock()  # it asks Keras
loading.load = lambda name, class_names: Network()
evaluation._network = lambda network, preprocessing: network
main(sys.argv[1:])
"""


def test_progress_and_ctrl_c(folder):
    for name in CLASSES:
        for number in range(1, 400):
            os.link(folder / name / "0.png", folder / name / f"more_{number}.png")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    command = [sys.executable, "-c", STAND_IN, "evaluate", "nasnet_a_cifar10", "--data", str(folder)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    os.close(theirs)
    shown = b""
    try:
        while not re.search(rb" [1-9]\d*/4010", shown):  # some are counted
            shown += os.read(ours, 1000)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # it has closed its end
            while True:
                shown += os.read(ours, 1000)
        assert process.wait(60) == 130
    finally:
        process.kill()
        os.close(ours)
    assert process.stdout.read() == b""
    lines = shown.decode().replace("\r", "\n").split("\n")
    assert [line for line in lines if line.strip()][-1].strip() == "Error: stopped by SIGINT"
    assert "Traceback" not in shown.decode()
