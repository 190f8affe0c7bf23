"""Our weights format: whole, by name, or not at all."""

import functools

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.zoo.formats import weights_file
from tests.support.toy import NETWORK


@functools.cache
def small(classes=3):
    """A network that each test may change."""
    return NASNet(**NETWORK, stem="cifar", classes=classes)


def filled(value):
    for weight in small().weights:
        weight.assign(np.random.default_rng(value).normal(size=weight.shape))
    return small()


def values(model):
    return [keras.ops.convert_to_numpy(weight).copy() for weight in model.weights]


def test_round_trip_is_exact(tmp_path):
    weights_file.save(filled(1), tmp_path / "net.safetensors")
    expected = values(small())
    weights_file.load(tmp_path / "net.safetensors", filled(2))
    assert all(np.array_equal(a, b) for a, b in zip(expected, values(small()), strict=True))


def test_float16_rounds(tmp_path):
    weights_file.save(filled(1), tmp_path / "net.safetensors", dtype="float16")
    rounded = [value.astype("float16").astype("float32") for value in values(small())]
    weights_file.load(tmp_path / "net.safetensors", filled(2))
    assert all(np.array_equal(a, b) for a, b in zip(rounded, values(small()), strict=True))


def test_what_float16_cannot_hold_leaves_nothing_behind(tmp_path):
    model = filled(1)
    model.weights[0].assign(keras.ops.full(model.weights[0].shape, 1e6))
    with pytest.raises(ValueError, match="float16 cannot hold"):
        weights_file.save(model, tmp_path / "net.safetensors", dtype="float16")
    assert not list(tmp_path.iterdir())


def test_another_models_file_is_refused_and_changes_nothing(tmp_path):
    weights_file.save(small(classes=4), tmp_path / "net.safetensors")
    model = small()
    before = values(model)
    with pytest.raises(ValueError, match=r"predictions/bias: the file has \(4,\), the model \(3,\)"):
        weights_file.load(tmp_path / "net.safetensors", model)
    assert all(np.array_equal(a, b) for a, b in zip(before, values(model), strict=True))


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, None])
def test_broken_file(tmp_path, content):
    path = tmp_path / "net.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.safetensors: (not a safetensors file|no such file)"):
        weights_file.load(path, small())
