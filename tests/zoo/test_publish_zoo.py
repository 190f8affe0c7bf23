"""The maintainer's script from end to end: public files under their names, stand-ins, onto a Hub; all on loopback."""

import hashlib
import importlib.util
import json
from urllib.parse import urlsplit

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner

from keras_nasnet import NASNet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.formats.registry import load_weights
from tests.support import SCRIPTS
from tests.support.file_server import FileServer
from tests.support.foreign_files import write_keras_h5, write_slim, write_timm
from tests.support.hub_server import HubServer
from tests.support.same_weights import assert_equal, values
from tests.support.small_run import write_run

SCRIPT = SCRIPTS / "publish_zoo.py"
SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "input_shape": [96, 96, 3]}


class StandIns:
    """Small nets in the formats and under the names of the public files, and a catalog that knows their checksums."""

    def __init__(self, folder):
        self.folder, self.expected = folder, {}
        self.web, self.hub = FileServer(), HubServer()
        (folder / "catalog").mkdir()

    def add(self, name):
        data = entries.entry(name).to_dict()
        data["builder"] |= SMALL
        data.pop("name")
        arguments = (
            data["builder"] | {"classes": len(data["class_names"])} if "class_names" in data else data["builder"]
        )
        with without_random_values():
            model = NASNet(**arguments)
        random = np.random.default_rng(0)  # the same for the entries that share a file
        for variable in model.weights:
            variable.assign(random.uniform(0.5, 1, variable.shape))
        content = self.content(data["source"], model)
        self.place(data["source"], content)
        raw = data["source"].get("moving_averages") is False
        expected = {path: value + (raw and "/moving_" not in path) for path, value in values(model).items()}
        self.expected[name] = model, expected
        (self.folder / "catalog" / f"{name}.toml").write_text(tomli_w.dumps(data))

    def content(self, source, model):
        path = self.folder / str(len(self.expected))
        {"slim": write_slim, "timm": write_timm, "keras_h5": write_keras_h5}[source["format"]](path, model)
        return path.read_bytes()

    def place(self, source, content):
        if "repo" in source:
            commits = {source["revision"]: {source["file"]: content}}
            self.hub.repositories[source["repo"]] = {"branches": {"main": source["revision"]}, "commits": commits}
        else:
            content = self.web.files.setdefault(urlsplit(source["url"]).path, content)
        kind = "sha256" if "sha256" in source else "md5"
        source[kind] = hashlib.new(kind, content).hexdigest()

    def use_here(self, monkeypatch):
        monkeypatch.setenv("KERAS_NASNET_CATALOG", str(self.folder / "catalog"))
        monkeypatch.setenv("KERAS_NASNET_MIRROR", self.web.address)
        monkeypatch.setenv("KERAS_HOME", str(self.folder / "keras"))

    def close(self):
        self.web.close()
        self.hub.close()


@pytest.fixture
def stand_ins(tmp_path):
    stand_ins = StandIns(tmp_path)
    yield stand_ins
    stand_ins.close()


QUICK = ["nasnet_a_large_timm", "nasnet_a_mobile_keras_no_top"]  # one from a Hub, one from the web


@pytest.mark.parametrize("names", [QUICK, pytest.param(None, marks=pytest.mark.slow)], ids=["two", "all"])
def test_everything_is_prepared_and_uploaded(stand_ins, tmp_path, monkeypatch, names):
    listed = names or entries.names()
    for name in listed:
        if not name.startswith("nasnet_a_cifar10"):  # in the package, and so no stand-in
            stand_ins.add(name)
    stand_ins.hub.use_here(monkeypatch, tmp_path / "hub")
    stand_ins.use_here(monkeypatch)
    done = run("--out", tmp_path / "tree", "--upload", *(names or []))
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"{len(listed)} of {len(listed)} models published"
    for name in listed:
        published = name.replace("_", "-")
        files = stand_ins.hub.files(f"someone/{published}")
        folder = tmp_path / "tree" / published
        for file in folder.iterdir():
            assert files[file.name] == file.read_bytes(), file
        assert f"hf://someone/{published}" in files["README.md"].decode()
        if name in stand_ins.expected:
            preprocessing = json.loads(files["preprocessing.json"])
            assert preprocessing.items() >= entries.entry(name).preprocessing.to_dict().items()
            model, expected = stand_ins.expected[name]
            load_weights(folder / "model.weights.h5", model)
            assert_equal(values(model), expected)


def run(*arguments):
    """Runs the script in this process."""
    spec = importlib.util.spec_from_file_location("publish_zoo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return CliRunner().invoke(module.main, ["--org", "someone", *map(str, arguments)])


def test_two_of_one_name_are_refused(tmp_path, monkeypatch):
    for place in ("a", "b"):
        (tmp_path / place / "best").mkdir(parents=True)
        (tmp_path / place / "best" / "model.keras").touch()
    monkeypatch.chdir(tmp_path)
    done = run("--out", "tree", "a/best", "b/best")
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "a/best and b/best would both be called best" in done.stderr
    assert not (tmp_path / "tree").exists()


def test_what_fails_does_not_stop_the_others(stand_ins, tmp_path, monkeypatch):
    stand_ins.add("nasnet_a_mobile_slim_raw")
    stand_ins.web.files.clear()
    (tmp_path / "small").mkdir()
    write_run(tmp_path / "small")
    stand_ins.use_here(monkeypatch)
    done = run("--out", tmp_path / "tree", "nasnet_a_mobile_slim_raw", tmp_path / "small")
    assert done.exit_code == 2
    assert "Error: nasnet_a_mobile_slim_raw: " in done.stderr
    assert "404" in done.stderr
    assert done.stdout.splitlines()[-1] == "1 of 2 models prepared"
    assert [folder.name for folder in (tmp_path / "tree").iterdir()] == ["small"]
