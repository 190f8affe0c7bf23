"""A run's history: the file, TensorBoard and the progress on stderr, also after kills."""

import fcntl
import io
import math
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest

from keras_nasnet.training import history as module
from keras_nasnet.training.history import COLUMNS, History, Progress, duration, read_history


def row(epoch, steps=10, **changes):
    return {
        "epoch": epoch,
        "step": epoch * steps,
        "loss": 1 / epoch,
        "accuracy": 1 - 1 / (epoch + 1),
        "validation_loss": 1.1 / epoch,
        "validation_accuracy": 0.9 - 1 / (epoch + 1),
        "learning_rate": 0.1,
        "images_per_second": 512.0,
        "seconds": 3.5,
    } | changes


def scalars(folder, run, tag):
    """Steps and values that TensorBoard itself shows."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard" / run)).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def shown(rows, column):
    return [(row["step"], np.float32(row[column])) for row in rows]


# === The file ===


def test_rows_are_read_back_exactly(tmp_path):
    rows = [
        row(1, loss=0.1 + 0.2, validation_loss=None, validation_accuracy=None),
        row(2, step=np.int64(20), loss=np.float32(0.1), learning_rate=1e-17),
        row(3, loss=float("inf")),
    ]
    with History(tmp_path / "run") as history:
        for one in rows:
            history.append(one)
    text = (tmp_path / "run" / "history.csv").read_text()
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert text.splitlines()[1].startswith("1,10,0.30000000000000004,0.5,,,0.1,")
    again = History(tmp_path / "run").rows
    assert again == history.rows == rows
    assert isinstance(again[1]["step"], int) and again[1]["loss"] == float(np.float32(0.1))
    assert sorted(os.listdir(tmp_path / "run")) == ["history.csv", "tensorboard"]


def test_nan_loss_is_kept(tmp_path):
    with History(tmp_path) as history:
        history.append(row(1, loss=float("nan")))
    assert math.isnan(History(tmp_path).rows[0]["loss"])


def test_columns_of_ones_own(tmp_path):
    with History(tmp_path, ("step", "epoch", "auxiliary_loss")) as history:
        history.append({"epoch": 1, "step": 5, "auxiliary_loss": 2.5})
    assert history.path.read_text() == "step,epoch,auxiliary_loss\n5,1,2.5\n"
    with pytest.raises(ValueError, match="has columns step, epoch, auxiliary_loss, not epoch, step, loss"):
        History(tmp_path)


def test_what_is_returned_is_a_copy(tmp_path):
    with History(tmp_path) as history:
        history.append(row(1))
    history.rows[0]["loss"] = 9
    history.rows.clear()
    assert history.rows == [row(1)]


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (row(1), "a row of step 10 follows one of step 20: call truncate or restore first"),
        (row(2), "a row of step 20 follows one of step 20"),
        ({"epoch": 3, "step": 30}, "a row has columns epoch, step: it must have epoch, step, loss"),
        (row(3, extra=1), "extra"),
        (row(3, loss="much"), "loss is 'much': it must be a number"),
        (row(3) | {"epoch": None}, "epoch is None"),
    ],
)
def test_wrong_rows_are_refused_and_change_nothing(tmp_path, bad, word):
    with History(tmp_path) as history:
        history.append(row(1))
        history.append(row(2))
        before = history.path.read_bytes()
        with pytest.raises(ValueError, match=word):
            history.append(bad)
        with pytest.raises(ValueError, match=word):
            history.restore([row(1), row(2), bad])
    assert history.path.read_bytes() == before
    assert scalars(tmp_path, "train", "loss") == shown([row(1), row(2)], "loss")


@pytest.mark.parametrize("columns", [("epoch", "loss"), ("epoch", "step", "step")])
def test_columns_must_hold_epoch_and_step(tmp_path, columns):
    with pytest.raises(ValueError, match="epoch and step among them"):
        History(tmp_path, columns)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "its first line must name the columns"),
        (b"a,b\n1,2\n", "its first line must name the columns"),
        (b"epoch,step,loss\n1,10,0.5\n2,20\n", "line 3: not 3 numbers"),
        (b"epoch,step,loss\n1,10,half\n", "line 2: not 3 numbers"),
        (b"epoch,step,loss\n1,,0.5\n", "line 2: not 3 numbers"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, content, word):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(ValueError, match=word) as error:
        History(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.csv: no such file"):
        read_history(tmp_path / "nothing.csv")


# === Resume ===


def test_truncate_drops_later_rows_everywhere(tmp_path):
    with History(tmp_path) as history:
        for epoch in (1, 2, 3, 4):
            history.append(row(epoch, loss=9.0))
    with History(tmp_path) as history:
        history.truncate(25)  # a checkpoint within the third epoch
        assert read_history(history.path) == history.rows == [row(1, loss=9.0), row(2, loss=9.0)]
        assert scalars(tmp_path, "train", "loss") == [(10, 9.0), (20, 9.0)]
        history.append(row(3))
        history.append(row(4))
    expected = [row(1, loss=9.0), row(2, loss=9.0), row(3), row(4)]
    assert read_history(history.path) == expected
    for run, tag, column in [
        ("train", "loss", "loss"),
        ("train", "learning_rate", "learning_rate"),
        ("validation", "loss", "validation_loss"),
        ("validation", "accuracy", "validation_accuracy"),
    ]:
        assert scalars(tmp_path, run, tag) == shown(expected, column)


def test_truncate_at_the_last_step_changes_nothing(tmp_path):
    with History(tmp_path) as history:
        history.append(row(1))
        before = history.path.read_bytes()
        history.truncate(10)
        history.append(row(2))
    assert history.path.read_bytes().startswith(before)
    assert scalars(tmp_path, "train", "accuracy") == shown([row(1), row(2)], "accuracy")


@pytest.mark.parametrize(
    "old", [[], [row(1)], [row(1), row(2), row(3), row(4)], [row(1), row(2, loss=7.0), row(3)]], ids=len
)
def test_restore_makes_the_checkpoints_rows_the_history(tmp_path, old):
    """The file may lack rows of the checkpoint, have later ones, or other ones."""
    with History(tmp_path) as history:
        for one in old:
            history.append(one)
    with History(tmp_path) as history:
        history.restore([row(1), row(2)])
        history.append(row(3))
    expected = [row(1), row(2), row(3)]
    assert read_history(history.path) == expected
    assert scalars(tmp_path, "train", "loss") == shown(expected, "loss")
    assert scalars(tmp_path, "validation", "loss") == shown(expected, "validation_loss")


def test_restore_of_nothing_begins_anew(tmp_path):
    with History(tmp_path) as history:
        history.append(row(1, loss=9.0))
        history.restore([])
        assert read_history(history.path) == history.rows == []
        history.append(row(1))
    assert scalars(tmp_path, "train", "loss") == shown([row(1)], "loss")


def test_validation_columns_without_values_make_no_scalars(tmp_path):
    with History(tmp_path) as history:
        history.append(row(1, validation_loss=None, validation_accuracy=None))
        history.append(row(2))
    assert scalars(tmp_path, "validation", "loss") == shown([row(2)], "validation_loss")


RUN = """
import json, os, pathlib, sys
from keras_nasnet.training.history import History, COLUMNS

