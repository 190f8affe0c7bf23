"""Says what was wrong with annotated images: the first lines to the user, all of them in a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from keras_nasnet.common.escape import printable
from keras_nasnet.common.files import write_text
from keras_nasnet.detection.data.dataset import Problem

SHOWN, FILE = 20, "problems.txt"


def tell(problems: Sequence[Problem], folder: Path | None, say: Callable[[str], None]) -> None:
    """Say what was found wrong with a dataset.

    Args:
        problems: of the dataset.
        folder: that gets problems.txt with all of them where there are more than are said; None for no file.
        say: is given a line for each of the first.
    """
    lines = [printable(problem) for problem in problems]
    for line in lines[:SHOWN]:
        say(line)
    if len(lines) > SHOWN:
        if folder is not None:
            write_text(folder / FILE, "".join(f"{line}\n" for line in lines))
        say(f"and {len(lines) - SHOWN} more" + (f": {folder / FILE} has all" if folder is not None else ""))
