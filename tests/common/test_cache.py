"""The cache of compiled networks: made once, and never trusted."""

import hashlib
import os
import subprocess
import sys
import time

import pytest

from keras_nasnet.common import cache, files
from tests.support import ROOT

KEY = {"network": "abc", "engine": ["openvino", "1"], "precision": "f32"}


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    return tmp_path / "keras"


class Maker:
    """Counts how often something is made."""

    def __init__(self, content=b"content of a network"):
        self.content, self.made = content, 0

    def __call__(self, folder):
        self.made += 1
        (folder / "network").write_bytes(self.content)
        (folder / "metadata.json").write_text("{}")


def read(folder):
    return (folder / "network").read_bytes()


def folders(keras_home):
    return [path for path in (keras_home / "models/keras_nasnet/compiled").iterdir() if path.is_dir()]


def test_is_made_once(keras_home):
    maker = Maker()
    for _ in range(3):
        assert cache.cached("net", KEY, maker, read) == maker.content
    assert maker.made == 1
    [folder] = folders(keras_home)  # and nothing temporary is left
    check = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
    assert {name: digest for digest, name in check} == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.iterdir()
        if file.name != "SHA256SUMS"
    }


@pytest.mark.parametrize(
    "other",
    [{"network": "abd"}, {"engine": ["openvino", "2"]}, {"engine": ["litert", "1"]}, {"precision": "bf16"}],
)
def test_what_differs_in_anything_is_made_for_itself(other):
    maker = Maker()
    cache.cached("net", KEY, maker, read)
    cache.cached("net", KEY | other, maker, read)
    assert maker.made == 2


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-5])


def delete(file):
    file.unlink()


@pytest.mark.parametrize("damage", [flip, cut, delete])
@pytest.mark.parametrize("name", ["network", "metadata.json", "SHA256SUMS"])
def test_what_is_damaged_is_never_read_and_made_anew(keras_home, damage, name):
    maker = Maker()
    cache.cached("net", KEY, maker, read)
    damage(folders(keras_home)[0] / name)
    seen = []

    def watched(folder):
        seen.append(read(folder))
        return seen[-1]

    assert cache.cached("net", KEY, maker, watched) == maker.content
    assert (maker.made, seen) == (2, [maker.content])
    assert cache.cached("net", KEY, maker, read) == maker.content
    assert maker.made == 2


def test_a_list_of_sums_that_lacks_a_file_does_not_vouch_for_it(keras_home):
    maker = Maker()
    cache.cached("net", KEY, maker, read)
    sums = folders(keras_home)[0] / "SHA256SUMS"
    sums.write_text(sums.read_text().splitlines()[0] + "\n")
    cache.cached("net", KEY, maker, read)
    assert maker.made == 2


def test_what_its_runtime_does_not_take_is_made_anew():
    maker = Maker(b"old")
    cache.cached("net", KEY, maker, read)
    maker.content = b"new"

    def picky(folder):
        if read(folder) == b"old":
            raise RuntimeError("made for another machine")
        return read(folder)

    assert cache.cached("net", KEY, maker, picky) == b"new"
    assert cache.cached("net", KEY, maker, picky) == b"new"
    assert maker.made == 2


def test_what_cannot_be_made_leaves_nothing(keras_home):
    def fails(folder):
        (folder / "network").write_bytes(b"half")
        raise ValueError("no such model")

    with pytest.raises(ValueError, match="no such model"):
        cache.cached("net", KEY, fails, read)
    assert folders(keras_home) == []


def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    maker = Maker()
    for _ in range(2):
        assert cache.cached("net", KEY, maker, read) == maker.content
    assert maker.made == 2


PROCESS = """
import sys, time
from pathlib import Path
from keras_nasnet.common import cache, files

def make(folder):
    with open(sys.argv[1], "a") as file:
        file.write("made\\n")
    time.sleep(0.5)
    (folder / "network").write_bytes(b"content")

print(cache.cached("net", {"network": 1}, make, lambda folder: (folder / "network").read_text()))
"""


def test_of_processes_at_once_one_makes_it(tmp_path):
    log = tmp_path / "log"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, log], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["content\n"] * 4
    assert log.read_text() == "made\n"


def test_a_killed_process_keeps_nobody_waiting(tmp_path):
    log = tmp_path / "log"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    script = PROCESS.replace("0.5", "60")
    process = subprocess.Popen([sys.executable, "-c", script, log], env=environment)
    while not log.exists():
        time.sleep(0.01)
    process.kill()
    process.wait()
    maker = Maker()
    assert cache.cached("net", {"network": 1}, maker, read) == maker.content


def test_of_one_name_the_last_used_are_kept(keras_home, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 2)
    maker = Maker()
    for number in (1, 2):
        cache.cached("net", {"network": number}, maker, read)
    old = min(folders(keras_home), key=lambda path: path.stat().st_mtime)
    for folder in folders(keras_home):
        os.utime(folder, (1, 2) if folder != old else (1, 1))
    cache.cached("net", {"network": 1}, maker, read)  # used: now the newest
    cache.cached("other", {"network": 3}, maker, read)
    cache.cached("net", {"network": 4}, maker, read)
    made = maker.made
    cache.cached("net", {"network": 1}, maker, read)
    cache.cached("other", {"network": 3}, maker, read)
    assert maker.made == made
    cache.cached("net", {"network": 2}, maker, read)
    assert maker.made == made + 1


def test_clear_deletes_what_a_name_has(keras_home):
    maker = Maker()
    for name in ("net", "net_2"):
        cache.cached(name, KEY, maker, read)
    assert cache.clear("net") > len(maker.content)
    assert [folder.name.split(".")[0] for folder in folders(keras_home)] == ["net_2"]


def test_a_full_disk_keeps_nobody_from_a_result_where_another_has_room(keras_home, mount):
    mount(keras_home, "size=300k")
    maker = Maker(bytes(1_000_000))
    for _ in range(2):
        assert cache.cached("net", KEY, maker, read) == maker.content
    assert folders(keras_home) == []


def test_where_all_disks_are_full_it_is_said_in_a_line(keras_home, mount, tmp_path, monkeypatch):
    mount(keras_home, "size=300k")
    mount(tmp_path / "tmp", "size=300k")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))

    def fails(folder):
        try:
            (folder / "network").write_bytes(bytes(1_000_000))
        except OSError:
            raise RuntimeError("basic_ios::clear: iostream error") from None

    with pytest.raises(ValueError, match=r"are full: make room, or let KERAS_HOME or TMPDIR name") as error:
        cache.cached("net", KEY, fails, read)
    assert str(error.value).isprintable()
    assert folders(keras_home) == [] and os.listdir(tmp_path / "tmp") == []


def test_what_a_killed_process_left_goes_with_the_next(keras_home):
    left = keras_home / "models/keras_nasnet/compiled"
    maker = Maker()
    cache.cached("net", KEY, maker, read)
    (place,) = folders(keras_home)
    # As a process would have left it that does not live any more.
    name = f".{place.name}.{files._host()}.99999999.01234567.tmp"
    (left / name / "new").mkdir(parents=True)
    assert cache.names() == {"net"}
    delete(place / "network")
    cache.cached("net", KEY, maker, read)
    assert folders(keras_home) == [place]


def test_a_shared_cache_is_as_open_as_the_umask_says(keras_home):
    before = os.umask(0o022)
    try:
        cache.cached("net", KEY, Maker(), read)
    finally:
        os.umask(before)
    (place,) = folders(keras_home)
    assert place.stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in place.iterdir()} == {0o644}
