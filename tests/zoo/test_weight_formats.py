"""The registry of weight formats: which format a file has, and a format of one's own."""

import numpy as np
import pytest
from click.testing import CliRunner

from keras_nasnet import NASNet, zoo
from keras_nasnet.cli.main import main
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS, format_by_name, format_of, format_to_write
from keras_nasnet.zoo.formats.weights_file import write
from tests.support.catalog_entry import write_entry
from tests.support.plugin_weight_format import FORMAT
from tests.support.same_weights import assert_equal, values
from tests.support.small_run import SMALL, write_run

ROW = "tests.support.plugin_weight_format:FORMAT"
VARIANT = "nasnet_a_4_1056_imagenet"


def name_of(chosen):
    (name,) = [name for name in WEIGHT_FORMATS if WEIGHT_FORMATS.get(name) is chosen]
    return name


# === Which format ===


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.keras", "keras"),
        ("a.weights.h5", "keras_weights"),
        ("a.h5", "keras_h5"),
        ("a.pth", "timm"),
        ("a.pt", "timm"),
        ("a.tar.gz", "slim"),
        ("a.tgz", "slim"),
        ("model.ckpt.index", "slim"),
        ("a.safetensors", "keras_nasnet"),
    ],
)
def test_a_name_says_the_format(file, name):
    assert name_of(format_by_name(f"some.folder/{file}")) == name


def test_safetensors_are_told_by_their_names(tmp_path):
    for name, expected in (("cell_0/fit_0/kernel", "keras_nasnet"), ("cell_0.conv.weight", "timm")):
        write(tmp_path / "net.safetensors", {name: np.zeros(2, "float32")})
        assert name_of(format_of(tmp_path / "net.safetensors")) == expected


def test_what_is_written():
    assert [name_of(format_to_write(f"a{suffix}")) for suffix in (".keras", ".weights.h5", ".h5", ".safetensors")] == [
        "keras",
        "keras_weights",
        "keras_h5",
        "keras_nasnet",
    ]
    assert name_of(format_to_write("a.safetensors", "timm")) == "timm"
    for path, to, words in (
        ("a.tar.gz", None, r"ends in one of \.keras, \.weights\.h5, \.h5, \.safetensors$"),
        ("a.h5", "timm", r"a\.h5: with timm the name must end in \.safetensors"),
        ("a.h5", "os:sep", "weight format is 'os:sep': a str, not a WeightFormat"),
        ("a.tar.gz", "slim", "slim is only read, not written"),
        ("a.h5", "onnx", "weight format is 'onnx': choose from keras, keras_weights, "),
    ):
        with pytest.raises(ValueError, match=words):
            format_to_write(path, to)


# === One's own ===


@pytest.fixture
def run(tmp_path):
    """A folder with a small network, and its weights."""
    return tmp_path, values(write_run(tmp_path))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(WEIGHT_FORMATS, "_rows", dict(WEIGHT_FORMATS._rows))
    WEIGHT_FORMATS.register("json", ROW)


def convert(*arguments):
    done = CliRunner().invoke(main, ["zoo", "convert", *map(str, arguments)])
    assert done.exit_code == 0, done.output


def test_a_registered_format_is_read_and_written_everywhere(registered, run, monkeypatch):
    folder, expected = run
    convert(folder, folder / "net.json")
    network = NASNet(**SMALL, classes=3)
    zoo.load_weights(folder / "net.json", network)
    assert_equal(values(network), expected)

    monkeypatch.setitem(VARIANTS, VARIANT, SMALL | {"classes": 3})
    convert(folder / "net.json", folder / "net.keras", "--network", VARIANT)
    assert_equal(values(zoo.load(folder / "net.keras")), expected)

    write_entry(folder, "own", "json", "net.json", SMALL, class_names=["ant", "bee", "cat"])
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(folder / "home"))
    assert_equal(values(zoo.load("own")), expected)


def test_a_format_is_named_by_its_module(run):
    folder, expected = run
    convert(folder, folder / "net.json", "--to", ROW)
    network = NASNet(**SMALL, classes=3)
    FORMAT.read(folder / "net.json", network)
    assert_equal(values(network), expected)


def test_what_a_format_reads_back_otherwise_is_not_kept(registered, run, monkeypatch):
    folder, _ = run
    network = zoo.load(folder)
    monkeypatch.setattr(type(FORMAT), "write", lambda self, model, path: path.write_text("{}"))
    monkeypatch.setattr(type(FORMAT), "read", lambda self, path, model, moving_averages=True: None)
    with pytest.raises(ValueError, match=r"net\.json: another model was read back than was written"):
        zoo.save_weights(network, folder / "net.json")
    assert not (folder / "net.json").exists()
