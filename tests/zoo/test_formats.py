"""Models written in other formats: read by the code they are for, to the last bit here, and refused when damaged."""

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.nasnet import NASNet as ApplicationsNASNet
from safetensors.numpy import load_file, save_file

import keras_nasnet
from keras_nasnet import NASNet, zoo
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo.formats import h5_file, keras_h5, weights_file
from keras_nasnet.zoo.formats.keras_h5 import from_keras, to_keras
from keras_nasnet.zoo.formats.registry import format_to_write, load_weights, save_weights
from keras_nasnet.zoo.formats.timm import from_timm, to_timm
from tests.support.damage import damaged
from tests.support.same_weights import assert_equal, values
from tests.support.toy import NETWORK

SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "classes": 3}
SHOWN = {"class_names": ["a", "b", "c"], "preprocessing": {"height": 64, "width": 48}}
TIMM = SMALL | {"num_blocks": 6, "skip_reduction": True}
TOY = {**NETWORK, "stem": "cifar", "stem_filters": 4, "classes": 3}
# The networks that are written: other code has only NASNet-A.
NETWORKS = {"toy": TOY | SHOWN, "small": SMALL, "timm": TIMM}
# The name of a file for each format that is written, what `to` it needs, and which network is in it.
FILES = {
    "net.keras": (None, "toy"),
    "net.weights.h5": (None, "toy"),
    "net.h5": (None, "small"),
    "net.safetensors": (None, "toy"),
    "timm.safetensors": ("timm", "timm"),
}


def filled(seed=0, **options):
    """A net with random weights, of which also the statistics of batch normalization are random."""
    with without_random_values():
        return fill(NASNet(**options), seed)


def fill(model, seed):
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


class Nets:
    """A folder with each of FILES, and the networks in them, which have other weights than their files."""

    def __init__(self, folder):
        self.folder = folder
        self.networks = {name: filled(0, **options) for name, options in NETWORKS.items()}
        self.written = {name: values(network) for name, network in self.networks.items()}
        for name, (to, network) in FILES.items():
            format_to_write(name, to).write(self.networks[network], folder / name)
        for network in self.networks.values():
            fill(network, 1)
        self.others = {name: values(network) for name, network in self.networks.items()}
        self.lent = set()

    def of(self, file):
        """The network of a file, and the weights that are in the file."""
        name = FILES[file][1]
        self.lent.add(name)
        return self.networks[name], self.written[name]

    def restore(self):
        for name in self.lent:
            for variable in self.networks[name].weights:
                variable.assign(self.others[name][variable.path])


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    return Nets(tmp_path_factory.mktemp("nets"))


@pytest.fixture
def restored(nets):
    """For tests that change the networks that they are lent."""
    nets.lent.clear()
    yield
    nets.restore()


# === Written and read ===


@pytest.mark.parametrize("name", FILES)
def test_round_trip_is_exact(nets, restored, name):
    model, expected = nets.of(name)
    load_weights(nets.folder / name, model)
    assert_equal(values(model), expected)


@pytest.mark.parametrize("name", FILES)
def test_what_is_saved_was_read_back(nets, tmp_path, name):
    model, _ = nets.of(name)
    save_weights(model, tmp_path / name, FILES[name][0])
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() != (nets.folder / name).read_bytes()


def test_keras_reads_its_weights(nets, restored):
    model, expected = nets.of("net.weights.h5")
    model.load_weights(nets.folder / "net.weights.h5")
    assert_equal(values(model), expected)


def check_applications(folder, size, num_blocks, skip_reduction):
    config = {"num_blocks": num_blocks, "penultimate_filters": 192, "skip_reduction": skip_reduction, "classes": 3}
    model = filled(**config, stem_filters=8, pool_padding="keras", classifier_activation=None)
    to_keras(model, folder / "net.h5")
    with without_random_values():
        other = ApplicationsNASNet(
            (size, size, 3), stem_block_filters=8, weights=None, default_size=size, classifier_activation=None, **config
        )
    other.load_weights(folder / "net.h5")
    assert relative_error(outputs(other, size), outputs(model, size)) <= 1e-5


