"""Models written in other formats: read by the code they are for, to the last bit here, and refused when damaged."""

import os
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.nasnet import NASNet as ApplicationsNASNet
from safetensors.numpy import load_file, save_file

import keras_nasnet
from keras_nasnet import NASNet, zoo
from keras_nasnet.zoo import applications, loading
from keras_nasnet.zoo.formats import convert, h5_file, keras_h5
from keras_nasnet.zoo.formats import registry as formats
from tests.support import ROOT
from tests.support.damage import damaged
from tests.support.same_weights import assert_equal, values

SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "classes": 3}
SHOWN = {"class_names": ["a", "b", "c"], "preprocessing": {"height": 64, "width": 48}}
TIMM = SMALL | {"num_blocks": 6, "skip_reduction": True}
# The name of a file for each format that is written, and what `to` it needs.
FILES = {
    "net.keras": None,
    "net.weights.h5": None,
    "net.h5": None,
    "net.safetensors": None,
    "timm.safetensors": "timm",
}


def filled(seed=0, **options):
    """A net with random weights, of which also the statistics of batch normalization are random."""
    with loading.without_random_values():
        model = NASNet(**options)
    random = np.random.default_rng(seed)
    for variable in model.weights:
        kind, shape = variable.path.split("/")[-1], tuple(variable.shape)
        if kind in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, shape))
        elif kind in ("beta", "moving_mean", "bias"):
            variable.assign(random.normal(0, 0.2, shape))
        else:
            inputs = np.prod(shape[:2] if kind == "depthwise_kernel" else shape[:-1])
            variable.assign(random.normal(0, inputs**-0.5, shape))
    return model


def outputs(model, size):
    images = np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)), "float64")


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def refusal(function, *arguments):
    with pytest.raises(ValueError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """Two nets with other weights, alike for each file of FILES, and a folder with the first of them in that file."""
    folder = tmp_path_factory.mktemp("nets")
    small = filled(0, **SMALL, **SHOWN), filled(1, **SMALL, **SHOWN)
    timm = filled(0, **TIMM), filled(1, **TIMM)
    pairs = {name: timm if to else small for name, to in FILES.items()}
    for name, to in FILES.items():
        formats.save_weights(pairs[name][0], folder / name, to)
    return folder, pairs


# === Written and read ===


@pytest.fixture
def pair(nets, request):
    """The two nets of a file; the second is as it was afterwards."""
    first, second = nets[1][request.param]
    before = values(second)
    yield first, second
    for variable in second.weights:
        variable.assign(before[variable.path])


@pytest.mark.parametrize(("name", "pair"), [(name, name) for name in FILES], indirect=["pair"])
def test_round_trip_is_exact(nets, name, pair):
    first, second = pair
    formats.load_weights(nets[0] / name, second)
    assert_equal(values(second), values(first))


def test_nothing_else_is_left(nets):
    assert {file.name for file in nets[0].iterdir()} == set(FILES)


@pytest.mark.parametrize("pair", ["net.weights.h5"], indirect=True)
def test_keras_reads_its_weights(nets, pair):
    first, second = pair
    second.load_weights(nets[0] / "net.weights.h5")
    assert_equal(values(second), values(first))


def test_keras_reads_the_model_elsewhere(nets, tmp_path):
    """In a process that has only imported this package."""
    code = (
        "import sys, keras, numpy, keras_nasnet\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "assert model.class_names == ('a', 'b', 'c') and model.preprocessing.width == 48\n"
        "numpy.savez(sys.argv[2], **{w.path: keras.ops.convert_to_numpy(w) for w in model.weights})"
    )
    command = [sys.executable, "-c", code, nets[0] / "net.keras", tmp_path / "read.npz"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    assert_equal(dict(np.load(tmp_path / "read.npz")), values(nets[1]["net.keras"][0]))


def check_applications(folder, size, num_blocks, skip_reduction):
    config = {"num_blocks": num_blocks, "penultimate_filters": 192, "skip_reduction": skip_reduction, "classes": 3}
    model = filled(**config, stem_filters=8, pool_padding="keras", classifier_activation=None)
    convert.to_keras(model, folder / "net.h5")
    other = ApplicationsNASNet(
        (size, size, 3), stem_block_filters=8, weights=None, default_size=size, classifier_activation=None, **config
    )
    other.load_weights(folder / "net.h5")
    assert relative_error(outputs(other, size), outputs(model, size)) <= 1e-5


def test_keras_applications_reads_the_legacy_file(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_h5, "_NAMES_IN_ATTRIBUTE", 100)  # the names of the layers take three attributes
    check_applications(tmp_path, 65, 2, True)


@pytest.mark.slow
@pytest.mark.parametrize("num_blocks", [1, 2, 6])
@pytest.mark.parametrize("skip_reduction", [False, True])
@pytest.mark.parametrize("size", [64, 65])
def test_keras_applications_at_other_sizes(tmp_path, size, skip_reduction, num_blocks):
    check_applications(tmp_path, size, num_blocks, skip_reduction)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("nasnet_a_4_1056_imagenet", 224), ("nasnet_a_6_4032_imagenet", 331)])
