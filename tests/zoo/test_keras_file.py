"""Files that are called .keras: damaged, hostile, or something else; each is refused in one line, and soon."""

import json
import os
import zipfile

import h5py
import pytest

from keras_nasnet.common import limits
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.formats import keras_file
from tests.support.small_run import SMALL, write_run

OWN = {"module": "keras_nasnet.models.classifier", "class_name": "NASNet", "registered_name": "keras_nasnet>NASNet"}


def refusal(act, path):
    with pytest.raises(ValueError) as error:
        act(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


def write(path, config, compression=zipfile.ZIP_STORED, weights=b""):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", config if isinstance(config, bytes) else json.dumps(config))
        archive.writestr("model.weights.h5", weights)
    return path


# === Without Keras ===


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "model.keras")
    assert "not a .keras file" in refusal(loading.check, tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"[" * 1_000_000, "too deeply"),
        (b'{"class_name": ' + b"1" * 400 + b"}", "an integer of 400 digits"),
        (b"[]", "config.json is not a model's"),
        (b"null", "config.json is not a model's"),
        (b"\xff\xfe", "config.json"),
        (OWN, "config.json is not a model's"),
        (OWN | {"config": []}, "config.json is not a model's"),
        (OWN | {"class_name": 7, "registered_name": None, "config": {}}, "config.json is not a model's"),
        (OWN | {"config": {"name": "x" * 10_000}}, "the model's name is"),
        (OWN | {"registered_name": "keras_nasnet>FoldedNASNet", "config": {}}, "give the model that it was exported"),
        (OWN | {"registered_name": "mine>NASNet", "config": {}}, "holds a layer 'mine>NASNet'"),
        ({"class_name": "\x1b[2J", "config": {}}, r"holds a \x1b[2J, not a NASNet"),
        ({"class_name": "Sequential", "config": {"layers": [7] * 3000}}, "has 3,000 layers"),
    ],
)
def test_a_config_that_is_none(tmp_path, config, words):
    assert words in refusal(loading.check, write(tmp_path / "model.keras", config))


def test_a_config_within_itself(tmp_path):
    config = {"class_name": "Sequential", "config": {"layers": []}}
    for _ in range(200):
        config = {"class_name": "Sequential", "config": {"layers": [config]}}
    assert "models lie too deeply" in refusal(loading.check, write(tmp_path / "model.keras", config))


def test_blanks_are_not_unpacked(tmp_path):
    config = b" " * (limits.METADATA_BYTES + 1)
    path = write(tmp_path / "model.keras", config, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    assert "config.json in it has 16,777,217 bytes: at most 16,777,216" in refusal(loading.check, path)


def test_other_compressions_unpack_without_a_bound(tmp_path):
    path = write(tmp_path / "model.keras", OWN, zipfile.ZIP_LZMA)
    assert "compressed in a way that Keras never does" in refusal(loading.check, path)


def test_a_list_of_too_many_members_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "model.keras", OWN)
    monkeypatch.setattr(limits, "ARCHIVE_MEMBERS", 1)
    assert "a list of 2 members" in refusal(loading.check, path)


def test_members_that_are_not_there(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("../config.json", "{}")
    assert "no config.json is in it" in refusal(loading.check, tmp_path / "model.keras")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path):
    path = write(tmp_path / "model.keras", OWN)
    path.chmod(0)
    assert "cannot be read" in refusal(loading.check, path)


def test_other_files_say_what_to_do(tmp_path):
    with h5py.File(tmp_path / "whole.h5", "w") as file:
        file.attrs["model_config"] = "{}"
    assert "a Keras model in HDF5: write it anew" in refusal(loading.check, tmp_path / "whole.h5")
    for name in ("net.h5", "net.weights.h5", "net.safetensors", "net.pth"):
        (tmp_path / name).touch()
        assert "weights alone: `keras-nasnet zoo convert" in refusal(loading.check, tmp_path / name)
    (tmp_path / "letter.txt").touch()
    assert refusal(loading.check, tmp_path / "letter.txt").endswith("letter.txt: not a .keras file")
    assert "no model is named" in refusal(loading.check, "")
    assert "cannot be read" in refusal(loading.check, "x" * 300 + ".keras")


def test_names_of_other_code_are_aliases(tmp_path, monkeypatch):
    assert loading.locate("NASNetMobile") == loading.Place("nasnet_a_mobile_keras", "entry")
    assert set(entries.ALIASES.values()) <= set(entries.names())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nasnet_mobile").mkdir()  # a folder of that name is meant
    assert "no model in this folder" in refusal(loading.check, "nasnet_mobile")


# === With Keras ===


def test_a_network_whose_weights_cannot_be_in_the_file_takes_no_memory(tmp_path):
    """Two kilobytes that ask for a network of gigabytes, in its cells or in its auxiliary head."""
    for change in (
        {"penultimate_filters": 4_000, "num_blocks": 20},
        {"auxiliary_head": True, "input_shape": [900, 900, 3]},
    ):
        config = SMALL | {"classes": 3} | change
        path = write(tmp_path / "model.keras", OWN | {"config": config}, weights=b"x" * 2000)
        loading.check(path)
        assert "weights or more, the file of its weights 2,000 bytes" in refusal(loading.load, path)


def test_weights_larger_than_the_network_are_not_unpacked(tmp_path, monkeypatch):
    write_run(tmp_path)
    monkeypatch.setattr("keras_nasnet.zoo.formats.saved._OVERHEAD", 0)
    monkeypatch.setattr("keras_nasnet.zoo.formats.saved._PER_WEIGHT", 1)
    assert "model.weights.h5 in it has" in refusal(loading.load, tmp_path / "model.keras")


def test_files_are_verified_without_building(tmp_path):
    write_run(tmp_path)
    path = tmp_path / "model.keras"
    assert loading.verify(path) == loading.verify(tmp_path) == [path]
    described = loading.describe(tmp_path)
    assert described["class_names"] == ["ant", "bee", "größe"]
    assert described["network"]["classes"] == 3
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "cannot be loaded (Bad CRC-32" in refusal(keras_file.verify, path)
