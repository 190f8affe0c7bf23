"""PPO and REINFORCE: exact probabilities, the papers' formulas, exact resume, replicas, other backends, learning."""

import json
import statistics
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.controller.policy import Policy
from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.controller.workers import Crew
from keras_nasnet.search.run.plan import Arm
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Observation
from tests.support import JAX, environment
from tests.support.backends import OTHER_BACKENDS
from tests.support.eager import eagerly
from tests.support.small_policy import SPACE, learn, make, told
from tests.support.small_search import history, make_plan, search
from tests.support.together import SECONDS, finish, start, tf_configs

ONE_BLOCK = get_space({"name": "nasnet", "blocks": 1, "operations": ["sep_conv_3x3", "identity", "conv_3x3"]})


class Pool:
    """Controllers that later tests use again, begun anew: what is compiled stays."""

    def __init__(self):
        self.kept, self.used = {}, Counter()

    def __call__(self, name="ppo", seed=0, **options):
        key = (name, *sorted(options.items()))
        controllers, number = self.kept.setdefault(key, []), self.used[key]
        self.used[key] += 1
        if number == len(controllers):
            controllers.append(make(name, seed, **options))
        controllers[number].restart(seed)
        return controllers[number]


@pytest.fixture(scope="module")
def pool():
    return Pool()


@pytest.fixture
def again(pool):
    """As `make`, out of the pool; two that a test makes are two."""
    pool.used.clear()
    return pool


@pytest.fixture
def one_update():
    with eagerly():
        yield


def filled(policy, seed=0, scale=1.0):
    """The policy with random weights, large enough that its choices differ."""
    rng = np.random.default_rng(seed)
    for variable in policy.variables:
        variable.assign(rng.normal(0, scale, variable.shape))
    return policy


def as_numpy(tensors):
    return [keras.ops.convert_to_numpy(tensor) for tensor in tensors]


def reference(policy, space, children):
    """Log-probabilities and entropies in float64, decision by decision, over legal values only."""
    weights = {variable.name: np.float64(keras.ops.convert_to_numpy(variable)) for variable in policy.variables}
    kinds = sorted(set(space.kinds))
    log_probs, entropies = [], []
    for child in children:
        units = policy.cell.units
        hidden, memory, row = np.zeros(units), np.zeros(units), 0
        log_prob = entropy = 0.0
        for position, token in enumerate(child):
            gates = weights["embeddings"][row] @ weights["kernel"] + hidden @ weights["recurrent_kernel"]
            into, forget, new, out = np.split(gates + weights["bias"], 4)
            into, forget, out = (1 / (1 + np.exp(-gate)) for gate in (into, forget, out))
            memory = forget * memory + into * np.tanh(new)
            hidden = out * np.tanh(memory)
            logits = hidden @ weights["softmax_kernel"][position] + weights["softmax_bias"][position]
            probabilities = np.exp(logits[: space.sizes[position]])
            probabilities /= probabilities.sum()
            log_prob += np.log(probabilities[token])
            entropy -= (probabilities * np.log(probabilities)).sum()
            row = 1 + kinds.index(space.kinds[position]) * max(space.sizes) + token
        log_probs.append(log_prob)
        entropies.append(entropy)
    return np.array(log_probs), np.array(entropies)


# === The policy ===


