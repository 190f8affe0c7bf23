"""Ctrl-C and SIGTERM: they end a command in one line, or are noted so that a run can stop where nothing is lost."""

import contextlib
import signal
import sys
from types import FrameType
from typing import Any

from keras_nasnet.common.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AGAIN_SECONDS = 1.0


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

    Some code swallows what is raised in it, such as imports and destructors: it is raised again each second.
    What the parent process wants ignored is ignored, as `nohup` and shells do for commands in the background.

    Attributes:
        came: the signal's number, also where a library has made another error of `Stopped`; None before it comes.
    """

    came: int | None = None

    def __enter__(self) -> "Stopping":
        self._before = _handle(self._stop, also_ignored=False)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._alarm: tuple[Any, tuple[float, float]] | None = None
        return self

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.came = number
        if self._alarm is None and hasattr(signal, "setitimer"):
            handler = signal.signal(signal.SIGALRM, self._again)
            self._alarm = handler, signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
        raise Stopped(number)

    def _again(self, _: int, frame: FrameType | None) -> None:
        assert self.came is not None
        handler = signal.getsignal(self.came)  # by now that of a run, which would rather note it
        if callable(handler):
            handler(self.came, frame)

    def _unraisable(self, arguments: Any) -> None:
        if not isinstance(arguments.exc_value, Stopped):
            self._hook(arguments)

    def __exit__(self, *_: object) -> None:
        if self._alarm is not None:
            handler, timer = self._alarm
            signal.setitimer(signal.ITIMER_REAL, *timer)
            signal.signal(signal.SIGALRM, handler)
        sys.unraisablehook = self._hook
        _restore(self._before)


def ignore_more() -> None:
    """Ignore further signals until `Stopping` ends: a command that was stopped says so, and ends."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    _handle(signal.SIG_IGN, also_ignored=True)


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