folder = pathlib.Path(sys.argv[1])
checkpoint = folder / "checkpoint.json"
rows = json.loads(checkpoint.read_text()) if checkpoint.exists() else []
history = History(folder)
history.restore(rows)
for epoch in range(len(rows) + 1, 201):
    row = dict.fromkeys(COLUMNS, 1.0 / epoch) | {"epoch": epoch, "step": 10 * epoch}
    if epoch % 2:  # the checkpoint before the row, and after it
        history.append(row)
    rows.append(row)
    temporary = checkpoint.with_suffix(".tmp")
    temporary.write_text(json.dumps(rows))
    os.replace(temporary, checkpoint)
    if not epoch % 2:
        history.append(row)
print("done", flush=True)
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
"""


def test_killed_at_any_moment_no_row_is_lost_or_doubled(tmp_path):
    kills = 0
    for attempt in range(60):
        process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        before = (tmp_path / "checkpoint.json").stat().st_mtime_ns if (tmp_path / "checkpoint.json").exists() else 0
        deadline = time.monotonic() + 60
        # Killed a little after it has written its first checkpoint, later each time.
        while process.poll() is None and time.monotonic() < deadline:
            path = tmp_path / "checkpoint.json"
            if kills < 5 and path.exists() and path.stat().st_mtime_ns != before:
                time.sleep(0.0131 * kills)
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.0005)
        output, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            assert output == "done\n"
            break
        assert process.returncode == -signal.SIGKILL, f"attempt {attempt}"
        kills += 1
        for one, two in zip(rows := read_history(tmp_path / "history.csv"), rows[1:], strict=False):
            assert two["step"] == one["step"] + 10
    assert kills == 5
    rows = read_history(tmp_path / "history.csv")
    assert [row["epoch"] for row in rows] == list(range(1, 201))
    for run in ("train", "validation"):
        assert scalars(tmp_path, run, "loss") == shown(rows, "loss")


FULL_DISK = """
import resource, sys
from keras_nasnet.training.history import History, COLUMNS

history = History(sys.argv[1])
row = lambda epoch: dict.fromkeys(COLUMNS, 0.123456789 / epoch) | {"epoch": epoch, "step": epoch}
for epoch in range(1, 21):
    history.append(row(epoch))
history.close()
size = history.path.stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, size + 10))  # no file can grow beyond it
try:
    history.append(row(21))
except OSError as error:
    print(len(history.rows), error.errno)
