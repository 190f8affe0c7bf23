"""`keras-nasnet zoo`, with a catalog of one small public file on loopback. Keras is not imported."""

import hashlib
import json
import subprocess
import sys

import pytest
import tomli_w
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.zoo.catalog import entries
from tests.support import environment
from tests.support.file_server import FileServer

NAME = "own_net"
CONTENT = b"weights" * 1000


def run(*arguments):
    return CliRunner().invoke(main, ["zoo", *map(str, arguments)])


def json_lines(*arguments):
    result = run(*arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    return [json.loads(line) for line in result.stdout.splitlines()]


def refusal(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Where the file of NAME will lie."""
    server = FileServer()
    server.files["/nets/own.h5"] = CONTENT
    data = entries.entry("nasnet_a_cifar10").to_dict() | {
        "description": "a net",
        "source": {
            "format": "keras_h5",
            "url": f"{server.address}/nets/own.h5",
            "md5": hashlib.md5(CONTENT).hexdigest(),
        },
    }
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / f"{NAME}.toml").write_text(tomli_w.dumps(data))
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path / "catalog"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_NASNET_MIRROR", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield tmp_path / "home" / "models" / "keras_nasnet" / "own.h5"
    server.close()


def test_list_as_json():
    rows = {row["name"]: row for row in json_lines("list")}
    assert list(rows) == entries.names()
    assert rows["nasnet_a_cifar10"]["cached"]
    assert rows["nasnet_a_cifar10"]["top1"] == 0.9149
    assert rows["nasnet_a_cifar10"]["top1_is"] == "measured"
    assert rows["nasnet_a_large_slim"]["top1"] == 0.827
    assert rows["nasnet_a_large_slim"]["top1_is"] == "published"
    assert rows["nasnet_a_large_slim_raw"]["top1"] is None
    assert not rows[NAME]["cached"]
    assert [row["name"] for row in json_lines("list", "*mobile*", "--task", "features")] == [
        "nasnet_a_mobile_keras_no_top"
    ]


def test_list_as_a_table():
    lines = run("list", "nasnet_a_*_slim").stdout.splitlines()
    assert lines[0].split() == ["name", "task", "MB", "parameters", "mult-adds", "top-1", "licence", "cached"]
    assert [line.split()[0] for line in lines[1:]] == ["nasnet_a_large_slim", "nasnet_a_mobile_slim"]
    assert "82.70 %*" in lines[1]
    assert len({line.index("Apache") for line in lines[1:]}) == 1
    assert "no entry matches 'nothing'" in refusal("list", "nothing")


def test_info():
    (data,) = json_lines("info", "nasnet_a_large_timm")
    assert len(data["class_names"]) == 1000
    assert data["source"]["revision"] == "2188423afb58a54ecc6eb20e22179f24bfb92275"
    lines = run("info", "nasnet_a_large_timm").stdout.splitlines()
    assert any(line.split() == ["builder.pool_padding", "timm"] for line in lines)
    assert any(line.split() == ["published.value", "0.82638"] for line in lines)
    assert "choose from nasnet_a_cifar10" in refusal("info", "nasnet_z")


def test_download_verify_clear(place):
    assert "not in the cache" in refusal("verify", NAME)
    assert json_lines("download", NAME) == [{"name": NAME, "path": str(place)}]
    assert {row["name"]: row["cached"] for row in json_lines("list")}[NAME]
    assert {row["name"]: row["paths"] for row in json_lines("verify")}[NAME] == [str(place)]
    assert json_lines("clear", NAME) == [{"name": NAME, "bytes_freed": len(CONTENT)}]
    assert not place.exists()
    assert run("download", NAME).stdout == f"{NAME}  {place}\n"
    assert run("clear", "--all").stdout == f"{NAME}  0.0 MB freed\n"
    assert "--all" in refusal("clear")


def test_verify_tells_of_damage_and_goes_on(place):
    run("download", NAME)
    place.write_bytes(b"damaged")
    result = run("verify", NAME, "nasnet_a_cifar10")
    assert result.exit_code == 2
    assert "was damaged or another file and is deleted" in result.stderr
    assert result.stdout.startswith("nasnet_a_cifar10  ")
    assert not place.exists()


def test_a_download_that_fails_is_one_line(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refusal("download", NAME)


def test_keras_is_not_needed(tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from keras_nasnet.cli.main import main\n"
        "for case in sys.argv[1:]: assert CliRunner().invoke(main, ['zoo', *case.split()]).exit_code == 0, case\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    cases = ["list", f"info {NAME}", f"download {NAME}", "verify", f"clear {NAME}"]
    command = [sys.executable, "-c", code, *cases]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert result.stdout == "[]\n", result.stderr
