"""Children trained from scratch, on scikit-learn's digits."""

import math
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest

from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.child_training import train_child
from keras_nasnet.search.evaluators.data import open_search_data
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.evaluators.scratch import Scratch
from keras_nasnet.search.trial import Fidelity
from keras_nasnet.training.checkpoint import Checkpoint
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.network import train_all
from keras_nasnet.training.recipe import Recipe
from tests.support import JAX, environment
from tests.support.eager import eagerly
from tests.support.same_weights import values
from tests.support.toy import GENOTYPE, dataset

pytest.importorskip("sklearn")

QUICK = Fidelity(epochs=1, images=128, filters=4, num_blocks=1)
_CELL = CellSpec((Block((0, 1), ("conv_1x1", "identity")),), ((2,),))
SMALL = Genotype(_CELL, _CELL)  # less to trace than `GENOTYPE`


@pytest.fixture(scope="module")
def digits():
    return open_search_data("digits", held_out=300)


@pytest.fixture
def scratch(digits):
    return Scratch(digits, augmentation="none")


@pytest.fixture(scope="module")
def few(digits):
    """Digits of which a batch is held out."""
    return replace(digits, validation=digits.validation.subset(np.arange(64)))


@pytest.fixture
def few_steps():
    with eagerly():
        yield


def test_a_child_learns(scratch, tmp_path):
    result = scratch.evaluate(GENOTYPE, replace(QUICK, epochs=4, images=None), 0, tmp_path)
    assert result.reward > 0.5  # a tenth is chance
    child = make_child(GENOTYPE, QUICK, 10, (8, 8, 3))
    assert result.params == sum(math.prod(weight.shape) for weight in child.trainable_weights)
    assert result.mult_adds > result.params and result.seconds > 0 and result.device
    assert result.error is None
    assert list(tmp_path.iterdir()) == []


def test_the_same_arguments_give_the_same_reward(few, tmp_path, few_steps):
    scratch = Scratch(few, augmentation="none")
    one, same, other = (scratch.evaluate(SMALL, QUICK, seed, tmp_path) for seed in (1, 1, 2))
    assert (one.reward, one.extra) == (same.reward, same.extra)
    assert one.extra != other.extra


def test_test_images_are_refused():
    with pytest.raises(ValueError, match="must not see test images"):
        Scratch(dataset())


def test_options_come_as_plain_data(tmp_path):
    config = {"name": "scratch", "data": "digits", "held_out": 100, "batch": 32, "augmentation": "none", "seed": 3}
    evaluator = make_evaluator(config)
    assert evaluator.dataset.test is None
    assert evaluator.dataset.validation.size == 100
    with pytest.raises(ValueError, match="strategy is 'none'"):
        make_evaluator(config | {"strategy": "none"})
    with pytest.raises(ValueError, match="augmentation 'inception'"):
        make_evaluator(config | {"augmentation": "inception"})
    with pytest.raises(TypeError, match="learning_rat"):
        make_evaluator(config | {"learning_rat": 1.0})


def test_a_loss_that_is_no_number_is_an_error_of_the_child(few, tmp_path, few_steps):
    scratch = Scratch(few, augmentation="none", learning_rate=1e30, clip_norm=0.0, keep_weights=True)
    result = scratch.evaluate(SMALL, QUICK, 0, tmp_path)
    assert result.reward is None and result.error.kind == "nan" and "loss" in result.error.message
    assert result.params
    assert list(tmp_path.iterdir()) == []


def test_fewer_images_are_as_many_of_each_class_and_the_same_every_time(scratch):
    few, again = (scratch._dataset(100) for _ in range(2))
    assert few.train.size == 100
    assert set(few.train.class_counts()) == {10}
    np.testing.assert_array_equal(few.train.images, again.train.images)
    assert few.validation is scratch.dataset.validation


def test_fidelities_that_cannot_be_had_are_refused(scratch, tmp_path, monkeypatch):
    child = make_child(SMALL, QUICK, 10, (8, 8, 3))
    monkeypatch.setattr("keras_nasnet.search.evaluators.scratch.make_child", lambda *arguments: child)
    for fidelity, words in (
        (replace(QUICK, images=5000), "images is 5000, but digits has 1137"),
        (replace(QUICK, epochs=0), "epochs is 0"),
        (replace(QUICK, images=10), "batch is 64, but there are 10"),
        (replace(QUICK, accumulate=5), "batch is 64: it cannot be taken in 5"),
        (replace(QUICK, warm_start=True), "needs the weights of the rung below"),
    ):
        with pytest.raises(ValueError, match=words):
            scratch.evaluate(SMALL, fidelity, 0, tmp_path)


def test_a_warm_start_goes_on_from_the_parents_weights(few, tmp_path, few_steps):
    scratch = Scratch(few, augmentation="none", keep_weights=True)
    scratch.evaluate(SMALL, QUICK, 0, tmp_path)
    (tmp_path / "child.safetensors").rename(tmp_path / "parent.safetensors")
    with pytest.raises(ValueError, match="trained for 1 epochs already"):
        scratch.evaluate(SMALL, replace(QUICK, warm_start=True), 0, tmp_path)
    with pytest.raises(ValueError, match="of another network"):
        scratch.evaluate(SMALL, replace(QUICK, epochs=2, filters=6, warm_start=True), 0, tmp_path)

    still = Scratch(few, augmentation="none", keep_weights=True, learning_rate=1e-9)
    still.evaluate(SMALL, replace(QUICK, epochs=2, warm_start=True), 7, tmp_path)
    child, parent = (make_child(SMALL, QUICK, 10, (8, 8, 3)) for _ in range(2))
    Checkpoint(tmp_path / "child.safetensors").load(child.weights)
    Checkpoint(tmp_path / "parent.safetensors").load(parent.weights)
    for weight, before in zip(child.trainable_weights, parent.trainable_weights, strict=True):
        np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (weight, before)), atol=1e-6)
    assert Checkpoint(tmp_path / "child.safetensors").progress() == {"epochs": 2}


def test_a_batch_in_parts_makes_the_update_of_the_whole_batch(few, few_steps):
    """With batch normalization's statistics held still: they are all that may differ."""
    recipe = Recipe("child", image_size=(8, 8), batch=64, learning_rate=0.5, weight_decay=1e-2, clip_norm=0.1)
    two_batches = replace(few, train=few.train.subset(np.arange(128)))
    trained = []
    for accumulate in (1, 4):
        child = make_child(SMALL, QUICK, 10, (8, 8, 3), seed=0)
        before = values(child)
        train_all(child, freeze_batch_norm=True)
        train_child(child, recipe, two_batches, Devices(), accumulate)
        trained.append(values(child))
    for path, value in trained[0].items():
        np.testing.assert_allclose(trained[1][path], value, atol=1e-5, err_msg=path)
    assert np.abs(trained[0]["predictions/kernel"] - before["predictions/kernel"]).max() > 1e-2


PROGRAM = """
import sys
from tests.support.toy import GENOTYPE
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.trial import Fidelity
scratch = make_evaluator({{"name": "scratch", "data": "digits", "held_out": 300, "augmentation": "none"}})
result = scratch.evaluate(GENOTYPE, Fidelity(epochs=4, filters=4, num_blocks=1), 0, {folder!r})
print("tensorflow" in sys.modules, result.reward)
"""


@pytest.mark.slow  # a process that compiles a network; JAX's own steps are tested beside training's
def test_jax_needs_no_tensorflow(tmp_path):
    program = PROGRAM.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], env=environment(**JAX), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tensorflow, reward = done.stdout.split()
    assert tensorflow == "False"
    assert float(reward) > 0.5
