"""What people are told: the one way to stdout and stderr, for commands and for functions that say how far they are.

Names and messages from outside move no cursor there. Results that cannot be written end the command; what is only said
on the way never does: a run goes on when the terminal that watched it is gone.
"""

import contextlib
import errno
import json
import math
import os
import sys
from typing import Any, TextIO

from keras_nasnet.common.errors import RunError
from keras_nasnet.common.escape import printable

_SIGPIPE = 13


class OutputLost(RunError):
    """What a command prints cannot be written.

    Args:
        reason: for people; empty where whoever read it has had enough, as `head` has.
    """

    def __init__(self, reason: str = ""):
        super().__init__(f"the output cannot be written ({reason})" if reason else "")
        self.exit_code = 1 if reason else 128 + _SIGPIPE


def echo(text: object = "", err: bool = False) -> None:
    r"""Print one line; control characters in it, line breaks among them, become what `repr` calls them.

    Args:
        text: the line.
        err: to stderr, where a failure is ignored.

    Raises:
        OutputLost: if stdout takes no more.

    Example:
        >>> echo("runs/a\nb")
        runs/a\nb
    """
    _write(f"{printable(text)}\n", err)


def echo_text(text: str, err: bool = False) -> None:
    """Print text of several lines, such as a table; see `echo`."""
    for line in text.removesuffix("\n").split("\n"):
        echo(line, err)


def echo_json(data: Any, indent: int | None = None) -> None:
    """Print data as JSON, in which a number that is not finite is null.

    Example:
        >>> echo_json({"name": "caf\\u00e9", "loss": float("nan")})
        {"name": "caf\\u00e9", "loss": null}
    """
    text = json.dumps(_finite(data), indent=indent, allow_nan=False, default=str)
    _write(text.replace("\x7f", "\\u007f") + "\n", err=False)


def clear_line() -> None:
    """Move to the beginning of the line on a terminal's stderr, and clear it: a progress bar writes it again."""
    _write("\r\x1b[K", err=True)


def say(line: object) -> None:
    """Print a line to stderr: something worth knowing on the way."""
    echo(line, err=True)


class Stderr:
    """Stderr for progress bars, which must not end a run because nobody can see them."""

    def __init__(self, file: TextIO | None = None):
        self._file = sys.stderr if file is None else file

    def write(self, text: str) -> int:
        """Write text, if that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._file.flush()

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return self._file is not None and not self._file.closed and self._file.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def open_closed_streams() -> None:
    """Give a process whose stdin, stdout or stderr were closed the null device in their place.

    Else the next file that is opened takes such a number, and gets what libraries write to stderr.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)


def _write(text: str, err: bool) -> None:
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        _discard(stream)
        if err:
            return
        gone = isinstance(error, OSError) and error.errno == errno.EPIPE
        raise OutputLost("" if gone else (getattr(error, "strerror", None) or str(error))) from None


def _discard(stream: TextIO) -> None:
    """Send what a stream still holds nowhere: the interpreter would complain of it at the end."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _finite(data: Any) -> Any:
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
