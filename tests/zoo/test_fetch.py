"""Downloads, from a real server on loopback under the public names. Keras is not imported."""

import hashlib
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from keras_nasnet import zoo
from keras_nasnet.common import limits
from keras_nasnet.common.files import replacing
from keras_nasnet.zoo import files
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.formats.assign import Unreadable
from keras_nasnet.zoo.sources import download
from tests.support import ROOT
from tests.support.file_server import FileServer

NAME = "nasnet_a_mobile_keras"
PLACE = "/tensorflow/keras-applications/nasnet/NASNet-mobile.h5"
CONTENT = np.random.default_rng(0).bytes(200_000)


def write_entry(folder, name, content, **changes):
    """The package's entry, but with the checksum of generated content."""
    data = tomllib.loads((ROOT / "zoo" / "catalog" / f"{name}.toml").read_text())
    data.pop("class_names", None)
    kind = "sha256" if "sha256" in data["source"] else "md5"
    data["source"][kind] = hashlib.new(kind, content).hexdigest()
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.toml").write_text(tomli_w.dumps(data | changes))


@pytest.fixture
def server():
    server = FileServer()
    yield server
    server.close()


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    """Where the file of NAME will lie; the server has it, and the cache is empty."""
    write_entry(tmp_path / "catalog", NAME, CONTENT)
    server.files[PLACE] = CONTENT
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KERAS_NASNET_MIRROR", f"{server.address}/")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(download, "_PAUSE", 0.01)
    return tmp_path / "home" / "models" / "keras_nasnet" / "NASNet-mobile.h5"


def refusal(function=zoo.path, name=NAME):
    with pytest.raises(ValueError) as error:
        function(name)
    assert "\n" not in str(error.value)
    return str(error.value)


def start(name=NAME, **environment):
    code = f"from keras_nasnet import zoo; print(zoo.path({name!r}))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes)


# === What arrives ===


def test_a_file_is_downloaded_once(server, place):
    assert zoo.path(NAME) == place
    assert place.read_bytes() == CONTENT
    server.close()
    assert zoo.path(NAME) == place
    assert zoo.verify(NAME) == [place]
    assert server.seen == [(PLACE, None)]


def test_a_cut_connection_is_resumed(server, place):
    server.faults = [("cut", 50_000), ("cut", 70_000)]
    assert zoo.path(NAME).read_bytes() == CONTENT
    first, second = (int(asked.removeprefix("bytes=").rstrip("-")) for _, asked in server.seen[1:])
    assert 50_000 - download._CHUNK <= first <= 50_000
    assert first + 70_000 - download._CHUNK <= second <= first + 70_000


def test_a_server_without_ranges_starts_again(server, place):
    server.faults = [("cut", 50_000), ("whole",)]
    assert zoo.path(NAME).read_bytes() == CONTENT


def test_a_part_that_is_whole_already(server, place):
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.{hashlib.md5(CONTENT).hexdigest()[:8]}.part").write_bytes(CONTENT)
    assert zoo.path(NAME).read_bytes() == CONTENT  # the server answers 416


def test_a_busy_server_is_asked_again(server, place):
    server.faults = [503, 503]
    assert zoo.path(NAME).read_bytes() == CONTENT
    server.faults = [503] * 10
    place.unlink()
    assert "NASNet-mobile.h5 cannot be downloaded: the server answers 503" in refusal()
    assert len(server.faults) == 10 - download._TRIES


