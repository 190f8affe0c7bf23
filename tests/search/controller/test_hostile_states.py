"""States of controllers that were damaged, as they come from a store: refused in one line, or taken up whole."""

import json
import math

import numpy as np
import pytest

from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.trial import Observation
from tests.support.damage import damaged
from tests.support.hostile_stores import changed_data
from tests.support.small_policy import SPACE, make

OPTIONS = {"evolution": {"population": 5, "sample_size": 2}, "random": {}}


def grown(name):
    controller = make(name) if name in ("ppo", "reinforce") else make_controller(name, SPACE, **OPTIONS[name])
    for _ in range(2):
        proposals = controller.ask(6)
        controller.tell([Observation(one.tokens, one.log_prob, 0.5) for one in proposals])
    return controller


def taken_up(controller, state):
    """Whether a state is taken up, after which the controller proposes children; else it is refused in one line."""
    try:
        controller.set_state(state)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 1500
        return False
    for one in controller.ask(2):
        assert SPACE.check(one.tokens) == one.tokens
        assert one.log_prob is None or math.isfinite(one.log_prob)
    return True


@pytest.mark.security
@pytest.mark.parametrize("name", OPTIONS)
def test_thousands_of_changed_states_are_taken_up_or_refused_in_one_line(name):
    controller, count = grown(name), 0
    state = controller.get_state()
    for number in range(2000):
        rng = np.random.default_rng(number)
        if number % 2:
            changed = damaged(state, rng)
        else:
            changed = json.dumps(changed_data(json.loads(state), rng)).encode(errors="ignore")
        count += taken_up(controller, changed)
    assert 0 < count < 1900
    assert taken_up(controller, state)


@pytest.mark.parametrize("state", [b"[" * 100_000, b'{"rng": ' + b"9" * 5000 + b"}", b"\xff\xfe", b"null", b"{}"])
@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_no_state_is_refused(name, state):
    with pytest.raises(ValueError, match="state"):
        grown(name).set_state(state)


@pytest.mark.security
def test_changed_states_of_a_policy_are_taken_up_or_refused_in_one_line():
    controller = grown("ppo")
    state, count = controller.get_state(), 0
    for number in range(300):
        count += taken_up(controller, damaged(state, np.random.default_rng(number)))
    assert 0 < count < 290
    assert taken_up(controller, state)


def test_weights_that_are_no_numbers_are_refused():
    from safetensors.numpy import load, save

    controller = grown("ppo")
    values = load(controller.get_state())
    for wrong in (np.nan, np.inf):
        changed = {name: array.copy() for name, array in values.items()}
        changed["03"].reshape(-1)[:1] = wrong
        with pytest.raises(ValueError, match="weights that are no finite numbers"):
            controller.set_state(save(changed))
