"""Errors that end a run, and how any error is said in one line.

Bad input is a `ValueError` or `TypeError` everywhere. What goes wrong later, through no fault of the input, is a
`RunError`: the command line prints its message and ends with its `exit_code`.
"""

from keras_nasnet.common.escape import printable


class RunError(RuntimeError):
    """A run ended before its time.

    Attributes:
        exit_code: with which the command line ends, 1 unless a subclass says otherwise.
    """

    exit_code = 1


class Interrupted(RunError):
    """A run was asked to stop; what it had done so far is kept.

    Args:
        message: for people: when it stopped, and how to go on.
        number: of the signal; the exit code is 128 more, as a shell reports it.

    Example:
        >>> Interrupted("stopped by SIGINT", 2).exit_code
        130
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_code = 128 + number


class Diverged(RunError):
    """A loss that is no finite number any more."""


class WorkerLost(RunError):
    """A worker process or machine that does not answer, or cannot be started."""


def one_line(error: BaseException, limit: int | None = None) -> str:
    """Returns an error's message on one line that is safe to print; the name of its class where it has no message.

    Args:
        error: any exception.
        limit: the most characters to return; None for all.

    Example:
        >>> one_line(ValueError("first\\n  second"))
        'first second'
        >>> one_line(KeyError())
        'KeyError'
    """
    return (printable(" ".join(str(error).split())) or type(error).__name__)[:limit]
