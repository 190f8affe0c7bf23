"""Files and folders that appear when they are whole."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from keras_nasnet.common.files import (
    check_room,
    leftovers,
    replacing,
    replacing_folder,
    temporary_folder,
    write_bytes,
    write_text,
)

# Writes half a file and half a folder, says so, and waits to be killed.
HALF = """
import sys, time
from keras_nasnet.common.files import replacing, replacing_folder
with replacing(sys.argv[1]) as temporary, replacing_folder(sys.argv[2]) as folder:
    temporary.write_text("half")
    (folder / "half").touch()
    print("written", flush=True)
    time.sleep(60)
"""


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "new folder" / "file.keras"
    with replacing(path) as temporary:
        assert temporary.suffix == ".keras" and temporary.parent == path.parent
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(path.parent) == ["file.keras"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "file.txt"
    write_text(path, "old", sync=True)
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_files_have_the_mode_that_the_umask_leaves(tmp_path):
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "file", b"data")
        with replacing(tmp_path / "private") as temporary:  # as some libraries write
            os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY, 0o600))
        with temporary_folder(tmp_path / "folder") as folder:
            mode = folder.stat().st_mode
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "private").stat().st_mode & 0o777 == 0o644
    assert mode & 0o777 == 0o755
    assert sorted(os.listdir(tmp_path)) == ["file", "private"]


def test_a_kill_leaves_what_was_there_and_the_next_write_tidies_up(tmp_path):
    path, folder = tmp_path / "file [1].txt", tmp_path / "folder.d"
    write_text(path, "old")
    with replacing_folder(folder) as new:
        (new / "old").touch()
    process = subprocess.Popen([sys.executable, "-c", HALF, path, folder], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "written\n"
    assert not leftovers(path) and not leftovers(folder)  # of a process that lives
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.read_text() == "old" and os.listdir(folder) == ["old"]
    assert len(leftovers(path)) == len(leftovers(folder)) == 1
    write_text(path, "new")
    with replacing_folder(folder) as new:
        (new / "new").touch()
    assert sorted(os.listdir(tmp_path)) == [path.name, folder.name] and os.listdir(folder) == ["new"]


def test_two_writes_of_one_process_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_a_folder_replaces_the_one_before(tmp_path):
    folder = tmp_path / "folder"
    for text in ("one", "two"):
        with replacing_folder(folder) as new:
            (new / text).touch()
    assert os.listdir(folder) == ["two"]
    with pytest.raises(ValueError), replacing_folder(folder) as new:
        (new / "three").touch()
        raise ValueError
    assert os.listdir(folder) == ["two"] and os.listdir(tmp_path) == ["folder"]


def test_a_name_that_fits_the_disk_can_be_written(tmp_path):
    for name in ("n" * 255, "n" * 235 + ".safetensors", "ß" * 127, f"a.{'x' * 200}"):
        write_text(tmp_path / name, "text")
        assert os.listdir(tmp_path) == [name]
        (tmp_path / name).unlink()


def test_processes_that_count_alike_elsewhere_have_other_names(tmp_path, monkeypatch):
    """In two containers on one folder both may be process 1: neither name nor tidying up may meet."""
    path = tmp_path / "file"
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # that no process of this machine has
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"
    other = tmp_path / ".file.another-machine.4194305.0123abcd.tmp"
    other.touch()
    assert leftovers(path) == []
    os.utime(other, (0, 0))
    assert leftovers(path) == [other]


def test_room_is_looked_for_before_it_is_needed(tmp_path):
    check_room(tmp_path, 1)
    with pytest.raises(OSError) as caught:
        check_room(tmp_path, 2**62)
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert os.listdir(tmp_path) == []
