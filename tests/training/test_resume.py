"""Real processes that are killed, stopped and go on: the curve is that of a run nobody disturbed."""

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time

import pytest

from keras_nasnet.training.checkpoint import FILE, Checkpoint
from keras_nasnet.training.recipe import RECIPES
from tests.support.toy import NETWORK, write_npz

EPOCHS, BATCH, IMAGES = 3, 8, 96
STEPS = (IMAGES - 16) // BATCH
# All that is random or remembered: augmentation, cutout, drop path, auxiliary head, momentum, EMA, schedule.
RECIPE = dataclasses.replace(
    RECIPES["cifar10_cutout"],
    name="toy",
    network=NETWORK,
    epochs=EPOCHS,
    batch=BATCH,
    ema=0.9,
    held_out=16,
    cutout=8,
    dropout=0.1,
)
TIMES = ("images_per_second", "seconds")


def command(data, out, *more):
    recipe = data.with_suffix(".toml")
    if not recipe.exists():
        RECIPE.save(recipe)
    program = [sys.executable, "-m", "keras_nasnet.cli.main", "train", str(recipe)]
    return [*program, "--data", str(data), "--out", str(out), *more]


def start(data, out, *more):
    return subprocess.Popen(command(data, out, *more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(process, out, step):
    """Until the checkpoint is of this step or later."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        state = Checkpoint(out / FILE).progress()
        if state is not None and state["step"] >= step:
            return state["step"]
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint of step {step}: {process.stderr.read() if process.poll() is not None else ''}")


def rows(out):
    with open(out / "history.csv") as file:
        return [{name: text for name, text in row.items() if name not in TIMES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("data") / "toy.npz", train=IMAGES)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    subprocess.run(command(data, out), check=True, capture_output=True)
    return out


def test_a_run_killed_three_times_has_the_curve_of_one_that_was_not(data, undisturbed, tmp_path):
    out = tmp_path / "run"
    for step in (STEPS // 2, STEPS + 3, 2 * STEPS + 5):  # within the first, the second and the third epoch
        process = start(data, out, "--resume", "--checkpoint-seconds=0")
        wait_for_step(process, out, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    last = start(data, out, "--resume")
    errors = last.communicate()[1]
    assert last.returncode == 0, errors
    assert "goes on after step" in errors
    assert len(rows(out)) == EPOCHS
    assert rows(out) == rows(undisturbed)  # as text: to the last digit
    assert not list(out.glob("*.tmp"))


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_says_how_to_go_on(data, tmp_path, number):
    out = tmp_path / "run"
    process = start(data, out, "--set=epochs=500")
    wait_for_step(process, out, STEPS)  # the first epoch's end
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    line = errors.strip().splitlines()[-1]
    assert f"stopped by {number.name} after step" in line and "--resume" in line
    assert f"after step {Checkpoint(out / FILE).progress()['step']} of" in line
    assert "Traceback" not in errors


def test_resuming_with_other_settings_is_refused(data, undisturbed):
    for more, word in (([], "--resume"), (["--resume", "--set=seed=3"], "begun with seed = 0, not 3")):
        done = subprocess.run(command(data, undisturbed, *more), capture_output=True, text=True)
        assert done.returncode == 2 and word in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path):
    out = tmp_path / "run"
    settings = ["--set=learning_rate=1e30", "--set=clip_norm=0", "--set=schedule=constant"]
    done = subprocess.run(command(data, out, *settings), capture_output=True, text=True)
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    assert "the loss is nan at step" in line or "the loss is inf at step" in line
    assert f"batch 2 of {STEPS}" in line or f"batch 3 of {STEPS}" in line
    assert f"last good checkpoint is {out / FILE}, of step 0" in line
    assert Checkpoint(out / FILE).progress()["step"] == 0


def test_full_disk_is_said_in_one_line(data, tmp_path):
    out = tmp_path / "run"
    process = start(data, out, "--set=epochs=500")
    step = wait_for_step(process, out, STEPS)
    os.symlink("/dev/full", out / f"{FILE}.tmp")  # every write to it fails as on a full disk
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert "the disk is full" in errors.strip().splitlines()[-1] and "Traceback" not in errors
    assert Checkpoint(out / FILE).progress()["step"] >= step
