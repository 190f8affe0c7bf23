"""Stores where SQLite's write-ahead log cannot be: on network file systems, and on media that cannot be written."""

import contextlib
import shutil
import sqlite3
import subprocess

import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.search.store import journal
from keras_nasnet.search.store.journal import network_file_system
from keras_nasnet.search.store.store import FILE, Store
from tests.support.small_search import history, make_plan, search

_LINE = "{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} source rw"


@pytest.fixture
def mount(tmp_path, monkeypatch):
    """Lets the table of mounts say that a folder lies on a file system of some type."""

    def says(folder, kind):
        table = tmp_path / "mountinfo"
        lines = [("/", "ext4"), (str(folder).replace(" ", r"\040"), kind)]
        table.write_text(
            "\n".join(_LINE.format(number=n, point=point, kind=kind) for n, (point, kind) in enumerate(lines))
        )
        monkeypatch.setattr(journal, "MOUNTS", table)

    return says


def journal_mode(folder):
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


def interrupted(folder):
    """A search whose process was killed: its last changes are in the log."""
    search(folder / "whole", make_plan(budget=3))
    store = Store.open(folder / "whole" / FILE)
    store.event("stop", "in the log")
    shutil.copytree(folder / "whole", folder / "run")  # as a kill would leave it: the log was not taken in
    store.close()
    (folder / "run" / f"{FILE}-shm").unlink(missing_ok=True)
    assert (folder / "run" / f"{FILE}-wal").stat().st_size
    return folder / "run"


# === What a folder lies on ===


@pytest.mark.parametrize(
    "kind",
    [
        *(
            "nfs",
            "nfs4",
            "cifs",
            "smb3",
            "9p",
            "virtiofs",
            "fuse.sshfs",
            "fuse.s3fs",
            "fuse",
            "lustre",
            "gpfs",
            "beegfs",
        ),
        *("ceph", "afs", "glusterfs", "fuse.glusterfs", "ocfs2", "gfs2", "davfs", "vboxsf", "orangefs", "wekafs"),
    ],
)
def test_a_network_file_system_is_known_by_its_type(mount, tmp_path, kind):
    folder = tmp_path / "shared folder"
    mount(folder, kind)
    assert network_file_system(folder / "runs" / "not there yet") == kind
    assert network_file_system(folder) == kind
    assert network_file_system(tmp_path / "shared") is None


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "zfs", "apfs", "fuseblk", "fuse.ntfs-3g"])
def test_a_disk_of_this_machine_is_none(mount, tmp_path, kind):
    mount(tmp_path, kind)
    assert network_file_system(tmp_path) is None


def test_the_last_and_the_longest_mount_decides(tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
        "23 22 0:5 / /data rw - nfs4 server:/ rw\n"
        "24 23 8:2 / /data/local rw shared:3 master:2 - xfs /dev/sdb rw\n"
        "25 23 8:2 / /data/twice rw - xfs /dev/sdb rw\n"
        "26 25 0:9 / /data/twice rw - cifs //server/x rw\n"
        "a line that says nothing\n"
    )
    places = {"/data": "nfs4", "/data/x": "nfs4", "/data/locals": "nfs4", "/data/twice/x": "cifs"}
    places |= {"/database": None, "/data/local/x": None, "/x": None}
    assert {place: network_file_system(place, table) for place in places} == places
    assert network_file_system("/x", tmp_path / "none") is None, "another system"