def test_keras_applications_full_size(tmp_path, name, size):
    path = tmp_path / "net.h5"
    model = filled(**applications.VARIANTS[name] | {"classifier_activation": None}, pool_padding="keras")
    convert.to_keras(model, path)
    expected = outputs(model, size)
    del model
    build = keras.applications.NASNetMobile if size == 224 else keras.applications.NASNetLarge
    error = relative_error(outputs(build(weights=str(path), classifier_activation=None), size), expected)
    print(f"{name}: relative error {error:.1e}")
    assert error <= 1e-5


@pytest.fixture
def timm():
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision for another PyTorch
        pytest.skip(f"needs PyTorch, torchvision and timm ({error})")
    return timm


def timm_outputs(other, size):
    """For the images of `outputs`."""
    import torch

    images = np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    with torch.no_grad():
        return other.eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).double().numpy()


@pytest.mark.parametrize("size", [64, 97])
def test_timm_reads_its_state_dict(timm, tmp_path, size):
    model = filled(**TIMM, pool_padding="timm", classifier_activation=None)
    path = tmp_path / "net.safetensors"
    convert.to_timm(model, path)
    other = timm.create_model("nasnetalarge", checkpoint_path=str(path), num_classes=3, num_features=192, stem_size=8)
    error = relative_error(timm_outputs(other, size), outputs(model, size))
    print(f"relative error {error:.1e}")
    assert error <= 1e-5
    # And what timm saves of it is the same.
    names = set(other.state_dict()) - set(load_file(path))
    assert all(name.endswith(".num_batches_tracked") for name in names)
    save_file({name: tensor.numpy() for name, tensor in other.state_dict().items()}, tmp_path / "theirs.safetensors")
    before = values(model)
    convert.from_timm(tmp_path / "theirs.safetensors", model)
    assert_equal(values(model), before)


@pytest.mark.slow
def test_timm_large(timm, tmp_path):
    variant = applications.VARIANTS["nasnet_a_6_4032_imagenet"]
    model = filled(**variant | {"classifier_activation": None}, pool_padding="timm")
    path = tmp_path / "net.safetensors"
    convert.to_timm(model, path)
    expected = outputs(model, 331)
    del model
    error = relative_error(timm_outputs(timm.create_model("nasnetalarge", checkpoint_path=str(path)), 331), expected)
    print(f"relative error {error:.1e}")
    assert error <= 1e-5


