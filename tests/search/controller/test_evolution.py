"""Regularised evolution: tournaments, ageing, late rewards, exact resume, and that it beats chance."""

import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Observation

SPACE = get_space("nasbench201")


def value(tokens):
    """An accuracy that is the better, the more tokens are 3."""
    return 0.1 + 0.1 * sum(token == 3 for token in tokens)


def told(proposals):
    return [Observation(one.tokens, one.log_prob, value(one.tokens)) for one in proposals]


def distance(left, right):
    return sum(one != other for one, other in zip(left, right, strict=True))


def grown(population=6, sample_size=3, children=30, seed=0):
    """A controller that has seen some children, one at a time."""
    controller = make_controller("evolution", SPACE, seed, population=population, sample_size=sample_size)
    for _ in range(children):
        controller.tell(told(controller.ask(1)))
    return controller


@given(st.integers(0, 40), st.lists(st.integers(0, 4), max_size=4))
def test_asking_in_parts_gives_the_same_children(children, parts):
    apart, together = grown(children=children), grown(children=children)
    assert [child for n in parts for child in apart.ask(n)] == together.ask(sum(parts))


@given(st.integers(0, 40), st.integers(0, 3))
def test_a_restored_state_goes_on_as_the_original(children, out):
    """Also with `out` children of which it has not been told."""
    original, other = grown(children=children), grown(children=3, seed=1)
    waiting = told(original.ask(out))
    other.set_state(original.get_state())
    for controller in (original, other):
        controller.tell(waiting)
    assert other.get_state() == original.get_state()
    for _ in range(10):
        asked = original.ask(1)
        assert other.ask(1) == asked
        assert original.tell(told(asked)) == other.tell(told(asked))


def test_the_first_children_are_random_and_the_next_are_mutations_of_the_best_of_all():
    controller = make_controller("evolution", SPACE, population=4, sample_size=4)
    first = controller.ask(4)
    assert min(distance(a.tokens, b.tokens) for a in first for b in first if a is not b) > 1
    controller.tell(told(first))
    best = max(first, key=lambda child: value(child.tokens)).tokens
    near = [distance(best, child.tokens) == 1 for child in controller.ask(100)]
    # All 4 draws with replacement miss the best with a probability of (3/4)^4.
    assert abs(statistics.mean(near) - (1 - 0.75**4)) < 0.12


def test_the_oldest_dies_however_good_it_is():
    controller = make_controller("evolution", SPACE, population=2, sample_size=2)
    controller.ask(2)
    best, second, third = (3,) * 6, (0,) * 6, (1,) * 6
    controller.tell([Observation(best, None, 1.0), Observation(second, None, 0.1)])
    assert any(distance(best, child.tokens) == 1 for child in controller.ask(20))
    assert controller.tell([Observation(third, None, 0.2)]) == {"population_reward": pytest.approx(0.15)}
    children = [child.tokens for child in controller.ask(50)]
    assert all(distance(best, child) >= 5 for child in children)
    assert all(1 in (distance(second, child), distance(third, child)) for child in children)


def test_children_may_be_asked_for_before_rewards_are_known():
    controller = make_controller("evolution", SPACE, population=3, sample_size=2)
    early = controller.ask(10)  # more than the population, none of them told
    controller.tell(told(early[7:8]))
    assert all(distance(early[7].tokens, child.tokens) == 1 for child in controller.ask(5))
    controller.tell(told(early[:3]))
    assert all(min(distance(child.tokens, one.tokens) for one in early[:3]) == 1 for child in controller.ask(5))


def test_it_finds_better_children_than_chance():
    def mean_of_last(name, **options):
        controller = make_controller(name, SPACE, 5, **options)
        values = []
        for _ in range(200):
            observations = told(controller.ask(1))
            controller.tell(observations)
            values.append(observations[0].reward)
        return statistics.mean(values[-50:])

    assert mean_of_last("evolution", population=20, sample_size=5) > 0.5 > 0.3 > mean_of_last("random")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population": 0}, "population is 0"),
        ({"population": 2.0}, "population is 2.0"),
        ({"sample_size": True}, "sample_size is True"),
        ({"population": 10, "sample_size": 11}, "sample_size is 11: it must be at most the population, 10"),
    ],
)
def test_wrong_sizes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_controller("evolution", SPACE, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"population": 7, "sample_size": 3}}, "with options {'population': 7, 'sample_size': 3}"),
        ({"population": [[[0] * 5, 0.5]]}, "holds no population"),
        ({"population": None}, "holds no population"),
        ({"asked": None}, "holds no population"),
    ],
)
def test_another_controllers_state_is_refused(change, message):
    controller = grown()
    with pytest.raises(ValueError, match=message):
        controller.set_state(json.dumps(json.loads(controller.get_state()) | change).encode())


def test_a_child_of_another_space_is_refused():
    with pytest.raises(ValueError, match="token 0 is 9"):
        grown().tell([Observation((9,) * 6, None, 0.5)])