def test_probabilities_are_those_of_the_lstm_and_add_up_to_one_over_all_children():
    policy = filled(Policy(ONE_BLOCK, 5))
    children = list(product(*map(range, ONE_BLOCK.sizes)))
    children = children[:: len(children) // 40]
    expected = reference(policy, ONE_BLOCK, children)
    for ours, theirs in zip(as_numpy(policy(np.array(children, np.int32))), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    nasbench = get_space("nasbench201")
    policy = filled(Policy(nasbench, 3), scale=0.5)
    log_probs, _ = as_numpy(policy(np.array(list(product(range(5), repeat=6)), np.int32)))
    assert np.exp(np.float64(log_probs)).sum() == pytest.approx(1, abs=1e-4)


def test_samples_come_as_often_as_their_probability_says_and_are_legal():
    policy = filled(Policy(ONE_BLOCK, 4), seed=3, scale=3.0)
    uniforms = np.random.default_rng(0).random((4000, ONE_BLOCK.length), np.float32)
    tokens, log_probs = as_numpy(policy.sample(uniforms))
    assert (tokens < np.array(ONE_BLOCK.sizes)).all() and (tokens >= 0).all()
    np.testing.assert_allclose(as_numpy(policy(tokens))[0], log_probs, rtol=1e-4)
    children, counts = np.unique(tokens, axis=0, return_counts=True)
    often = counts > 100
    assert often.sum() >= 3
    expected = 4000 * np.exp(as_numpy(policy(children[often]))[0])
    assert (np.abs(counts[often] - expected) < 4 * np.sqrt(expected)).all()


@pytest.mark.parametrize("extreme", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_the_ends_of_the_interval_are_legal_choices_too(extreme):
    space = get_space({"name": "nasnet", "blocks": 2, "combines": ["add"]})  # whose blocks read 2 states, and 3
    policy = filled(Policy(space, 4))
    tokens, log_probs = as_numpy(policy.sample(np.full((1, space.length), extreme, np.float32)))
    assert (tokens < np.array(space.sizes)).all()
    assert np.isfinite(log_probs).all() and (log_probs > -100).all()


def test_a_new_policy_is_uniform_in_its_weights_and_nearly_in_its_choices():
    space = get_space("nasnet")
    controller = make_controller("ppo", space)
    weights = np.concatenate(
        [np.ravel(v) for v in as_numpy(controller._learner.variables[: controller._learner.weights])]
    )
    assert -0.1 <= weights.min() < -0.0999 and 0.0999 < weights.max() < 0.1
    assert abs(weights.std() - 0.2 / 12**0.5) < 1e-3
    assert controller.tell([]) == {}
    rng = np.random.default_rng(0)
    children = np.array([space.sample(rng) for _ in range(20)], np.int32)
    _, entropies = as_numpy(controller._learner._policy(children))
    assert 0.99 < entropies.mean() / np.log(space.sizes).sum() <= 1


# === The updates ===


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_the_first_update_goes_down_the_slope_of_the_papers_objective(one_update, name):
    """Adam's first step is the learning rate times the sign of the gradient, which is found here by differences."""
    controller = make(
        name, entropy=0.1, learning_rate=1e-3, batch=4, **({"epochs": 1, "clip": 0.05} if name == "ppo" else {})
    )
    policy, learner = controller._learner._policy, controller._learner
    filled(policy, scale=0.5)
    proposals = controller.ask(4)
    # As if they had been drawn by an older policy: some ratios are beyond the clip, on either side.
    old = np.array([one.log_prob for one in proposals]) + np.array([0.0, 0.2, -0.2, 0.02])
    rewards = np.array([0.3, 0.9, 0.8, 0.1])
    tokens = [one.tokens for one in proposals]

    def objective():
        log_probs, entropies = reference(policy, SPACE, tokens)
        advantages = rewards - rewards.mean()
        ratio = np.exp(log_probs - old)
        gains = advantages * log_probs
        if name == "ppo":
            gains = np.minimum(ratio * advantages, np.clip(ratio, 0.95, 1.05) * advantages)
        return gains.mean() + 0.1 * entropies.mean()

    rng = np.random.default_rng(0)
    slopes = []
    for variable in policy.variables:
        value = np.array(keras.ops.convert_to_numpy(variable))
        for _ in range(6):
            index = tuple(int(rng.integers(size)) for size in value.shape)
            ends = []
            for step in (0.01, -0.01):
                moved = value.copy()
                moved[index] += step
                variable.assign(moved)
                ends.append(objective())
            slopes.append((variable, index, (ends[0] - ends[1]) / 0.02))
        variable.assign(value)
    before = {id(variable): np.array(keras.ops.convert_to_numpy(variable)) for variable in policy.variables}
    controller.tell([Observation(t, float(o), float(r)) for t, o, r in zip(tokens, old, rewards, strict=True)])
    clear = [(variable, index, slope) for variable, index, slope in slopes if abs(slope) > 1e-3]
    assert len(clear) > 10
    for variable, index, slope in clear:
        moved = keras.ops.convert_to_numpy(variable)[index] - before[id(variable)][index]
        assert moved == pytest.approx(1e-3 * np.sign(slope), rel=0.02), variable.path
    assert len(learner.variables) > len(policy.variables)


def told_in_turn(controller, *batches):
    """Tells a controller these rewards; returns what it says of each batch."""
    said = []
    for rewards in batches:
        asked = controller.ask(len(rewards))
        pairs = zip(asked, rewards, strict=True)
        said.append(controller.tell([Observation(one.tokens, one.log_prob, reward) for one, reward in pairs]))
    return said


def test_the_baseline_is_a_moving_average_that_begins_at_the_first_mean(again):
    said = told_in_turn(again(), [0.2, 0.4] * 3, [0.9, 0.7] * 3, [0.0] * 6)
    assert [numbers["reward"] for numbers in said] == pytest.approx([0.3, 0.8, 0.0])
    assert [numbers["baseline"] for numbers in said] == pytest.approx([0.3, 0.325, 0.30875])


RANKED = {"batch": 4, "units": 8, "rank": True, "baseline_decay": 0.0}


def test_ranks_take_the_place_of_rewards(again):
    controller = again(**RANKED)
    said = told_in_turn(controller, [0.2, 0.9, 0.2, 0.5], [0.2, 0.5, 0.99, 0.0])
    assert [numbers["reward"] for numbers in said] == pytest.approx([0.45, 0.4225])
    # (1/4 + 7/8 + 1/4 + 5/8) / 4, then of all eight 5/16, 10/16, 15/16 and 1/16.
    assert [numbers["baseline"] for numbers in said] == pytest.approx([0.5, 31 / 64])
    state = controller.get_state()
    log = learn(controller, 2)
    controller.restart(3)
    controller.set_state(state)  # the rewards are in it
    assert learn(controller, 2) == log


def test_equal_rewards_teach_nothing_but_entropy(one_update):
    controller = make("reinforce", entropy=0.0)
    before = as_numpy(controller._learner._policy.variables)
    told_in_turn(controller, [0.5] * 6)
    for value, old in zip(as_numpy(controller._learner._policy.variables), before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_it_finds_better_children_than_chance(again, name):
    log = learn(again(name), 60)
    rewards = [numbers["reward"] for _, numbers in log]
    assert statistics.mean(rewards[-5:]) > 0.75 > 0.55 > statistics.mean(rewards[:2])
    assert log[-1][1]["entropy"] < 0.7 * log[0][1]["entropy"]


# === Resume ===


@pytest.fixture(scope="module")
def pair(pool):
    pool.used.clear()
    return pool(), pool()


@given(st.integers(0, 3), st.lists(st.integers(0, 7), max_size=4))
def test_asking_in_parts_gives_the_same_children(pair, updates, parts):
    apart, together = pair
    for controller in (apart, together):
        controller.restart(1)
        learn(controller, updates)
        controller.ask(3)  # within a block
    assert [child for n in parts for child in apart.ask(n)] == together.ask(sum(parts))


@pytest.mark.parametrize("name", ["ppo", "reinforce"])
def test_a_restored_state_goes_on_as_the_original(again, name):
    """To the last bit, also within a block of which some children are out."""
    original, other = again(name), again(name, seed=5)
    learn(original, 2)
    waiting = original.ask(4)
    other.ask(1)
    other.set_state(original.get_state())
    assert other.get_state() == original.get_state()
    waiting += original.ask(2)
    assert other.ask(2) == waiting[4:]
    for controller in (original, other):
        controller.tell(told(waiting))
    assert learn(other, 3) == learn(original, 3)
    assert other.get_state() == original.get_state()


def test_a_restart_is_as_a_new_controller(again):
    controller = again(seed=0)
    learn(controller, 2)
    controller.ask(1)
    controller.restart(7)
    new = make(seed=7)
    assert controller.get_state() == new.get_state()
    assert learn(controller, 2) == learn(new, 2)
    children = new.ask(3)
    new.restart(8)
    assert new.ask(3) != children


class Stopped(Exception):
    pass


def test_a_search_that_stops_goes_on_with_the_same_children(again, tmp_path):
    plan = replace(make_plan(space=SPACE.to_dict()), arms=(Arm("ppo", 9, RANKED), Arm("random", 9)))

    def controllers(name, space, seed, strategy, **options):
        again.used.clear()
        return again(name, seed, **options) if name == "ppo" else make_controller(name, space, seed)

    run = partial(search, plan=plan, controllers=controllers)
    run(tmp_path / "whole")

    def stop(done, store):
        if len(store.trials(state="done")) == done:
            raise Stopped

    for done in (5, 6, 13):
        with pytest.raises(Stopped):
            run(tmp_path / "stopped", watch=partial(stop, done))
    run(tmp_path / "stopped")
    assert history(tmp_path / "stopped") == history(tmp_path / "whole")
    assert [row["trials"] for row in history(tmp_path / "whole")[1] if row["arm"] == "ppo"] == [4, 8]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 64])
def test_what_is_no_state_is_refused(damage):
    with pytest.raises(ValueError, match="no state of a controller with a policy"):
        make().set_state(damage)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ppo", {"units": 9}, "is of a controller with options"),
        ("ppo", {"clip": 0.1}, "is of a controller with options"),
        ("reinforce", {}, "is of a controller with controller 'ppo', not 'reinforce'"),
    ],
)
def test_another_controllers_state_is_refused_and_changes_nothing(name, options, message):
    controller = make(name, **options)
    before = controller.get_state()
    with pytest.raises(ValueError, match=message):
        controller.set_state(make().get_state())
    assert controller.get_state() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch is 0: it must be a whole number from 1 up"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"units": True}, "units is True"),
        ({"learning_rate": 0}, "learning_rate is 0: it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"entropy": -1.0}, "entropy is -1.0: it must be 0 or more"),
        ({"baseline_decay": 1.0}, "baseline_decay is 1.0: it must be 0 or more and below 1"),
        ({"rank": 1}, "rank is 1: it must be true or false"),
        ({"clip": 0.0}, "clip is 0.0: it must be above 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_child_without_log_prob_is_refused():
    with pytest.raises(ValueError, match="has no log_prob"):
        make().tell([Observation((0,) * SPACE.length, None, 0.5)])


# === Replicas, workers, backends ===


_ON_TWO = """
import json
import tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from tests.support.small_policy import learn, make
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
print(json.dumps(learn(make("reinforce", strategy=strategy, batch=5), 2)))
"""


def same(ours, theirs, tolerance=1e-5):
    """Whether logs of `learn` are equal: children exactly, numbers nearly."""
    for (children, numbers), (their_children, their_numbers) in zip(ours, theirs, strict=True):
        assert [tokens for tokens, _ in children] == [tokens for tokens, _ in their_children]
        assert [one for _, one in children] == pytest.approx([one for _, one in their_children], rel=tolerance)
        assert numbers == pytest.approx(their_numbers, rel=tolerance, abs=tolerance)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_two_replicas_learn_as_one(again, tmp_path):
    """Two devices of one process, with a batch that is odd."""
    log = tmp_path / "mirrored.log"
    assert finish(start("-c", _ON_TWO, log=log)) == [0], log.read_text()
    same(json.loads(log.read_text().splitlines()[-1]), learn(again("reinforce", batch=5), 2))


class Side:
    """What a crew asks of a worker's `Devices`, where the two workers are threads."""

    workers = 2

    def __init__(self, worker, arrays, meeting):
        self.worker, self.arrays, self.meeting = worker, arrays, meeting

    def total(self, array):
        self.arrays[self.worker] = np.asarray(array, np.float64)
        self.meeting.wait(SECONDS)
        total = sum(self.arrays)
        self.meeting.wait(SECONDS)
        return total

    def is_lost_worker(self, error):
        return isinstance(error, threading.BrokenBarrierError)


def lead(crew, controllers):
    """What `two_drivers` does as worker 0."""
    with crew.dismissed_at_the_end():
        crew.begin({"name": "small"})
        led = crew.led(controllers)["one"]
        log = learn(led, 1)
        led.set_state(led.get_state())
        return log + learn(led, 1)


def crews():
    arrays, meeting = [None, None], threading.Barrier(2)
    return [Crew(Side(worker, arrays, meeting)) for worker in range(2)], meeting


def test_who_follows_does_what_worker_0_does(again):
    leader, follower, plans = again(), again(), []
    (first, second), _ = crews()

    def controllers(plan):
        plans.append(plan)
        return {"one": follower}

    with ThreadPoolExecutor(1) as threads:
        following = threads.submit(second.follow, controllers)
        log = lead(first, {"one": leader})
        following.result(SECONDS)
    assert plans == [{"name": "small"}]
    assert follower.get_state() == leader.get_state()
    leader.restart(0)
    same(log, learn(leader, 2), 0)


def test_a_worker_that_is_gone_is_said_by_the_others(again):
    (first, second), meeting = crews()
    meeting.abort()
    with pytest.raises(WorkerLost, match="another worker is gone: start all again with --resume"):
        lead(first, {"one": again()})
    with pytest.raises(WorkerLost, match="worker 0, which runs the search, is gone"):
        second.follow(lambda plan: {})


@pytest.mark.slow  # two processes with TensorFlow; the test above has the crew, those of training the strategy
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_two_workers_learn_as_one(again, tmp_path):
    logs = [tmp_path / f"worker{number}.log" for number in range(2)]
    processes = [
        start("-m", "tests.support.two_drivers", tmp_path / "out.json", log=log, TF_CONFIG=config)
        for log, config in zip(logs, tf_configs(), strict=True)
    ]
    assert finish(*processes) == [0, 0], [log.read_text() for log in logs]
    same(json.loads((tmp_path / "out.json").read_text()), learn(again(), 2))


_WITHOUT_TENSORFLOW = """
import json, sys
sys.modules["tensorflow"] = None  # an import of it fails
from tests.support.small_policy import learn, make
controller = make("ppo")
log = learn(controller, 2)
state = controller.get_state()
children = controller.ask(3)
controller.restart(1)
controller.set_state(state)
assert controller.ask(3) == children
print(json.dumps(log))
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compares with TensorFlow")
@pytest.mark.parametrize("backend", OTHER_BACKENDS)
def test_other_backends_learn_the_same_without_tensorflow(again, backend):
    if backend == "torch":
        pytest.importorskip("torch")
    variables = environment(**(JAX if backend == "jax" else {"KERAS_BACKEND": backend}))
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW], env=variables, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    same(json.loads(done.stdout.splitlines()[-1]), learn(again(), 2), 1e-4)


def test_a_strategy_needs_tensorflow(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"a tf\.distribute strategy needs the TensorFlow backend, and this is jax"):
        make(strategy=object())