def test_applications_take_files_with_the_pools_of_their_code(nets, monkeypatch):
    folder, pairs = nets
    for name, padding in (("net.h5", "keras"), ("net.safetensors", "same")):
        monkeypatch.setitem(applications.VARIANTS, "nasnet_a_4_1056_imagenet", SMALL)
        model = keras_nasnet.NASNetMobile(weights=folder / name, classes=3)
        assert_equal(values(model), values(pairs[name][0]))
        assert model.get_config()["pool_padding"] == padding
    monkeypatch.setitem(applications.VARIANTS, "nasnet_a_6_4032_imagenet", TIMM)
    model = keras_nasnet.NASNetLarge(weights=folder / "timm.safetensors", include_top=False, input_shape=(64, 64, 3))
    whole = values(pairs["timm.safetensors"][0])
    assert_equal(values(model), {path: whole[path] for path in values(model)})
    assert model.get_config()["pool_padding"] == "timm"


# === Refused to write ===


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"genotype": "nasnet_c", "penultimate_filters": 160}, "it has NASNet-A only"),
        ({"stem": "cifar"}, "stem is 'cifar', there it is 'imagenet'"),
        ({"batch_norm_epsilon": 1e-5}, "batch_norm_epsilon is 1e-05"),
    ],
)
def test_networks_that_the_others_do_not_have(tmp_path, options, reason):
    model = NASNet(**SMALL | options)
    (tmp_path / "net.h5").write_bytes(b"as it was")
    assert reason in refusal(formats.save_weights, model, tmp_path / "net.h5")
    assert reason in refusal(formats.save_weights, model, tmp_path / "net.safetensors", "timm")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"as it was"]


def test_the_auxiliary_head_is_left_out_where_there_is_none(tmp_path):
    """As of the checkpoints of TF-slim."""
    model = filled(**SMALL | {"auxiliary_head": True, "input_shape": (96, 96, 3), "pool_padding": "keras"})
    formats.save_weights(model, tmp_path / "net.h5")
    plain = NASNet(**SMALL | {"input_shape": (96, 96, 3), "pool_padding": "keras"})
    convert.from_keras(tmp_path / "net.h5", plain)
    assert_equal(values(plain), {path: values(model)[path] for path in values(plain)})
    assert "auxiliary_head is True" in refusal(convert.to_keras, model, tmp_path / "other.h5")


def test_networks_that_timm_does_not_have(nets, tmp_path):
    model = nets[1]["net.h5"][0]
    assert "num_blocks is 1, there it is 6" in refusal(convert.to_timm, model, tmp_path / "net.safetensors")
    assert "keras.applications" in refusal(
        convert.to_keras, NASNet(**SMALL | {"num_blocks": (1, 1, 2)}), tmp_path / "net.h5"
    )


@pytest.mark.parametrize("name", ["net.pth", "net.tar.gz", "net.onnx", "net"])
def test_names_that_are_not_written(nets, tmp_path, name):
    said = refusal(formats.save_weights, nets[1]["net.h5"][0], tmp_path / name)
    assert "ends in one of .keras, .weights.h5, .h5, .safetensors" in said
    assert "must end in .safetensors" in refusal(formats.target, "net.h5", "timm")


def test_what_reads_back_as_another_model_is_not_kept(nets, tmp_path, monkeypatch):
    first, second = nets[1]["net.h5"]
    real = convert.to_keras
    monkeypatch.setattr(convert, "to_keras", lambda model, path: real(second, path))
    assert "another model was read back" in refusal(formats.save_weights, first, tmp_path / "net.h5")
    assert not list(tmp_path.iterdir())


# === Refused to read ===


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_weights_of_the_model(nets, tmp_path, name):
    folder, pairs = nets
    model = pairs["net.h5" if FILES[name] else "timm.safetensors"][1]
    before = values(model)
    assert "is not for this model" in refusal(formats.load_weights, folder / name, model)
    path = tmp_path / name
    assert "no such file" in refusal(formats.load_weights, path, model)
    path.mkdir()
    assert "not a file" in refusal(formats.load_weights, path, model)
    path.rmdir()
    for content in (b"", b"text\n" * 1000):
        path.write_bytes(content)
        assert name in refusal(formats.load_weights, path, model)
    path.rename(tmp_path / "net.onnx")
    assert "no known format" in refusal(formats.load_weights, tmp_path / "net.onnx", model)
    assert_equal(values(model), before)


