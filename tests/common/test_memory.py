"""A bound on memory that threads share."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_nasnet.common.memory import MemoryBound


def test_what_fits_is_held_at_once():
    bound = MemoryBound(lambda: 100)
    with bound.hold(60), bound.hold(40):
        assert bound.held == 100
    assert bound.held == 0


def test_who_wants_more_than_there_is_gets_all_alone():
    bound = MemoryBound(lambda: 100)
    with bound.hold(1000):
        assert bound.held == 100


def test_an_error_gives_it_back():
    bound = MemoryBound(lambda: 100)
    with pytest.raises(KeyError), bound.hold(100):
        raise KeyError
    assert bound.held == 0


def test_large_ones_are_not_passed_by_small_ones_for_ever():
    """First come, first served."""
    bound, order, started = MemoryBound(lambda: 100), [], threading.Event()

    def take(name, count):
        with bound.hold(count):
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with bound.hold(50):
            large = pool.submit(take, "large", 100)
            while not bound._waiting:
                started.wait(0.001)
            small = pool.submit(take, "small", 1)
            while len(bound._waiting) < 2:
                started.wait(0.001)
            assert not small.done() and order == []
        large.result(), small.result()
    assert order == ["large", "small"]


def test_many_threads_never_hold_more():
    bound, most = MemoryBound(lambda: 10), []

    def take(number):
        with bound.hold(number % 7 + 1):
            most.append(bound.held)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(500)))
    assert max(most) <= 10 and bound.held == 0
