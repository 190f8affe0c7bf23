"""Silence for converters and runtimes that print what nobody asked for."""

import contextlib
import io
import os
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop what is printed within the context, also by C++ past Python; errors are raised anyway.

    Within it, file descriptor 2 is silent for the whole process: also for other threads. There is no other way:
    C++ writes to the descriptor, and not to `sys.stderr`.
    """
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        kept = os.dup(2)
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