def test_a_link_to_a_network_file_system_counts_as_one(mount, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far")
    mount(tmp_path / "far", "nfs")
    assert network_file_system(tmp_path / "near" / "run") == "nfs"


# === Searches on network file systems ===


def test_a_search_on_a_network_file_system_has_no_log_and_is_watched_while_it_runs(mount, tmp_path):
    run = tmp_path / "run"
    mount(run, "nfs4")
    seen = []

    def watch(store):
        with Store.open(run / FILE, readonly=True) as reader:
            seen.append(len(reader.trials()))
        assert not (run / f"{FILE}-wal").exists() and not (run / f"{FILE}-shm").exists()

    search(run, make_plan(budget=4), watch=watch)
    assert journal_mode(run) == "delete"
    assert seen[-1] == 8
    search(tmp_path / "undisturbed", make_plan(budget=4))
    assert history(run) == history(tmp_path / "undisturbed")
    assert journal_mode(tmp_path / "undisturbed") == "wal"


def test_the_command_says_that_it_is_one(mount, tmp_path):
    from keras_nasnet.search.launch import search as launch

    mount(tmp_path / "run", "nfs4")
    said = []
    launch(make_plan(budget=1), tmp_path / "run", engine="tests.support.small_search:Inline", say=said.append)
    assert f"{tmp_path / 'run'} is on nfs4, a network file system: who looks at the store may wait for it" in said


def test_a_store_that_was_moved_to_one_goes_on_without_its_log(mount, tmp_path):
    run = interrupted(tmp_path)
    mount(run, "nfs4")
    with pytest.raises(ValueError, match=r"store.sqlite-wal has changes that are not in store.sqlite yet, .* on nfs4"):
        Store.open(run / FILE, readonly=True)
    search(run, make_plan(budget=3))
    assert journal_mode(run) == "delete"
    with Store.open(run / FILE, readonly=True) as store:
        assert "in the log" in [event.message for event in store.events()]
    assert {one.name for one in run.iterdir()} >= {FILE}
    assert not list(run.glob(f"{FILE}-*"))


def test_a_whole_store_on_one_is_read_and_nothing_written_beside_it(mount, tmp_path):
    search(tmp_path / "run", make_plan(budget=2))
    assert journal_mode(tmp_path / "run") == "wal"
    for side in (tmp_path / "run").glob(f"{FILE}-*"):
        side.unlink()
    mount(tmp_path / "run", "cifs")
    with Store.open(tmp_path / "run" / FILE, readonly=True) as store:
        assert len(store.trials()) == 4
        assert not list((tmp_path / "run").glob(f"{FILE}-*"))


# === Media that cannot be written ===


@pytest.fixture
def medium(tmp_path):
    """Makes a folder a medium that cannot be written, as for root as for anybody."""
    mounted = []

    def make(folder):
        place = tmp_path / "medium"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no tmpfs can be mounted here: root may")
        mounted.append(place)
        shutil.copytree(folder, place / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (place / "x").touch()
        return place / "run"

    yield make
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def run_command(*arguments):
    return CliRunner().invoke(main, ["search", *map(str, arguments)])


def test_a_finished_search_is_looked_at_on_a_medium_that_cannot_be_written(medium, tmp_path):
    search(tmp_path / "run", make_plan(budget=3))
    before = history(tmp_path / "run")
    for side in (tmp_path / "run").glob(f"{FILE}-*"):
        side.unlink()
    run = medium(tmp_path / "run")
    assert history(run) == before
    for command in (
        ["status", run],
        ["report", run, "--out", tmp_path / "page.html"],
        ["export", run, tmp_path / "best.json"],
        ["export", run, tmp_path / "trials.csv"],
    ):
        result = run_command(*command)
        assert result.exit_code == 0, result.output
    assert {"page.html", "best.json", "trials.csv"} <= {one.name for one in tmp_path.iterdir()}
    result = run_command("report", run)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "cannot be written (Read-only file system): choose another place by --out" in result.output


def test_a_log_that_was_left_on_such_a_medium_is_named(medium, tmp_path):
    run = medium(interrupted(tmp_path))
    for command in (["status", run], ["report", run], ["export", run, tmp_path / "best.json"]):
        result = run_command(*command)
        assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
        assert f"{run / FILE}-wal has changes that are not in {FILE} yet" in result.output
        assert "copy the folder to a disk that can be written" in result.output


def test_a_rollback_journal_that_was_left_on_such_a_medium_is_named(medium, mount, tmp_path):
    mount(tmp_path / "run", "nfs")
    search(tmp_path / "run", make_plan(budget=2))
    with contextlib.closing(sqlite3.connect(tmp_path / "run" / FILE, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE trials SET device = hex(randomblob(20000))")  # too much for its memory
        shutil.copytree(tmp_path / "run", tmp_path / "killed")
        connection.execute("ROLLBACK")
    assert (tmp_path / "killed" / f"{FILE}-journal").stat().st_size
    run = medium(tmp_path / "killed")
    with pytest.raises(ValueError, match=r"store.sqlite-journal has changes that are not in store.sqlite yet"):
        Store.open(run / FILE, readonly=True)
