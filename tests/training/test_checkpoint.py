"""Checkpoints: exact, whole or not at all, and refused where they do not fit."""

import errno
import json
import os
import random
from pathlib import Path

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from keras_nasnet.training.checkpoint import FILE, Checkpoint


def variables():
    state = keras.random.SeedGenerator(3).state
    return [
        keras.Variable(np.random.default_rng(0).normal(size=(3, 4)).astype("float32"), name="kernel"),
        keras.Variable(np.float32(0.1), name="scalar"),
        keras.Variable(7, dtype="int32", name="iterations"),
        state,
        state,  # listed twice, as shared state is
    ]


def numbers(some):
    return [keras.ops.convert_to_numpy(variable).copy() for variable in some]


def test_values_and_progress_come_back_exactly(tmp_path):
    saved = variables()
    checkpoint = Checkpoint(tmp_path / FILE)
    assert checkpoint.progress() is None
    progress = {"step": 12, "sums": [0.1 + 0.2, 1e-300, 3.0], "best": None}
    checkpoint.save(saved, progress)
    loaded = variables()
    for variable in loaded:
        variable.assign(keras.ops.zeros_like(variable))
    checkpoint.load(loaded)
    for before, after in zip(numbers(saved), numbers(loaded), strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype and before.shape == after.shape
    assert checkpoint.progress() == progress


def test_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / FILE)
    checkpoint.save(variables(), {"step": 1})

    def full_disk(path, data):
        with open(path, "wb") as file:
            file.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(variables(), {"step": 2})
    assert checkpoint.progress() == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_another_networks_checkpoint_changes_nothing(tmp_path):
    checkpoint = Checkpoint(tmp_path / FILE)
    checkpoint.save(variables(), {})
    others = [keras.Variable(np.zeros((3, 5), "float32"), name="kernel"), *variables()[1:]]
    with pytest.raises(ValueError, match="another network or recipe: they differ in kernel"):
        checkpoint.load(others)
    with pytest.raises(ValueError, match="they differ in scalar"):
        checkpoint.load(variables()[:1])
    assert not keras.ops.convert_to_numpy(others[0]).any()


@pytest.mark.parametrize("data", [b"", b"nonsense", b"\x02\0\0\0\0\0\0\0{}"])
def test_other_files_are_no_checkpoints(tmp_path, data):
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(ValueError, match="not a checkpoint"):
        Checkpoint(tmp_path / FILE).progress()


def test_a_thousand_damaged_checkpoints_are_refused(tmp_path):
    checkpoint, rng = Checkpoint(tmp_path / FILE), random.Random(0)
    checkpoint.save(variables(), {"step": 3, "sums": [1.0, 2.0]})
    data, others = checkpoint.path.read_bytes(), variables()
    for number in range(1000):
        damaged = bytearray(data)
        place = rng.randrange(len(data))
        if number % 10 == 0:
            del damaged[place:]
        elif number % 10 == 1:
            damaged[place:place] = rng.randbytes(3)
        else:
            damaged[place] ^= 1 << rng.randrange(8)
        checkpoint.path.write_bytes(damaged)
        with pytest.raises(ValueError, match="put back a copy of it, or begin anew in another folder"):
            checkpoint.progress()
        with pytest.raises(ValueError):
            checkpoint.load(others)


def test_checkpoints_of_the_first_version_have_no_checksum(tmp_path):
    tensors = {f"{place:05} v": np.full(3, place, "float32") for place in range(2)}
    save_file(tensors, tmp_path / FILE, {"progress": json.dumps({"step": 7})})
    state = [keras.Variable(np.zeros(3, "float32"), name="v") for _ in range(2)]
    checkpoint = Checkpoint(tmp_path / FILE)
    assert checkpoint.progress() == {"step": 7}
    checkpoint.load(state)
    assert [float(keras.ops.sum(variable)) for variable in state] == [0, 3]


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / FILE)
    with pytest.raises(ValueError, match="no such file"):
        Checkpoint(tmp_path / FILE).progress()
