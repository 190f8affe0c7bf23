"""What the Model Garden and pycocotools print, kept out of the user's sight."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from absl import logging as absl_logging


@contextlib.contextmanager
def printed_to(log: Path) -> Iterator[None]:
    """Append to a file what is printed and logged inside the block; TensorFlow's warnings are left out."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = absl_logging.get_absl_handler().python_handler
    tensorflow = logging.getLogger("tensorflow")
    level = tensorflow.level
    tensorflow.setLevel(logging.ERROR)
    with open(log, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        before, handler.stream = handler.stream, file
        try:
            yield
        finally:
            handler.stream = before
            tensorflow.setLevel(level)