def test_keras_weights_of_a_larger_net(nets, tmp_path):
    """Keras itself takes them without a word: what is more has names that it does not look for."""
    model = nets[1]["net.weights.h5"][1]
    before = values(model)
    NASNet(**SMALL | {"num_blocks": (1, 1, 2)}).save_weights(tmp_path / "net.weights.h5")
    assert "is not for this model" in refusal(formats.load_weights, tmp_path / "net.weights.h5", model)
    assert_equal(values(model), before)


@pytest.mark.parametrize("name", ["net.h5", "net.weights.h5"])
@pytest.mark.parametrize("change", ["removed", "added", "changed"])
def test_datasets_that_were_not_there(nets, tmp_path, name, change):
    path = tmp_path / name
    path.write_bytes((nets[0] / name).read_bytes())
    h5_file.check(path)
    with h5py.File(path, "r+") as file:
        found = []
        file.visititems(lambda key, item: found.append(key) if isinstance(item, h5py.Dataset) else None)
        if change == "removed":
            del file[found[-1]]
        elif change == "added":
            file["one_more"] = np.zeros(3)
        else:
            file[found[-1]][...] += 1
    assert "damaged" in refusal(formats.load_weights, path, nets[1][name][1])


# === Fuzz ===

CASES = [pytest.param(20, id="20"), pytest.param(500, id="500", marks=pytest.mark.slow)]


def read_values(path, model, before):
    """Returns what a file fills a model with; the model is as `before` afterwards, also after an error."""
    try:
        formats.load_weights(path, model)
    except ValueError:
        assert_equal(values(model), before)
        raise
    found = values(model)
    for variable in model.weights:
        variable.assign(before[variable.path])
    return found


def fuzz(path, content, cases, read):
    """Calls `read`, which checks what it reads, for damaged versions of a file; returns how many gave no error."""
    random, unseen = np.random.default_rng(cases), 0
    for _ in range(cases):
        path.write_bytes(damaged(content, random))
        started = time.monotonic()
        try:
            read(path)
            unseen += 1
        except ValueError as error:
            assert "\n" not in str(error), error
        assert time.monotonic() - started < 30
    return unseen


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(nets, tmp_path, name, cases):
    """An error of one line and the model as it was; or nothing was hurt, such as a date in a `.keras` file."""
    folder, pairs = nets
    first, model = pairs[name]
    expected, before = values(first), values(model)

    content = (folder / name).read_bytes()
    unseen = fuzz(
        tmp_path / name, content, cases, lambda path: assert_equal(read_values(path, model, before), expected)
    )
    print(f"{name}: {unseen} of {cases} without an error and with the right weights")
    if name.endswith(".h5"):
        assert unseen == 0


@pytest.mark.parametrize("cases", CASES)
def test_damaged_models(nets, tmp_path, cases):
    """Also what belongs to the model beside its weights."""
    folder, pairs = nets
    first = pairs["net.keras"][0]
    expected, config = values(first), first.get_config()

    def read(path):
        model = zoo.load(path)
        assert_equal(values(model), expected)
        assert model.get_config() == config

    fuzz(tmp_path / "net.keras", (folder / "net.keras").read_bytes(), cases, read)


@pytest.mark.parametrize("cases", [5, *CASES[1:]])  # Keras takes a second for each
def test_damaged_keras_weights_without_a_checksum(nets, tmp_path, cases):
    """Keras' own files: an error of one line and the model as it was, or all weights read."""
    first, model = nets[1]["net.weights.h5"]
    before = values(model)
    first.save_weights(tmp_path / "whole.weights.h5")

    content = (tmp_path / "whole.weights.h5").read_bytes()
    fuzz(tmp_path / "net.weights.h5", content, cases, lambda path: read_values(path, model, before))
