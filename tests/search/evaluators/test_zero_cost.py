"""Children scored without training, on scikit-learn's digits."""

import math
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

from keras_nasnet.models.complexity import mult_adds
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.data import open_search_data
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.evaluators.zero_cost import SCORES, ZeroCost, naswot
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import FLOOR_REWARD, Fidelity
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.status import status
from tests.support import JAX, environment
from tests.support.small_search import make_plan, search
from tests.support.toy import GENOTYPE, dataset

pytest.importorskip("sklearn")

TINY = Fidelity(epochs=0, filters=4, num_blocks=1)


@pytest.fixture(scope="module")
def digits():
    return open_search_data("digits", held_out=300)


@pytest.fixture(scope="module")
def zero_cost(digits):
    return ZeroCost(digits, batch=16)


def test_naswot_is_the_papers_formula(monkeypatch):
    child = make_child(GENOTYPE, TINY, 10, (8, 8, 3))
    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype("float32")
    before = [ops.convert_to_numpy(weight.value) for weight in child.weights]
    score = naswot(child, images)
    for weight, value in zip(child.weights, before, strict=True):  # the moving statistics have moved
        weight.assign(value)
    codes, relu = [], ops.relu

    def kept(tensor, *args, **kwargs):
        codes.append(ops.convert_to_numpy(tensor).reshape(6, -1) > 0)
        return relu(tensor, *args, **kwargs)

    monkeypatch.setattr(ops, "relu", kept)
    monkeypatch.setattr(keras.layers.ReLU, "call", lambda self, inputs: kept(inputs))
    child(images, training=True)
    code = np.concatenate(codes, axis=1)
    assert len(codes) > 8 and 0.1 < code.mean() < 0.9
    kernel = np.array([[sum(a == b for a, b in zip(one, other, strict=True)) for other in code] for one in code])
    assert score == pytest.approx(np.linalg.slogdet(kernel.astype(float) + np.eye(6))[1], rel=1e-6)


def test_images_that_look_alike_score_lowest():
    child = make_child(GENOTYPE, TINY, 10, (8, 8, 3))
    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 3)).astype("float32")
    alike = naswot(child, np.repeat(images[:1], 6, axis=0))
    assert math.isfinite(alike) and FLOOR_REWARD < alike < naswot(child, images)


def test_sizes_are_those_of_the_child(zero_cost, tmp_path):
    result = zero_cost.evaluate(GENOTYPE, TINY, 0, tmp_path)
    child = make_child(GENOTYPE, TINY, 10, (8, 8, 3))
    assert result.params == sum(math.prod(weight.shape) for weight in child.trainable_weights)
    assert result.mult_adds == mult_adds(child)
    assert result.extra == {"naswot": result.reward, "params": result.params, "mult_adds": result.mult_adds}
    assert result.error is None and result.seconds > 0 and result.device
    assert list(tmp_path.iterdir()) == []


def test_the_score_is_that_of_the_child_with_this_seed(zero_cost, tmp_path):
    rewards = [zero_cost.evaluate(GENOTYPE, TINY, seed, tmp_path).reward for seed in (1, 1, 2)]
    assert rewards[0] == rewards[1] != rewards[2]
    child = make_child(GENOTYPE, TINY, 10, (8, 8, 3), seed=1)
    assert rewards[0] == pytest.approx(naswot(child, zero_cost.images), rel=1e-9)


@pytest.mark.parametrize("score", SCORES)
def test_each_score_can_be_the_reward(digits, score, tmp_path):
    evaluator = make_evaluator({"name": "zero_cost", "data": digits, "batch": 16, "score": score})
    result = evaluator.evaluate(GENOTYPE, TINY, 0, tmp_path)
    assert result.reward == result.extra[score]


def test_layers_made_afterwards_have_weights(zero_cost, tmp_path):
    zero_cost.evaluate(GENOTYPE, TINY, 0, tmp_path)
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert ops.convert_to_numpy(layer.kernel.value).any()
    with keras.StatelessScope():  # makes, at its end, all variables that are not yet made
        pass
    assert ops.convert_to_numpy(layer(np.ones((1, 3)))).shape == (1, 2)


def test_test_images_are_refused():
    with pytest.raises(ValueError, match="must not see test images"):
        ZeroCost(dataset())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": "magic"}, "score is 'magic': choose from naswot, params, mult_adds"),
        ({"batch": 1}, "batch is 1: it must be from 2 to the 1137 training images"),
        ({"batch": 5000}, "batch is 5000: it must be from 2 to the 1137 training images"),
    ],
)
def test_a_wrong_option_is_told(digits, options, message):
    with pytest.raises(ValueError, match=message.replace("1137", str(digits.train.size))):
        make_evaluator({"name": "zero_cost", "data": digits, **options})


def test_a_search_may_choose_by_proxy(tmp_path):
    proxy = {"name": "zero_cost", "data": "digits", "held_out": 300, "batch": 8}
    names = ("evolution", "random")
    plan = make_plan(
        space={"name": "nasnet", "blocks": 1, "operations": ["identity", "conv_1x1", "conv_3x3"], "combines": ["add"]},
        budget=2,
        controllers=names,
        proposals=2,
        evaluators={"proxy": proxy, "search": proxy | {"score": "params"}, "final": proxy, "selection": proxy},
        fidelities=dict.fromkeys(("proxy", "search", "final"), TINY),
    )
    outcome = search(tmp_path, plan)
    assert set(outcome.best) == set(names)
    with Store.open(tmp_path / FILE, readonly=True) as store:
        trials = store.trials()
        asked = [trial for trial in trials if trial.stage == "proxy"]
        chosen = {trial.parent for trial in trials if trial.stage == "search"}
        assert len(asked) == 2 * len(chosen) == 8
        for arm in names:
            mine = [trial for trial in asked if trial.arm == arm]
            for pair in zip(mine[::2], mine[1::2], strict=True):
                best = max(pair, key=lambda trial: (trial.reward, -trial.id))
                assert best.id in chosen and best.reward > 1
        assert all(trial.reward == trial.params for trial in trials if trial.stage == "search")
        assert status(store)["best"]["reward"] > 1
    assert write_report(tmp_path).stat().st_size > 10_000


PROGRAM = """
import sys
from tests.support.toy import GENOTYPE
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.trial import Fidelity
evaluator = make_evaluator({{"name": "zero_cost", "data": "digits", "held_out": 300, "batch": 16}})
result = evaluator.evaluate(GENOTYPE, Fidelity(epochs=0, filters=4, num_blocks=1), 0, {folder!r})
print("tensorflow" in sys.modules, result.reward, result.params)
"""


@pytest.mark.slow  # a process that compiles a network
def test_jax_needs_no_tensorflow_and_scores_alike(zero_cost, tmp_path):
    program = PROGRAM.format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], env=environment(**JAX), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tensorflow, reward, params = done.stdout.split()
    assert tensorflow == "False"
    here = zero_cost.evaluate(GENOTYPE, TINY, 0, tmp_path)
    assert int(params) == here.params
    assert float(reward) == pytest.approx(here.reward, rel=0.1)  # other random weights
