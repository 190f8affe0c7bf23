"""Children that share weights, on scikit-learn's digits."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.data import open_search_data
from keras_nasnet.search.evaluators.registry import make_evaluator, max_workers
from keras_nasnet.search.evaluators.shared import Shared
from keras_nasnet.search.supernet.checkpoint import load_state
from keras_nasnet.search.trial import Fidelity
from tests.support import JAX, environment
from tests.support.toy import GENOTYPE, dataset

pytest.importorskip("sklearn")

QUICK = Fidelity(epochs=0, filters=4, num_blocks=1)
OPTIONS = {"batch": 32, "augmentation": "none", "learning_rate": 0.1, "steps": 6, "eval_batches": 9}


def child_of(*operations):
    cell = CellSpec((Block((0, 1), operations),), ((2,),))
    return Genotype(cell, cell)


# Parts that are quickly traced; the supernet's own tests have the others.
FIRST = child_of("conv_3x3", "identity")
CHILDREN = [FIRST, child_of("conv_1x1", "identity"), child_of("conv_1x1", "avg_pool_3x3"), FIRST]


@pytest.fixture(scope="module")
def digits():
    return open_search_data("digits", held_out=300)


@pytest.fixture(scope="module")
def shared(digits):
    """One for all tests of a run's state: it is in the run's folder."""
    return kept(Shared(digits, **OPTIONS))


@pytest.fixture(scope="module")
def other(digits, shared):
    """As if in another process: what it knows of a run is what the run's folder tells it."""
    return compiled_as(shared, kept(Shared(digits, **OPTIONS)))


def compiled_as(evaluator, other):
    """Gives the other what the first has compiled, which another process would compile alike."""
    other._compute, other._supernets = evaluator._compute, evaluator._supernets
    return other


_SIZES = {}


def kept(evaluator):
    """The same children are judged again and again: their sizes are counted once."""
    count = evaluator._size

    def size(genotype, fidelity):
        key = (genotype, fidelity)
        if key not in _SIZES:
            _SIZES[key] = count(genotype, fidelity)
        return _SIZES[key]

    evaluator._size = size
    return evaluator


def place(run, trial):
    folder = run / "trials" / str(trial)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def evaluate(evaluator, run, trials):
    return [evaluator.evaluate(CHILDREN[trial - 1], QUICK, 100 + trial, place(run, trial)) for trial in trials]


def said(results):
    return [(result.reward, result.extra) for result in results]


def file_of(run):
    return run / "shared" / "supernet.safetensors"


def test_children_learn_from_each_other(shared, tmp_path):
    first, *_, last = [
        shared.evaluate(CHILDREN[number % 2], QUICK, number, place(tmp_path, number)) for number in range(13)
    ]
    assert last.reward > 0.75 and last.reward > first.reward + 0.3  # a tenth is chance
    # Where nobody trained before it, another child is worse than behind those that have paths in common with it.
    third = shared.evaluate(CHILDREN[2], QUICK, 0, place(tmp_path, 14))
    alone = shared.evaluate(CHILDREN[2], QUICK, 0, place(tmp_path / "alone", 14))
    assert third.reward > alone.reward + 0.1
    child = make_child(FIRST, QUICK, 10, (8, 8, 3))
    assert first.params == sum(math.prod(weight.shape) for weight in child.trainable_weights)
    assert first.mult_adds > first.params and first.seconds > 0 and first.device and first.error is None


def test_a_child_trains_the_weights_on_its_path_and_no_others(shared, tmp_path):
    states = []
    for trial in (1, 2, 3):
        evaluate(shared, tmp_path, [trial])
        file = file_of(tmp_path)
        states.append(load_state(file, shared._settings(QUICK)))
    first, second, third = (state.weights for state in states)
    common = [slot for slot in third if slot in second and not np.array_equal(third[slot], second[slot])]
    assert any("conv_1x1" in slot for slot in common)  # which the third has in common with the second
    own = [slot for slot in first if "conv_3x3" in slot]
    assert own
    for slot in own:  # of the first child alone
        np.testing.assert_array_equal(third[slot], first[slot], err_msg=slot)
    assert not any("conv_1x1" in slot for slot in first)
    assert states[2].momenta.keys() == third.keys()
    assert states[2].step == 18


def test_a_search_that_was_killed_gives_the_same_rewards(shared, other, tmp_path):
    whole = evaluate(shared, tmp_path / "whole", [1, 2, 3, 4])
    evaluate(shared, tmp_path / "killed", [1, 2])
    rest = evaluate(other, tmp_path / "killed", [2, 3, 4])  # the second's result did not arrive
    assert said(rest) == said(whole[1:])
    assert rest[0] == replace(whole[1], seconds=rest[0].seconds)
    assert len({str(one) for one in said(whole)}) == 4
    assert {file.name for file in tmp_path.glob("*/shared/*")} == {"supernet.safetensors"}


def test_what_another_process_trained_is_seen(shared, other, tmp_path):
    whole = evaluate(shared, tmp_path / "whole", [1, 2, 3])
    turns = [evaluate(one, tmp_path / "turns", [trial]) for one, trial in ((shared, 1), (other, 2), (shared, 3))]
    assert said([result for turn in turns for result in turn]) == said(whole)


