"""`keras-nasnet zoo convert`: from names and files to other files, or one line that says why not."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import keras_nasnet
from keras_nasnet import NASNet, zoo
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.cli.main import main
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo.formats import keras_h5, weights_file
from tests.support import COMMAND, NUMPY, environment
from tests.support.catalog_entry import write_entry
from tests.support.toy import NETWORK

NAME = "toy"
SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "classes": 3}
TOY = {**NETWORK, "stem": "cifar", "stem_filters": 4}
VARIANT = "nasnet_a_4_1056_imagenet"


def run(*arguments):
    return CliRunner().invoke(main, ["zoo", "convert", *map(str, arguments)])


def refusal(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def same(first, second):
    pairs = zip(first.weights, second.weights, strict=True)
    return all(np.array_equal(*map(keras.ops.convert_to_numpy, pair)) for pair in pairs)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small net and a folder with its weights in two formats, which is also a catalog with a net called NAME."""
    folder = tmp_path_factory.mktemp("files")
    with without_random_values():
        model, toy = NASNet(**SMALL), NASNet(**TOY, classes=3)
    random = np.random.default_rng(0)
    for variable in model.weights + toy.weights:
        variable.assign(random.uniform(0.5, 1, variable.shape))
    keras_h5.to_keras(model, folder / "net.h5")
    weights_file.save(model, folder / "net.safetensors")
    weights_file.save(toy, folder / "toy.safetensors")
    write_entry(folder, NAME, "keras_nasnet", "toy.safetensors", TOY, class_names=["a", "b", "c"])
    return folder, model


@pytest.fixture(autouse=True)
def catalog(files, monkeypatch):
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(files[0]))


def test_a_name_of_the_catalog(tmp_path):
    shipped = zoo.load(NAME)
    result = run(NAME, tmp_path / "net.keras")
    assert (result.exit_code, result.stdout) == (0, f"wrote {tmp_path / 'net.keras'}\n"), result.output
    whole = keras_nasnet.load(tmp_path / "net.keras")
    assert whole.get_config() == shipped.get_config()
    assert same(whole, shipped)
    # And on from there.
    assert run(tmp_path / "net.keras", tmp_path / "net.weights.h5").exit_code == 0
    for variable in whole.weights:
        variable.assign(np.zeros(variable.shape))
    whole.load_weights(tmp_path / "net.weights.h5")
    assert same(whole, shipped)


def test_weights_alone_with_their_network(files, tmp_path, monkeypatch):
    folder, model = files
    monkeypatch.setitem(VARIANTS, VARIANT, SMALL)
    result = run(folder / "net.h5", tmp_path / "net.keras", "--network", VARIANT)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    whole = keras_nasnet.load(tmp_path / "net.keras")
    assert same(whole, model)
    assert whole.get_config()["pool_padding"] == "keras"
    result = run(folder / "net.safetensors", tmp_path / "net.h5", "--network", VARIANT)
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1), result.output
    assert "pool_padding='same'; the other code pools like 'keras'" in result.stderr


def test_what_cannot_be_converted(files, tmp_path, monkeypatch):
    folder, _ = files
    monkeypatch.setitem(VARIANTS, VARIANT, SMALL | {"classes": 4})
    assert "is not for this model" in refusal(folder / "net.h5", tmp_path / "net.keras", "--network", VARIANT)
    assert "is not for this model" in refusal(folder / "net.safetensors", tmp_path / "net.h5", "--network", VARIANT)
    assert "unknown variant 'net'" in refusal(folder / "net.h5", tmp_path / "net.keras", "--network", "net")
    assert "it has NASNet-A only" in refusal(NAME, tmp_path / "net.h5")
    assert "timm has no such network" in refusal(NAME, tmp_path / "net.safetensors", "--to", "timm")
    (tmp_path / "broken.keras").write_bytes(b"PK")
    assert "not a .keras file" in refusal(tmp_path / "broken.keras", tmp_path / "net.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["broken.keras"]


def test_what_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    result = run(NAME, tmp_path / "file" / "net.safetensors")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1), result.output
    assert "cannot be written" in result.stderr


def test_errors_that_need_no_keras(files, tmp_path):
    folder, _ = files
    (tmp_path / "there.keras").write_bytes(b"as it was")
    cases = [
        ([NAME, "net.onnx"], "ends in one of .keras, .weights.h5, .h5, .safetensors"),
        ([NAME, "net.h5", "--to", "timm"], "must end in .safetensors"),
        ([NAME, tmp_path / "there.keras"], "is there already"),
        (["no_such_name", "net.keras"], "choose from"),
        ([folder / "none.h5", "net.keras"], "no such file"),
        ([folder / "none.h5", "net.keras", "--network", VARIANT], "no such file"),
        ([folder / "net.h5", "net.keras"], "--network nasnet_a_4_1056_imagenet"),
        ([NAME, "net.keras", "--network", VARIANT], "--network is for files of weights alone"),
        ([tmp_path / "there.keras", "net.keras", "--network", VARIANT], "--network is for files of weights alone"),
    ]
    for arguments, message in cases:
        assert message in refusal(*arguments), arguments
    assert (tmp_path / "there.keras").read_bytes() == b"as it was"
    code = (
        "import sys; from click.testing import CliRunner; from keras_nasnet.cli.main import main\n"
        "for case in sys.argv[1:]: assert CliRunner().invoke(main, case.split()).exit_code == 2, case\n"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    words = [" ".join(["zoo", "convert", *map(str, arguments)]) for arguments, _ in cases]
    result = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment(), check=False
    )
    assert result.stdout.splitlines() == ["[]"], result.stderr


# === Full disks ===


@pytest.mark.parametrize(
    "name",
    ["out.weights.h5", *(pytest.param(f"out.{end}", marks=pytest.mark.slow) for end in ("h5", "safetensors", "keras"))],
)
def test_a_full_disk_is_said_in_a_line_and_nothing_is_left(files, tmp_path, mount, name):
    """In a process of its own: HDF5 would end it."""
    mount(tmp_path / "small", "size=100k")
    path, out = tmp_path / "net.keras", tmp_path / "small" / name
    files[1].save(path)
    command = [sys.executable, "-c", COMMAND, "zoo", "convert", path, out]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(**NUMPY), check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.splitlines() == [
        f"Error: {tmp_path / 'small' / name} cannot be written (No space left on device)"
    ]
    assert list((tmp_path / "small").iterdir()) == []