def test_keras_applications_reads_the_legacy_file(tmp_path, monkeypatch):
    monkeypatch.setattr(keras_h5, "_NAMES_IN_ATTRIBUTE", 60)  # the names of the layers take three attributes
    check_applications(tmp_path, 65, 1, True)


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
    model = filled(**VARIANTS[name] | {"classifier_activation": None}, pool_padding="keras")
    to_keras(model, path)
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
    to_timm(model, path)
    other = timm.create_model("nasnetalarge", checkpoint_path=str(path), num_classes=3, num_features=192, stem_size=8)
    error = relative_error(timm_outputs(other, size), outputs(model, size))
    print(f"relative error {error:.1e}")
    assert error <= 1e-5
    # And what timm saves of it is the same.
    names = set(other.state_dict()) - set(load_file(path))
    assert all(name.endswith(".num_batches_tracked") for name in names)
    save_file({name: tensor.numpy() for name, tensor in other.state_dict().items()}, tmp_path / "theirs.safetensors")
    before = values(model)
    from_timm(tmp_path / "theirs.safetensors", model)
    assert_equal(values(model), before)


@pytest.mark.slow
def test_timm_large(timm, tmp_path):
    variant = VARIANTS["nasnet_a_6_4032_imagenet"]
    model = filled(**variant | {"classifier_activation": None}, pool_padding="timm")
    path = tmp_path / "net.safetensors"
    to_timm(model, path)
    expected = outputs(model, 331)
    del model
    error = relative_error(timm_outputs(timm.create_model("nasnetalarge", checkpoint_path=str(path)), 331), expected)
    print(f"relative error {error:.1e}")
    assert error <= 1e-5


def test_applications_take_files_with_the_pools_of_their_code(nets, monkeypatch):
    for name, options, padding in (("net.h5", SMALL, "keras"), ("net.safetensors", TOY, "same")):
        monkeypatch.setitem(VARIANTS, "nasnet_a_4_1056_imagenet", options)
        model = keras_nasnet.NASNetMobile(weights=nets.folder / name, classes=3)
        assert_equal(values(model), nets.of(name)[1])
        assert model.get_config()["pool_padding"] == padding
    monkeypatch.setitem(VARIANTS, "nasnet_a_6_4032_imagenet", TIMM)
    path = nets.folder / "timm.safetensors"
    model = keras_nasnet.NASNetLarge(weights=path, include_top=False, input_shape=(64, 64, 3))
    whole = nets.of("timm.safetensors")[1]
    assert_equal(values(model), {path: whole[path] for path in values(model)})
    assert model.get_config()["pool_padding"] == "timm"


# === Refused to write ===


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (TOY, "it has NASNet-A only"),
        ({"stem": "cifar"}, "stem is 'cifar', there it is 'imagenet'"),
        ({"batch_norm_epsilon": 1e-5}, "batch_norm_epsilon is 1e-05"),
    ],
)
def test_networks_that_the_others_do_not_have(tmp_path, options, reason):
    with without_random_values():
        model = NASNet(**SMALL | options)
    (tmp_path / "net.h5").write_bytes(b"as it was")
    assert reason in refusal(save_weights, model, tmp_path / "net.h5")
    assert reason in refusal(save_weights, model, tmp_path / "net.safetensors", "timm")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"as it was"]


def test_the_auxiliary_head_is_left_out_where_there_is_none(nets, restored, tmp_path):
    """As of the checkpoints of TF-slim."""
    model = filled(**SMALL | {"auxiliary_head": True, "input_shape": (96, 96, 3), "pool_padding": "keras"})
    save_weights(model, tmp_path / "net.h5")
    plain, _ = nets.of("net.h5")
    from_keras(tmp_path / "net.h5", plain)
    expected, found = values(model), values(plain)
    assert_equal(found, {path: expected[path] for path in found})
    assert "auxiliary_head is True" in refusal(to_keras, model, tmp_path / "other.h5")


def test_networks_that_timm_does_not_have(nets, tmp_path):
    model = nets.networks["small"]
    assert "num_blocks is 1, there it is 6" in refusal(to_timm, model, tmp_path / "net.safetensors")
    with without_random_values():
        uneven = NASNet(**SMALL | {"num_blocks": (1, 1, 2)})
    assert "keras.applications" in refusal(to_keras, uneven, tmp_path / "net.h5")


