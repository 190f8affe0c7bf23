"""Checkpoints of shared weights: read as they were written, or refused in one line."""

import json
import os

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from keras_nasnet.search.supernet.checkpoint import SupernetState, load_state, save_state
from tests.support.damage import damaged

SETTINGS = {"filters": 4, "batch": 8}
RECORD = {"child": "digest", "seed": 1, "result": {"reward": 0.5, "extra": {"loss": 1.0}}}


@pytest.fixture
def path(tmp_path):
    state = SupernetState(SETTINGS, 10, trials={"1": RECORD})
    vectors = {f"cell/{number}": np.random.default_rng(number).normal(size=50).astype("float32") for number in range(4)}
    save_state(tmp_path / "supernet.safetensors", state.after(10, vectors, vectors, "2", RECORD))
    return tmp_path / "supernet.safetensors"


def change(path, header=None, **tensors):
    """Writes the file anew as a version without checksums would have, with other content."""
    data = json.loads(_metadata(path))
    save_file(load_file(path) | tensors, path, {"supernet": json.dumps({**data, **(header or {})})})


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.metadata()["supernet"]


def test_what_was_written_is_read_also_without_a_checksum(path):
    state = load_state(path, SETTINGS)
    assert (state.step, set(state.trials), state.weights["cell/0"].shape) == (20, {"1", "2"}, (50,))
    change(path)
    assert load_state(path, SETTINGS).trials == state.trials


def test_a_thousand_damaged_files_are_refused_in_one_line(path):
    content = path.read_bytes()
    for number in range(1000):
        path.write_bytes(changed := damaged(content, np.random.default_rng(number)))
        if changed == content:
            continue
        try:
            state = load_state(path, SETTINGS)
        except ValueError as error:
            assert "\n" not in str(error) and str(path) in str(error)
        else:  # a blank within the file's own header
            assert state.step == 20


@pytest.mark.parametrize(
    "header",
    [
        {"settings": []},
        {"step": "20"},
        {"step": -1},
        {"step": True},
        {"trials": []},
        {"trials": {"1": 3}},
        {"trials": {"1": {"child": "x", "seed": 1}}},
        {"trials": {"1": {**RECORD, "result": {"reward": 0.5, "colour": 3}}}},
        {"trials": {str(number): RECORD for number in range(101)}},
    ],
)
def test_a_header_that_says_something_else_is_refused(path, header):
    change(path, header)
    with pytest.raises(ValueError, match=r"not a checkpoint of shared weights .*: delete it to begin anew"):
        load_state(path, SETTINGS)


@pytest.mark.parametrize(
    "tensor",
    [np.full(3, np.nan, "float32"), np.zeros(3, "int64"), np.zeros((2, 2), "float32"), np.full(3, np.inf, "float32")],
)
def test_weights_that_are_none_are_refused(path, tensor):
    change(path, **{"weights cell/0": tensor})
    with pytest.raises(ValueError, match="its weights are no vectors of finite numbers"):
        load_state(path, SETTINGS)


def test_a_pipe_in_its_place_hangs_nobody(path):
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="no file"):
        load_state(path, SETTINGS)
