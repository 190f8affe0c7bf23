"""Signals are noted, and a second one ends the process."""

import signal
import subprocess
import sys
import threading

import pytest

from keras_nasnet.common.errors import Diverged, RunError, one_line
from keras_nasnet.common.signals import StopSignal

# In a process of its own, which alone would end if a signal were not noted.
PROGRAM = """
import signal, sys
from keras_nasnet.common.signals import StopSignal
number = signal.Signals(int(sys.argv[1]))
before = signal.getsignal(number)
with StopSignal() as stop:
    print(stop.came, stop.name)
    signal.raise_signal(number)
    error = stop.interrupted("after step 3")
    print(int(stop.came), error.exit_code, error)
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt:
        print("interrupted")
print(signal.getsignal(number) is before)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_a_second_one_raises(number):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(int(number))], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "None SIGTERM",
        f"{number} {128 + number} stopped by {number.name} after step 3",
        "interrupted",
        "True",
    ], done.stderr


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