def test_a_loss_that_is_no_number_leaves_no_trace(digits, shared, tmp_path):
    wild = compiled_as(shared, kept(Shared(digits, **OPTIONS | {"learning_rate": 1e30})))
    [result] = evaluate(wild, tmp_path, [2])
    assert result.reward is None and result.error.kind == "nan" and "loss" in result.error.message
    assert not file_of(tmp_path).exists()


def test_checkpoints_that_do_not_fit_are_refused_in_one_line(digits, shared, tmp_path):
    evaluate(shared, tmp_path, [1])
    file = file_of(tmp_path)
    for evaluator, fidelity, words in (
        (shared, replace(QUICK, filters=6), "begun with filters = 4, not 6"),
        (Shared(digits, **OPTIONS | {"seed": 1}), QUICK, "begun with seed = 0, not 1"),
    ):
        with pytest.raises(ValueError, match=words) as refused:
            evaluator.evaluate(GENOTYPE, fidelity, 0, place(tmp_path, 2))
        assert "\n" not in str(refused.value)
    with pytest.raises(ValueError, match="another child as trial 1"):
        shared.evaluate(CHILDREN[1], QUICK, 101, place(tmp_path, 1))
    content = file.read_bytes()
    for damaged in (content[:-100], content[:5], b"", b"\0" * 300, content.replace(b"settings", b"sattings")):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match="not a checkpoint of shared weights") as refused:
            Shared(digits, **OPTIONS).evaluate(GENOTYPE, QUICK, 0, place(tmp_path, 2))
        assert "\n" not in str(refused.value)


def test_a_full_disk_leaves_the_file_and_what_is_known_as_they_were(shared, tmp_path, monkeypatch):
    evaluate(shared, tmp_path, [1])
    before = file_of(tmp_path).read_bytes()

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate(shared, tmp_path, [2])
    monkeypatch.undo()
    assert file_of(tmp_path).read_bytes() == before
    evaluate(shared, tmp_path / "other", [1])
    assert said(evaluate(shared, tmp_path, [2])) == said(evaluate(shared, tmp_path / "other", [2]))


def test_each_image_is_trained_once_an_epoch(digits):
    shared = Shared(digits, **OPTIONS | {"steps": 7})
    counts = np.zeros(digits.train.size // 32 * 32, int)
    seen = [labels for step in range(0, 70, 7) for _, labels in shared._batches(step, seed=step)]
    epoch = digits.train.size // 32
    expected = [labels for number in (0, 1) for _, labels in digits.train.train_batches(32, number, 0)]
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate(expected[:70]))
    assert epoch < 70 and len(counts) // 32 == epoch


def test_the_learning_rate_goes_down_and_begins_again(digits):
    shared = Shared(digits, **OPTIONS)
    epoch = digits.train.size // 32
    rates = [shared._rate(number * epoch) for number in range(31)]
    assert rates[0] == rates[10] == rates[30] == 0.1
    assert rates[5] == pytest.approx(0.051) and rates[20] == pytest.approx(0.051)
    assert min(rates) > 0.002 and max(np.diff(rates[:10])) < 0
    assert Shared(digits, **OPTIONS | {"schedule": "constant"})._rate(5 * epoch) == 0.1


def test_options_that_cannot_be_had_are_refused(digits, shared, tmp_path):
    for options, words in (
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"steps": 0}, "steps is 0"),
        ({"eval_batches": 1.5}, "eval_batches is 1.5"),
        ({"augmentation": "inception"}, "augmentation 'inception'"),
        ({"batch": 400}, "there are 300 held-out images"),
    ):
        with pytest.raises(ValueError, match=words):
            Shared(digits, **OPTIONS | options)
    with pytest.raises(ValueError, match="epochs is 2"):
        shared.evaluate(GENOTYPE, replace(QUICK, epochs=2), 0, place(tmp_path, 1))
    with pytest.raises(ValueError, match="must not see test images"):
        Shared(dataset())


def test_options_come_as_plain_data_and_one_works_at_a_time():
    config = {"name": "shared", "data": "digits", "held_out": 100, "batch": 32, "steps": 2}
    evaluator = make_evaluator(config)
    assert evaluator._dataset.test is None
    assert evaluator._dataset.validation.size == 100
    assert max_workers(config) == evaluator.max_workers == 1


PROGRAM = """
import sys
from pathlib import Path
from tests.search.evaluators.test_shared import CHILDREN, OPTIONS, QUICK, evaluate
from keras_nasnet.search.evaluators.registry import make_evaluator
options = {{**OPTIONS, "name": "shared", "data": "digits", "held_out": 300, "steps": 40, "eval_batches": 9}}
results = evaluate(make_evaluator(options), Path({folder!r}), [2, 2])
again = evaluate(make_evaluator(options), Path({folder!r}), [2])
print("tensorflow" in sys.modules, results[0] == results[1] == again[0], results[0].reward)
"""


@pytest.mark.slow  # a process that compiles a network
def test_jax_needs_no_tensorflow(tmp_path):
    program = PROGRAM.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], env=environment(**JAX), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tensorflow, same, reward = done.stdout.split()
    assert (tensorflow, same) == ("False", "True")
    assert float(reward) > 0.3
