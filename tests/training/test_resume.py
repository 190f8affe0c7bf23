"""Runs of the command that are killed, stopped and go on: the curve is that of a run nobody disturbed."""

import csv
import dataclasses
import errno
import os
import signal
import time

import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.training import checkpoint as checkpoints
from keras_nasnet.training.checkpoint import FILE, Checkpoint
from keras_nasnet.training.recipe import RECIPES
from tests.support import ROOT
from tests.support.toy import TRAINED, write_npz

EPOCHS, BATCH, IMAGES = 2, 8, 96
STEPS = (IMAGES - 16) // BATCH
# All that is random or remembered: augmentation, cutout, drop path, auxiliary head, momentum, EMA, schedule.
RECIPE = dataclasses.replace(
    RECIPES["cifar10_cutout"],
    name="toy",
    network=TRAINED,
    epochs=EPOCHS,
    batch=BATCH,
    ema=0.9,
    held_out=16,
    cutout=8,
    dropout=0.1,
)
# A shorter graph, for runs that do not get far.
LESS = ("--set=auxiliary_weight=0", "--set=drop_path_rate=0", "--set=dropout=0")
MAIN = ROOT / "keras_nasnet" / "cli" / "main.py"
TIMES = ("images_per_second", "seconds")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    RECIPE.save(place / "toy.toml")
    return write_npz(place / "toy.npz", train=IMAGES)


def arguments(data, out, *more):
    return ["train", str(data.with_suffix(".toml")), "--data", str(data), "--out", str(out), *more]


def run(data, out, *more):
    """Runs the command in this process."""
    return CliRunner().invoke(main, arguments(data, out, *more))


def wait_for_step(process, out, step, log):
    """Waits until the checkpoint is of this step or later."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        state = Checkpoint(out / FILE).progress()
        if state is not None and state["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}: {log.read_text()}")


def rows(out):
    with open(out / "history.csv") as file:
        return [{name: text for name, text in row.items() if name not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert run(data, out).exit_code == 0
    return out


def test_a_process_that_is_killed_and_stopped_has_the_curve_of_one_that_was_not(server, data, undisturbed, tmp_path):
    out = tmp_path / "run"
    # Within the first and the second epoch.
    disturbances = [
        (STEPS // 2, signal.SIGKILL, -signal.SIGKILL),
        (STEPS + 3, signal.SIGTERM, 143),
    ]
    for step, number, code in disturbances:
        command = arguments(data, out, "--resume", "--checkpoint-seconds=0")
        log = tmp_path / f"{step}.log"
        process = server.start(MAIN, *command, log=log)
        wait_for_step(process, out, step, log)
        process.send_signal(number)
        assert process.wait() == code, log.read_text()
        errors = log.read_text()
        if number == signal.SIGTERM:
            line = errors.strip().splitlines()[-1]
            assert "stopped by SIGTERM after step" in line and "--resume" in line
            assert f"after step {Checkpoint(out / FILE).progress()['step']} of" in line
            assert "Traceback" not in errors
    last = run(data, out, "--resume")
    assert last.exit_code == 0, last.stderr
    assert "goes on after step" in last.stderr
    assert len(rows(out)) == EPOCHS
    assert rows(out) == rows(undisturbed)  # as text: to the last digit
    assert sorted(os.listdir(out)) == sorted(os.listdir(undisturbed))  # nothing half written is left


def test_a_finished_run_holds_all_it_should(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    assert names == {
        "checkpoint.safetensors",
        "confusion.png",
        "curves.png",
        "history.csv",
        "metrics.json",
        "model.keras",
        "recipe.toml",
        "tensorboard",
    }


def test_resuming_with_other_settings_is_refused(data, undisturbed):
    for more, word in (([], "--resume"), (["--resume", "--set=seed=3"], "begun with seed = 0, not 3")):
        done = run(data, undisturbed, *more)
        assert done.exit_code == 2 and word in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    out = tmp_path / "run"
    done = run(data, out, "--set=learning_rate=1e30", "--set=clip_norm=0", "--set=schedule=constant", *LESS)
    assert done.exit_code == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "the loss is nan at step" in line or "the loss is inf at step" in line
    assert f"batch 2 of {STEPS}" in line or f"batch 3 of {STEPS}" in line
    assert f"last good checkpoint is {out / FILE}, of step 0" in line
    assert Checkpoint(out / FILE).progress()["step"] == 0


def test_full_disk_is_said_in_one_line(data, tmp_path, monkeypatch):
    """The first checkpoint is written, that of the first epoch is not."""
    written = []
    write = checkpoints.write_bytes

    def fill_up(path, content, sync):
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write(path, content, sync)

    monkeypatch.setattr(checkpoints, "write_bytes", fill_up)
    done = run(data, tmp_path / "run", *LESS)
    assert done.exit_code == 1
    assert done.stderr.strip().splitlines()[-1] == (
        f"Error: {tmp_path / 'run'}: the disk is full: --resume goes on when that is mended; "
        f"the last checkpoint is {written[0]}"
    )
    assert "Traceback" not in done.stderr
    assert written == [tmp_path / "run" / FILE] and Checkpoint(written[0]).progress()["step"] == 0