def test_a_slow_server(server, place, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT", (1, 0.1))
    server.faults = [("stall", 1)]
    assert zoo.path(NAME).read_bytes() == CONTENT
    place.unlink()
    server.faults = [("stall", 1)] * 10
    assert "the server is too slow" in refusal()


# === What is refused ===


def test_a_wrong_checksum(server, place):
    server.files[PLACE] = b"something else"
    message = refusal()
    assert hashlib.md5(b"something else").hexdigest() in message
    assert hashlib.md5(CONTENT).hexdigest() in message
    assert not [file for file in place.parent.iterdir() if file.suffix != ".lock"]


def test_a_truncated_file(server, place):
    server.files[PLACE] = CONTENT[:-1]
    assert "it should be" in refusal()
    assert not place.exists()


def test_a_missing_file(server, place):
    del server.files[PLACE]
    assert "the server answers 404 Not Found" in refusal()
    assert len(server.seen) == 1


def test_no_server(server, place, monkeypatch):
    server.close()
    assert "NASNet-mobile.h5 cannot be downloaded" in refusal()
    monkeypatch.setenv("KERAS_NASNET_MIRROR", "nonsense")
    assert "NASNet-mobile.h5 cannot be downloaded" in refusal()


@pytest.mark.parametrize(
    "damage", [lambda content: content[:1000], lambda content: content[:-1] + b"\0", lambda _: b""]
)
@pytest.mark.parametrize("function", [zoo.path, zoo.verify])
def test_a_file_damaged_in_the_cache(server, place, damage, function):
    zoo.path(NAME)
    place.write_bytes(damage(CONTENT))
    assert "was damaged or another file and is deleted" in refusal(function)
    assert not place.exists()
    assert zoo.path(NAME).read_bytes() == CONTENT


def test_offline(server, place, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refusal()
    assert server.seen == []
    monkeypatch.delenv("HF_HUB_OFFLINE")
    zoo.path(NAME)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert zoo.path(NAME) == place


def test_a_proxy_of_the_environment(server, place, monkeypatch):
    monkeypatch.setenv("KERAS_NASNET_MIRROR", "http://weights.invalid")
    monkeypatch.setenv("HTTP_PROXY", server.address)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.files[f"http://weights.invalid{PLACE}"] = CONTENT  # a proxy is asked for whole addresses
    assert zoo.path(NAME).read_bytes() == CONTENT


# === Servers that mean harm ===


def test_a_body_without_end(server, place, monkeypatch):
    monkeypatch.setattr(limits, "DOWNLOAD_BYTES", 10_000)
    assert "has 200,000 bytes or more, and may have 10,000" in refusal()
    server.faults = [("unsaid",)]  # nothing of a size, and the connection stays open
    assert "bytes or more, and may have 10,000" in refusal()
    assert len(server.seen) == 2
    assert not [file for file in place.parent.iterdir() if file.suffix != ".lock"]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,a", "gopher://a", "http://["])
def test_a_redirection_to_no_web_server(server, place, target):
    server.faults = [("to", target)]
    assert "NASNet-mobile.h5 cannot be downloaded" in refusal()
    assert len(server.seen) == 1


def test_what_a_server_says_is_printed_as_text(server, place):
    server.faults = [("says", "\x1b[2Jall is well")]
    assert "the server answers 404 \\x1b[2Jall is well" in refusal()


# === Disks ===


def test_a_full_disk(server, place, mount):
    mount(place.parent, "size=64k")
    message = refusal()
    assert "No space left on device" in message
    assert "KERAS_HOME" in message
    assert not [file for file in place.parent.iterdir() if file.suffix != ".lock"]


def test_a_read_only_cache(server, place, mount):
    mount(place.parent, "ro")
    assert "Read-only file system" in refusal()


def test_a_cache_that_is_a_file(server, place, tmp_path):
    (tmp_path / "home").write_text("")
    assert "cannot be written" in refusal()


# === Processes ===


def test_two_processes_do_one_download(server, place):
    server.pause = 0.02
    processes = [start() for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [out.strip() for out, _ in outputs] == [str(place)] * 2, outputs
    assert place.read_bytes() == CONTENT
    assert len(server.seen) == 1


def test_kill_9_in_the_middle(server, place):
    server.pause = 0.05
    process = start()
    part = place.with_name(f"{place.name}.{hashlib.md5(CONTENT).hexdigest()[:8]}.part")
    while not (part.exists() and part.stat().st_size):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    received = part.stat().st_size
    assert 0 < received < len(CONTENT)
    assert not place.exists()
    server.pause = 0
    assert zoo.path(NAME).read_bytes() == CONTENT
    assert server.seen[-1] == (PLACE, f"bytes={received}-")


# === Hub ===


@pytest.fixture
def hub(server, place, tmp_path):
    name = "nasnet_a_large_timm"
    write_entry(tmp_path / "catalog", name, CONTENT)
    source = entries.entry(name).source.to_dict()
    server.files[f"/{source['repo']}/resolve/{source['revision']}/{source['file']}"] = CONTENT
    environment = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_XET": "1"}
    return lambda **more: start(name, **environment, **more).communicate(timeout=60)


def test_a_file_of_the_hub(server, hub, tmp_path):
    out, err = hub()
    assert out, err
    assert Path(out.strip()).is_relative_to(tmp_path / "hub")
    assert Path(out.strip()).read_bytes() == CONTENT
    count = len(server.seen)
    assert hub(HF_HUB_OFFLINE="1")[0] == out
    assert len(server.seen) == count

    file = Path(out.strip())
    blob = file.resolve()
    blob.write_bytes(b"damaged")
    err = hub()[1]
    assert "was damaged or another file and is deleted" in err
    assert not file.exists()
    assert not blob.exists()
    assert hub()[0] == out


def test_a_hub_that_fails(server, hub):
    assert "HF_HUB_OFFLINE forbids" in hub(HF_HUB_OFFLINE="1")[1]
    server.files.clear()
    message = hub()[1].splitlines()[-1]
    assert message.startswith("ValueError: timm/nasnetalarge.tf_in1k/model.safetensors cannot be downloaded")


# === Clear ===


def test_clear(server, place):
    zoo.path(NAME)
    kept = files.converted_file(entries.entry(NAME))
    kept.parent.mkdir()
    kept.write_bytes(b"12345")
    with pytest.raises(RuntimeError), replacing(kept) as temporary:  # as of a process that was killed
        left = temporary.with_name(temporary.name.replace(f".{os.getpid()}.", ".99999999."))
        left.write_bytes(b"123")
        raise RuntimeError
    assert files.clear(NAME) == len(CONTENT) + 8
    assert not list(kept.parent.iterdir())
    assert not place.exists()
    assert not kept.exists()
    assert files.clear(NAME) == 0
    assert files.clear("nasnet_a_cifar10") == 0
    assert zoo.verify("nasnet_a_cifar10") != []


def test_clear_takes_what_else_was_compiled(place, tmp_path):
    compiled = tmp_path / "home" / "models" / "keras_nasnet" / "compiled"
    key = "0123456789abcdef0123"
    for name in (f"mine.{key}", f"mine.{key}.x1_y2z3", f".mine.{key}.host-1.99999999.01234567.tmp", f"mine_2.{key}"):
        (compiled / name).mkdir(parents=True)
        (compiled / name / "network").write_bytes(b"12345")
    (compiled / f"mine.{key}.lock").touch()
    assert files.clear("mine") == 15
    assert [path.name for path in compiled.iterdir()] == [f"mine_2.{key}"]
    assert "mine_2" in files.clearable()
    assert "no model is called 'mine'" in refusal(files.clear, "mine")


def test_clear_deletes_links_and_not_what_they_point_to(server, place, tmp_path):
    zoo.path(NAME)
    os.replace(place, tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert files.clear(NAME) == 0
    assert not place.is_symlink() and (tmp_path / "elsewhere").read_bytes() == CONTENT


# === A cache that several people share ===


def test_what_may_not_be_read_or_deleted_is_said_so(tmp_path, monkeypatch):
    converted = tmp_path / "net.safetensors"
    converted.write_bytes(b"damaged")
    with (
        pytest.raises(ValueError, match=r"cannot be read \(Permission denied\): let its owner allow it"),
        files.deleted_on(ValueError, converted),
    ):
        raise Unreadable(f"{converted}: cannot be read (Permission denied)")
    assert converted.exists()

    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", forbidden)  # root may delete everything
        with (
            pytest.raises(ValueError, match=r"damaged; the file cannot be deleted \(Permission denied\)"),
            files.deleted_on(ValueError, converted),
        ):
            raise ValueError("damaged")
    with (
        pytest.raises(ValueError, match="damaged; the file is deleted: run again"),
        files.deleted_on(ValueError, converted),
    ):
        raise ValueError("damaged")
    assert not converted.exists()
