"""Random search: repeatable, exactly resumable, uniform."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Observation

SPACE = get_space("nasnet")


@given(st.integers(0, 2**40), st.lists(st.integers(0, 5), max_size=5))
def test_asking_in_parts_gives_the_same_children(seed, parts):
    apart, together = (make_controller("random", SPACE, seed) for _ in range(2))
    assert [child for n in parts for child in apart.ask(n)] == together.ask(sum(parts))


def test_another_seed_gives_other_children_and_evolution_starts_with_its_own():
    children = [make_controller(name, SPACE, seed).ask(1)[0] for name in ("random", "evolution") for seed in (0, 1)]
    assert len(set(children)) == 4 and children[0].log_prob is None


@given(st.integers(0, 20))
def test_a_restored_state_goes_on_as_the_original(asked):
    original, other = make_controller("random", SPACE, 3), make_controller("random", SPACE, 4)
    original.ask(asked)
    state = original.get_state()
    expected = original.ask(5)
    other.set_state(state)
    assert other.get_state() == state and other.ask(5) == expected


def test_telling_changes_nothing():
    controller = make_controller("random", SPACE)
    state = controller.get_state()
    assert controller.tell([Observation((0,) * SPACE.length, None, 1.0)]) == {}
    assert controller.get_state() == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"controller": "evolution"}, "with controller 'evolution', not 'random'"),
        ({"space": get_space("nasbench201").to_dict()}, "with space {'name': 'nasbench201'}"),
        ({"rng": None}, "no position of its random numbers"),
        ({"rng": {"bit_generator": "MT19937"}}, "no position of its random numbers"),
    ],
)
def test_another_controllers_state_is_refused(change, message):
    controller = make_controller("random", SPACE)
    before = controller.get_state()
    with pytest.raises(ValueError, match=message):
        controller.set_state(json.dumps(json.loads(before) | change).encode())
    assert controller.get_state() == before


@given(st.binary(max_size=20))
def test_garbage_is_refused(state):
    with pytest.raises(ValueError, match="the controller's state"):
        make_controller("random", SPACE).set_state(state)


def test_it_takes_no_options():
    with pytest.raises(TypeError, match="population"):
        make_controller("random", SPACE, population=3)
