"""Ctrl-C and SIGTERM, noted so that a run can stop where nothing is lost."""

import contextlib
import signal
from types import FrameType
from typing import Any

from keras_nasnet.common.errors import Interrupted


class StopSignal:
    """Context in which Ctrl-C and SIGTERM are noted; a second one raises KeyboardInterrupt at once.

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
        self._before: dict[int, Any] = {}
        with contextlib.suppress(ValueError):  # not the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came is not None:
            raise KeyboardInterrupt
        self.came = number

    @property
    def name(self) -> str:
        """The signal's name; SIGTERM where none came, as when another worker was the one to be stopped."""
        return signal.Signals(self.came or signal.SIGTERM).name

    def interrupted(self, message: str) -> Interrupted:
        """Returns the error to raise: "stopped by SIGINT" and the message."""
        return Interrupted(f"stopped by {self.name} {message}", self.came or signal.SIGTERM)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
