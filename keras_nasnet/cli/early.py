"""Imported first by the command: a Ctrl-C while its own modules are imported, or the interpreter ends, is one line.

There is nothing to be put in order then. `keras_nasnet.common.signals` takes over while a command runs.
"""

import os
import signal
import sys
from types import FrameType


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, f"Error: stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


# As a program, not where its module is imported by another.
if os.path.basename(sys.argv[0]).startswith("keras-nasnet") or sys.argv[0].endswith(os.path.join("cli", "main.py")):
    for _number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(_number) is not signal.SIG_IGN:
            signal.signal(_number, _end)
