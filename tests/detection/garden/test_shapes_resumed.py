"""A detector learns generated shapes on the command line, is killed on the way, and goes on."""

import json
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

from keras_nasnet.training.history import read_history
from tests.support import SCRIPTS


@pytest.mark.slow  # three processes, 25 epochs in all: what learning takes
@pytest.mark.timeout(1800)
def test_shapes_are_learned_across_a_kill(tmp_path):
    data, run = tmp_path / "shapes", tmp_path / "run"
    subprocess.check_call([sys.executable, SCRIPTS / "make_shapes.py", data, "--images", "200", "--size", "128"])
    command = [sys.executable, "-m", "keras_nasnet.cli.main", "detect", "train", "--data", data, "--out", run]
    command += ["--size", "128", "--epochs", "25"]
    process = subprocess.Popen(command)
    while not len(list(run.glob("ckpt-*.index"))) >= 2:
        assert process.poll() is None, "the run ended before it had two checkpoints"
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    steps = max(int(file.name[5:-6]) for file in run.glob("ckpt-*.index"))
    interrupted = subprocess.Popen([*command, "--resume"], stderr=subprocess.PIPE, text=True)
    while not any(int(file.name[5:-6]) > steps for file in run.glob("ckpt-*.index")):
        assert interrupted.poll() is None, "the run ended before it had one more checkpoint"
        time.sleep(0.2)
    interrupted.send_signal(signal.SIGINT)
    stderr = interrupted.communicate()[1]
    assert interrupted.returncode == 130, stderr
    assert "stopped by SIGINT after step" in stderr.splitlines()[-1]
    steps = max(int(file.name[5:-6]) for file in run.glob("ckpt-*.index"))
    resumed = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert f"goes on after step {steps} of" in resumed.stderr
    rows = read_history(run / "history.csv")
    assert [row["step"] for row in rows] == sorted({row["step"] for row in rows})
    assert rows[-1]["step"] == 25 * 20
    found = json.loads((run / "results.json").read_text())
    assert found["AP50"] > 0.9
