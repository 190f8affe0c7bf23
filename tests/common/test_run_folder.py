"""One command at a time writes a folder; what is not written leaves nothing behind."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from keras_nasnet.common import run_folder as module
from keras_nasnet.common.run_folder import LOCK, MARKERS, SEARCH, TRAINING, check, output, run_folder

# Holds a folder and a file, says so, and waits to be killed.
HOLDING = """
import sys, time
from keras_nasnet.common.run_folder import TRAINING, output, run_folder
with run_folder(sys.argv[1], TRAINING), output(sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_in_one_line_until_the_first_is_killed(tmp_path):
    folder, file = tmp_path / "runs" / "one", tmp_path / "features.npz"
    process = subprocess.Popen([sys.executable, "-c", HOLDING, folder, file], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    words = rf"is being written by process {process.pid} on .* \(.*\): wait for it, or choose another name"
    for attempt in (lambda: run_folder(folder, TRAINING), lambda: output(file)):
        with pytest.raises(ValueError, match=words), attempt():
            pass
    with pytest.raises(ValueError, match=words):
        check(folder, TRAINING)
    assert process.poll() is None and os.listdir(folder) == [LOCK]
    process.send_signal(signal.SIGKILL)
    process.wait()
    check(folder, TRAINING)
    with run_folder(folder, TRAINING), output(file):
        (folder / "history.csv").touch()
        file.touch()
    assert os.listdir(folder) == ["history.csv"] and sorted(os.listdir(tmp_path)) == ["features.npz", "runs"]


def test_one_process_cannot_hold_a_folder_twice(tmp_path):
    with run_folder(tmp_path / "run", TRAINING):
        with pytest.raises(ValueError, match=f"process {os.getpid()} on"), run_folder(tmp_path / "run", TRAINING):
            pass
        with run_folder(tmp_path / "other", TRAINING):
            pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_wrote_nothing_leaves_nothing(tmp_path, error):
    (tmp_path / "there").mkdir()
    for place in ("new/deep/run", "there/run", "run"):
        with pytest.raises(error), run_folder(tmp_path / place, TRAINING):
            assert (tmp_path / place).is_dir()
            raise error
        with pytest.raises(error), output(tmp_path / place / "file.onnx"):
            raise error
    assert os.listdir(tmp_path) == ["there"] and os.listdir(tmp_path / "there") == []


def test_what_was_prepared_for_a_run_that_did_not_begin_goes(tmp_path):
    (tmp_path / "mine").mkdir()
    for name in ("new", "mine"):
        with pytest.raises(ValueError), run_folder(tmp_path / name, TRAINING):
            (tmp_path / name / "records").mkdir()
            raise ValueError
    assert os.listdir(tmp_path) == ["mine"] and os.listdir(tmp_path / "mine") == ["records"]


def test_what_was_written_stays_after_an_error(tmp_path):
    with pytest.raises(ValueError), run_folder(tmp_path / "run", TRAINING):
        (tmp_path / "run" / "checkpoint.safetensors").touch()
        raise ValueError
    assert os.listdir(tmp_path / "run") == ["checkpoint.safetensors"]


@pytest.mark.parametrize("marker", MARKERS)
def test_each_kind_of_run_has_a_folder_of_its_own(tmp_path, marker):
    (tmp_path / marker).touch()
    for kind in set(MARKERS.values()):
        if kind == MARKERS[marker]:
            with run_folder(tmp_path, kind):
                pass
            continue
        with pytest.raises(ValueError, match=f"{tmp_path} holds {MARKERS[marker]}: choose another folder"):
            check(tmp_path, kind)
        with pytest.raises(ValueError, match="choose another folder"), run_folder(tmp_path, kind):
            pass
    assert os.listdir(tmp_path) == [marker]


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="a file, not a folder for a run"):
        check(tmp_path / "file", SEARCH)
    with pytest.raises(OSError), output(tmp_path / "file" / "x"):
        pass


def test_where_there_are_no_locks_it_is_said_and_the_run_goes_on(tmp_path, monkeypatch, capsys):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(module.fcntl, "flock", no_locks)
    check(tmp_path / "run", TRAINING)
    with run_folder(tmp_path / "run", TRAINING):
        assert "no locks on this file system" in capsys.readouterr().err
        assert os.listdir(tmp_path / "run") == []


def test_a_lock_that_its_holder_has_deleted_is_not_the_lock(tmp_path, monkeypatch):
    """Between opening and locking, the holder ends, and a third makes a new file."""
    lock = module.fcntl.flock
    swapped = []

    def swap(descriptor, how):
        if not swapped:
            swapped.append(1)
            (tmp_path / "run" / LOCK).unlink()
        lock(descriptor, how)

    monkeypatch.setattr(module.fcntl, "flock", swap)
    with run_folder(tmp_path / "run", TRAINING):
        assert (tmp_path / "run" / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="cannot be written"), run_folder(tmp_path / "run", TRAINING):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_long_names_have_locks(tmp_path):
    path = tmp_path / ("x" * 250)
    with output(path):
        path.touch()
    assert os.listdir(tmp_path) == [path.name]