@pytest.mark.parametrize("name", ["net.pth", "net.tar.gz", "net.onnx", "net"])
def test_names_that_are_not_written(nets, tmp_path, name):
    said = refusal(save_weights, nets.networks["small"], tmp_path / name)
    assert "ends in one of .keras, .weights.h5, .h5, .safetensors" in said
    assert "must end in .safetensors" in refusal(format_to_write, "net.h5", "timm")


def test_what_reads_back_as_another_model_is_not_kept(nets, tmp_path, monkeypatch):
    def save_another(model, path):
        weights_file.write(path, nets.written["toy"])

    monkeypatch.setattr(weights_file, "save", save_another)
    assert "another model was read back" in refusal(save_weights, nets.networks["toy"], tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


# === Refused to read ===


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_weights_of_the_model(nets, tmp_path, name):
    model = nets.networks["timm" if FILES[name][1] == "small" else "small"]
    before = values(model)
    assert "is not for this model" in refusal(load_weights, nets.folder / name, model)
    path = tmp_path / name
    assert "no such file" in refusal(load_weights, path, model)
    path.mkdir()
    assert "not a file" in refusal(load_weights, path, model)
    path.rmdir()
    for content in (b"", b"text\n" * 1000):
        path.write_bytes(content)
        assert name in refusal(load_weights, path, model)
    path.rename(tmp_path / "net.onnx")
    assert "no known format" in refusal(load_weights, tmp_path / "net.onnx", model)
    assert_equal(values(model), before)


def test_keras_weights_of_a_larger_net(nets, tmp_path):
    """Keras itself takes them without a word: what is more has names that it does not look for."""
    model, _ = nets.of("net.weights.h5")
    before = values(model)
    with without_random_values():
        larger = NASNet(**TOY | {"num_blocks": (1, 1, 2)})
    larger.save_weights(tmp_path / "net.weights.h5")
    assert "is not for this model" in refusal(load_weights, tmp_path / "net.weights.h5", model)
    assert_equal(values(model), before)


@pytest.mark.parametrize("name", ["net.h5", "net.weights.h5"])
@pytest.mark.parametrize("change", ["removed", "added", "changed"])
def test_datasets_that_were_not_there(nets, tmp_path, name, change):
    path = tmp_path / name
    path.write_bytes((nets.folder / name).read_bytes())
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
    assert "damaged" in refusal(load_weights, path, nets.of(name)[0])


# === Fuzz ===

CASES = [pytest.param(10, id="10"), pytest.param(500, id="500", marks=pytest.mark.slow)]


def read_values(path, model, before):
    """Returns what a file fills a model with; the model is as `before` afterwards, also after an error."""
    try:
        load_weights(path, model)
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
        try:
            read(path)
            unseen += 1
        except ValueError as error:
            assert "\n" not in str(error), error
    return unseen


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(nets, tmp_path, name, cases):
    """An error of one line and the model as it was; or nothing was hurt, such as a date in a `.keras` file."""
    model, expected = nets.of(name)
    before = values(model)

    content = (nets.folder / name).read_bytes()
    unseen = fuzz(
        tmp_path / name, content, cases, lambda path: assert_equal(read_values(path, model, before), expected)
    )
    print(f"{name}: {unseen} of {cases} without an error and with the right weights")
    if name.endswith(".h5"):
        assert unseen == 0


@pytest.mark.parametrize("cases", CASES)
def test_damaged_models(nets, tmp_path, cases):
    """Also what belongs to the model beside its weights."""
    model, expected = nets.of("net.keras")
    config = model.get_config()

    def read(path):
        model = zoo.load(path)
        assert_equal(values(model), expected)
        assert model.get_config() == config

    fuzz(tmp_path / "net.keras", (nets.folder / "net.keras").read_bytes(), cases, read)


@pytest.mark.parametrize("cases", [5, *CASES[1:]])  # Keras takes a second for each
def test_damaged_keras_weights_without_a_checksum(nets, tmp_path, cases):
    """Keras' own files: an error of one line and the model as it was, or all weights read."""
    model, _ = nets.of("net.weights.h5")
    before = values(model)
    model.save_weights(tmp_path / "whole.weights.h5")

    content = (tmp_path / "whole.weights.h5").read_bytes()
    fuzz(tmp_path / "net.weights.h5", content, cases, lambda path: read_values(path, model, before))
