"""Errors as the command line reports them: one line on stderr, and an exit code that says what kind it was."""

import contextlib
import errno
import sys
from collections.abc import Iterator

import click

from keras_nasnet.common.errors import RunError
from keras_nasnet.common.escape import printable


class InputError(click.ClickException):
    """An error in what the user gave, on one line; exit code 2.

    Args:
        message: the error, or what to print.
    """

    exit_code = 2

    def __init__(self, message: object):
        super().__init__(printable(" ".join(str(message).split())))


@contextlib.contextmanager
def reporting_errors() -> Iterator[None]:
    """Report what goes wrong in a run on one line.

    The exit code is 2 for bad input, 1 for what went wrong later, and 130 or 143 after SIGINT or SIGTERM.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InputError(error) from None
    except OSError as error:
        text = "the disk is full" if error.errno == errno.ENOSPC else str(error)
        raise click.ClickException(f"{text}: the last checkpoint is as it was") from None
    except RunError as error:
        click.echo(f"Error: {printable(error)}", err=True)
        sys.exit(error.exit_code)
