"""PyTorch's files in the wrappings that people have: read as they are, or refused in one line; nothing is unpickled."""

import argparse
import pickle
import zipfile

import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common import limits
from keras_nasnet.zoo.formats import weights_file
from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS, format_of, load_weights
from keras_nasnet.zoo.formats.timm import to_timm
from tests.support.same_weights import assert_equal, values

torch = pytest.importorskip("torch", reason="reads PyTorch's files")

NETWORK = {"num_blocks": 6, "penultimate_filters": 192, "stem_filters": 8, "skip_reduction": True, "classes": 1000}
HEAD = ("last_linear.weight", "last_linear.bias")


class Exact:
    """A network whose weights all formats hold exactly, and timm's state dict of it."""

    def __init__(self, folder):
        with without_random_values():
            self.model = NASNet(**NETWORK)
        random = np.random.default_rng(0)
        for variable in self.model.weights:
            variable.assign(random.integers(-8, 9, variable.shape) / 8)
        self.weights = values(self.model)
        to_timm(self.model, folder / "net.safetensors")
        arrays = weights_file.read(folder / "net.safetensors")
        self.state = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        self.zeros = {name: tensor * 0 for name, tensor in self.state.items()}


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    return Exact(tmp_path_factory.mktemp("exact"))


def prefixed(prefix, state):
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def with_background(state):
    return state | {name: torch.cat([state[name][:1] + 1, state[name]]) for name in HEAD}


def as_type(state, dtype):
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def parameters(state):
    return {
        name: torch.nn.Parameter(tensor) if tensor.is_floating_point() else tensor for name, tensor in state.items()
    }


# By name of the file: what is in it, given the weights and zeros in their place, and whether it has averages.
WRAPPINGS = {
    "flat.pth": (lambda state, zeros: state, False),
    "background.pth": (lambda state, zeros: with_background(state), False),
    "wrapped.pth": (lambda state, zeros: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}}, False),
    "model.pth": (lambda state, zeros: {"model": state, "ema": None}, False),
    "deeper.pth": (lambda state, zeros: {"checkpoint": 1, "model": {"module": state}}, False),
    "timm.pth": (lambda state, zeros: {"state_dict": zeros, "state_dict_ema": state}, True),
    "model_ema.pth": (lambda state, zeros: {"model": zeros, "model_ema": state}, True),
    "shadow.pth": (lambda state, zeros: {"state_dict": zeros, "ema": {"model": state}}, True),
    "ema_in_one.ckpt": (
        lambda state, zeros: {"state_dict": prefixed("model.", zeros) | prefixed("ema_model.module.", state)},
        True,
    ),
    "swa.pth": (lambda state, zeros: prefixed("module.", state) | {"n_averaged": torch.tensor(7)}, False),
    "parallel.pth": (lambda state, zeros: prefixed("module.", state), False),
    "lightning.ckpt": (lambda state, zeros: {"state_dict": prefixed("model.", state), "epoch": 1}, False),
    "compiled.pt": (lambda state, zeros: prefixed("module._orig_mod.", state), False),
    "plain.pth.tar": (lambda state, zeros: state, False),
    "pytorch_model.bin": (lambda state, zeros: state, False),
    "no suffix": (lambda state, zeros: state, False),
    "half.pth": (lambda state, zeros: as_type(state, torch.float16), False),
    "bfloat16.pth": (lambda state, zeros: as_type(state, torch.bfloat16), False),
    "double.pth": (lambda state, zeros: as_type(state, torch.float64), False),
    "parameters.pth": (lambda state, zeros: parameters(state), False),
}


LEGACY = ["flat.pth", "timm.pth", "plain.pth.tar", "no suffix"]  # written as before PyTorch 1.6 too


@pytest.mark.parametrize(
    ("name", "legacy"), [*((name, False) for name in WRAPPINGS), *((name, True) for name in LEGACY)]
)
def test_what_people_have_is_read_exactly(exact, tmp_path, capsys, name, legacy):
    wrap, has_averages = WRAPPINGS[name]
    torch.save(wrap(exact.state, exact.zeros), tmp_path / name, _use_new_zipfile_serialization=not legacy)
    for variable in exact.model.weights:
        variable.assign(np.ones(variable.shape))
    assert format_of(tmp_path / name) is WEIGHT_FORMATS.get("timm")
    load_weights(tmp_path / name, exact.model)
    assert_equal(values(exact.model), exact.weights)
    said = capsys.readouterr().err
    assert said.count("moving averages are taken") == has_averages, said


def refusal(path, model):
    before = values(model)
    with pytest.raises(ValueError) as error:
        load_weights(path, model)
    assert_equal(values(model), before)
    text = str(error.value)
    assert text.isprintable() and "\n" not in text and len(text) < 600, text
    assert "weights_only" not in text and "add_safe_globals" not in text, text
    return text


class Runs:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("legacy", [False, True], ids=["", "legacy"])
def test_objects_are_named_and_not_unpickled(exact, tmp_path, legacy):
    mark = str(tmp_path / "mark")
    for content, name in (
        ({"state_dict_ema": exact.state, "args": argparse.Namespace(lr=1)}, "argparse.Namespace"),
        ({"state_dict": exact.state, "hook": Runs(mark)}, "open"),
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    ):
        torch.save(content, tmp_path / "args.pth", _use_new_zipfile_serialization=not legacy)
        text = refusal(tmp_path / "args.pth", exact.model)
        assert name in text and "torch.save(model.state_dict()" in text
    assert not (tmp_path / "mark").exists()


def test_what_is_no_plain_tensor_is_named(exact, tmp_path):
    name = "conv0.conv.weight"
    flat = exact.state[name]
    for changed, words in (
        (flat.to_sparse(), "sparse"),
        (torch.quantize_per_tensor(flat, 0.1, 0, torch.qint8), "not a plain tensor"),
        (flat.to(torch.complex64), "complex"),
        (flat * float("nan"), "not finite"),
        (flat / 0, "not finite"),
        (flat.double() + 1e300, "not finite"),
        (flat[:1], "shape"),
        (torch.zeros(1).expand(10**12), "shape"),  # 4 bytes that claim terabytes
    ):
        torch.save(exact.state | {name: changed}, tmp_path / "odd.pth")
        text = refusal(tmp_path / "odd.pth", exact.model)
        assert name in text and words in text


@pytest.mark.parametrize("content", [{}, [1], {"epoch": 1}, {"state_dict": {}}, {"model": {"a": 1}}, torch.zeros(2)])
def test_what_holds_no_weights(exact, tmp_path, content):
    torch.save(content, tmp_path / "none.pth")
    assert "not a state dict" in refusal(tmp_path / "none.pth", exact.model)


def test_what_is_no_file_of_pytorch(exact, tmp_path, monkeypatch):
    path = tmp_path / "net.pth"
    for content in (b"", b"text\n" * 100, pickle.dumps({"a": Runs(str(tmp_path / "mark"))}), b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        refusal(path, exact.model)
    torch.save(exact.state, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refusal(path, exact.model)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", bytes(2**21))
    monkeypatch.setattr(limits, "UNPACKED_BYTES", 2**20)
    assert "unpack to more than" in refusal(path, exact.model)
    assert not (tmp_path / "mark").exists()
