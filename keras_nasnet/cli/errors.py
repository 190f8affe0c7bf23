"""Errors as the command line reports them: one line on stderr, and an exit code that says what kind it was."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from keras_nasnet.common.errors import RunError, one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.common.signals import Stopped, Stopping, ignore_more
from keras_nasnet.common.terminal import OutputLost, echo_text, say

# Of a path that cannot be, whatever is on the disk: bad input. Other errors of files are 1.
_BAD_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL)


class InputError(click.ClickException):
    """An error in what the user gave, on one line; exit code 2.

    Args:
        message: the error, or what to print.
    """

    exit_code = 2

    def __init__(self, message: object):
        super().__init__(printable(" ".join(str(message).split())))


def _missing(error: ImportError) -> str:
    """Return what to do where a module is not installed."""
    if error.name in ("jax", "openvino", "tensorflow", "torch"):
        return f"{error}: install it, or choose another backend of Keras (KERAS_BACKEND, or keras.json in ~/.keras)"
    return str(error)


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Report what goes wrong in a command on one line.

    The exit code is 2 for bad input, 1 for what went wrong later, and 130 or 143 after SIGINT or SIGTERM.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InputError(error) from None
    except ImportError as error:
        raise InputError(_missing(error)) from None
    except OSError as error:
        raise _of_a_file(error) from None
    except MemoryError:
        raise click.ClickException("there is not enough memory") from None
    except RunError as error:
        if not (isinstance(error, OutputLost) and not str(error)):
            say(f"Error: {one_line(error)}")
        sys.exit(error.exit_code)


def run(command: Callable[[], Any]) -> int:
    """Run a command of click without its own handling of errors, and return the exit code.

    Args:
        command: to be called.
    """
    with Stopping() as stopping:
        try:
            with reporting_errors():
                code = command()
            return code if isinstance(code, int) else 0
        except Exception as error:
            if stopping.came is not None:  # of which a library has made an error of its own
                ignore_more()
                say(f"Error: {Stopped(stopping.came)}")
                return 128 + stopping.came
            if not isinstance(error, click.ClickException):
                raise
            shown = io.StringIO()
            error.show(shown)
            echo_text(shown.getvalue(), err=True)
            return error.exit_code


def _of_a_file(error: OSError) -> click.ClickException:
    """Return an error of a file in words: which file, and why."""
    reason = error.strerror or one_line(error)
    if error.errno == errno.ENOSPC and reason == os.strerror(errno.ENOSPC):
        reason = "the disk is full"
    name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
    bad = error.errno in _BAD_PATH
    return InputError(f"{name}{reason}") if bad else click.ClickException(printable(f"{name}{reason}"))
