"""Ctrl-C and SIGTERM: they end a command in one line, or are noted so that a run can stop where nothing is lost."""

import contextlib
import signal
from types import FrameType
from typing import Any

from keras_nasnet.common.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asks this process to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class StopSignal:
    """Context in which Ctrl-C and SIGTERM are noted; a second one raises `Stopped` at once.

    Outside the main thread it notes nothing: signals are not that thread's to handle.

    Attributes:
        came: the signal's number; None before it comes.

    Example:
        >>> with StopSignal() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.name
        'SIGTERM'
    """

    came: int | None = None

    def __enter__(self) -> "StopSignal":
        self._before = _handle(self._note, also_ignored=True)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came is not None:
            raise Stopped(number)
        self.came = number

    @property
    def name(self) -> str:
        """The signal's name; SIGTERM where none came, as when another worker was the one to be stopped."""
        return signal.Signals(self.came or signal.SIGTERM).name

    def interrupted(self, message: str) -> Interrupted:
        """Returns the error to raise: "stopped by SIGINT" and the message."""
        return Interrupted(f"stopped by {self.name} {message}", self.came or signal.SIGTERM)

    def __exit__(self, *_: object) -> None:
        _restore(self._before)


class Stopping:
    """Context in which Ctrl-C and SIGTERM raise `Stopped`, wherever the process is.

    What the parent process wants ignored is ignored, as `nohup` and shells do for commands in the background.

    Attributes:
        came: the signal's number, also where a library has made another error of `Stopped`; None before it comes.
    """

    came: int | None = None

    def __enter__(self) -> "Stopping":
        self._before = _handle(self._stop, also_ignored=False)
        return self

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        raise Stopped(number)

    def __exit__(self, *_: object) -> None:
        _restore(self._before)


def _handle(handler: Any, also_ignored: bool) -> dict[int, Any]:
    """Set a handler, also for signals that the parent process wants ignored or not; return those before."""
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # not the main thread
        for number in SIGNALS:
            if also_ignored or signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