"""


def test_a_full_disk_loses_nothing(tmp_path):
    result = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True)
    assert result.stdout.startswith("20 "), result.stderr
    assert len(read_history(tmp_path / "history.csv")) == 20
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["history.csv"]


def test_imports_no_framework(tmp_path):
    code = (
        "import sys; from keras_nasnet.training.history import *\n"
        "with History(sys.argv[1]) as history: history.append(dict.fromkeys(COLUMNS, 1))\n"
        "with Progress(1, 1, 1) as progress:\n"
        "    progress.begin_epoch(); progress.update(); progress.end_epoch(history.rows[0])\n"
        # Not PyTorch: where it is installed, tensorboardX imports it.
        "print(sorted({'tensorflow', 'keras', 'jax'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
    assert scalars(tmp_path, "train", "loss") == [(1, 1.0)]


# === Progress ===


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now

    time = monotonic


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_one_line_for_each_epoch(clock):
    file = io.StringIO()
    with Progress(epochs=3, steps=4, batch=128, file=file) as progress:
        for epoch in (1, 2, 3):
            progress.begin_epoch()
            for step in range(4):
                clock.now += 30.0 if (epoch, step) == (1, 0) else 0.25  # the first step compiles
                progress.update(loss=1.2, accuracy=0.5)
            clock.now += 60  # validation
            values = {"loss": 1.2344, "accuracy": 0.567, "validation_accuracy": 0.543}
            progress.end_epoch(values | {"images_per_second": progress.images_per_second})
    # 3 steps in 60.75 s, 8 left: 162 s; then 7 steps in 121.75 s, 4 left: 69.6 s
    assert file.getvalue().splitlines() == [
        "epoch 1/3  loss 1.234  accuracy 0.567  validation 0.543  512 images/s  3 min left",
        "epoch 2/3  loss 1.234  accuracy 0.567  validation 0.543  512 images/s  1 min left",
        "epoch 3/3  loss 1.234  accuracy 0.567  validation 0.543  512 images/s",
    ]


def test_goes_on_within_an_epoch(clock):
    file = io.StringIO()
    progress = Progress(epochs=20, steps=100, batch=10, initial_step=250, file=file)
    progress.begin_epoch()
    assert progress.seconds_left is None and progress.images_per_second == 0
    for _ in range(50):
        clock.now += 1
        progress.update()
    assert progress.step == 300
    assert progress.seconds_left == 1700
    assert progress.images_per_second == 10
    progress.end_epoch({"loss": 1.0, "accuracy": 0.25, "validation_accuracy": None, "images_per_second": 9.96})
    assert file.getvalue() == "epoch 3/20  loss 1.000  accuracy 0.250  10.0 images/s  28 min left\n"
    progress.begin_epoch()
    progress.update(steps=100)
    progress.end_epoch({"loss": float("nan")})
    assert file.getvalue().splitlines()[1].startswith("epoch 4/20  loss nan")


def test_an_epoch_of_one_step(clock):
    file = io.StringIO()
    with Progress(epochs=2, steps=1, batch=4, file=file) as progress:
        for _ in range(2):
            progress.begin_epoch()
            clock.now += 2
            progress.update()
            progress.end_epoch({"loss": 1, "accuracy": 1, "images_per_second": progress.images_per_second})
    assert (
        file.getvalue()
        == "epoch 1/2  loss 1.000  accuracy 1.000\nepoch 2/2  loss 1.000  accuracy 1.000  2.0 images/s\n"
    )


@pytest.mark.parametrize("numbers", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 3, 1, 7), (2, 3, 1, -1)])
def test_wrong_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match=r"from 1 up|between 0 and 6"):
        Progress(*numbers)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (720, "12 min"),
        (3570, "1 h 0 min"),
        (12000, "3 h 20 min"),
        (86399, "1 d 0 h"),
        (187200, "2 d 4 h"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


TERMINAL = """
import time
from keras_nasnet.training.history import Progress

with Progress(epochs=2, steps=20, batch=8, initial_step=30) as progress:
    progress.begin_epoch()
    for _ in range(10):
        time.sleep(0.15)
        progress.update(loss=0.25, accuracy=0.75)
    progress.end_epoch({"loss": 0.25, "accuracy": 0.75, "validation_accuracy": 0.5, "images_per_second": 53.0})
"""


def test_a_terminal_shows_a_bar_and_keeps_the_line():
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen([sys.executable, "-c", TERMINAL], stderr=theirs)
    os.close(theirs)
    output = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side closes
            break
        if not piece:
            break
        output += piece
    os.close(ours)
    assert process.wait(timeout=60) == 0
    pieces = output.decode().replace("\r\n", "\n").split("\r")
    assert pieces[-1] == "epoch 2/2  loss 0.250  accuracy 0.750  validation 0.500  53 images/s\n"
    bars = [piece for piece in pieces if "%" in piece]
    assert re.search(r"epoch 2/2\s+50%\|.*\| 10/20", bars[0])
    pattern = r"epoch 2/2\s+\d+%\|.*\| 1\d/20  loss 0\.250  accuracy 0\.750  \d+ images/s  \d+ s left"
    assert any(re.search(pattern, bar) for bar in bars), bars
    assert pieces[-2].strip() == ""  # the bar is wiped out
