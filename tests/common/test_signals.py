"""Signals are noted, and a second one ends the process."""

import signal
import threading

import pytest

from keras_nasnet.common.errors import Diverged, Interrupted, RunError, one_line
from keras_nasnet.common.signals import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_a_second_one_raises(number):
    before = signal.getsignal(number)
    with StopSignal() as stop:
        assert stop.came is None and stop.name == "SIGTERM"
        signal.raise_signal(number)
        assert stop.came == number and stop.name == signal.Signals(number).name
        error = stop.interrupted("after step 3")
        assert isinstance(error, Interrupted) and error.exit_code == 128 + number
        assert str(error) == f"stopped by {stop.name} after step 3"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_another_thread_notes_nothing():
    found = []

    def run():
        with StopSignal() as stop:
            found.append(stop.came)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [None]


def test_errors_of_runs_are_one_family():
    assert Diverged("the loss is nan").exit_code == 1 and isinstance(Diverged("x"), RunError)
    assert one_line(ValueError(" a\n b ")) == "a b"
    assert one_line(ValueError("abc"), 2) == "ab"
    assert one_line(OSError()) == "OSError"
