"""Reads inputs of one format, as a program, with limits of memory and time: `corpus.py` starts it.

    python -m tests.security.child FORMAT FIRST LAST FOLDER

Prints "ready" when the sound inputs are read, then a line of JSON for each input: its number, and what came of it:
"read", "refused", or what should not be.
"""

import contextlib
import faulthandler
import json
import linecache
import os
import resource
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 20  # that one input may take, on a machine that is busy with others
BYTES = 2**31  # of memory that all inputs may take beside the libraries
PACKAGE = ("keras_nasnet", "search", "zoo")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Forbidden(BaseException):
    """Reading an input did what no input may make it do."""


def main(name: str, first: int, last: int, folder: Path) -> None:
    from tests.security.formats import FORMATS

    chosen = FORMATS[name]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    found = chosen(folder / "sound")
    for number, content in enumerate(found.sound):
        place = folder / f"sound-{number}"
        place.mkdir()
        os.chdir(place)
        with contextlib.redirect_stdout(None):
            found.read(content, place)
    answers.write("ready\n")
    _limit_memory()
    watched = _watch(folder)
    for number in range(first, last):
        place = folder / f"{number}" / "inside"
        place.mkdir(parents=True)
        content = found.make(np.random.default_rng((number, *name.encode())))
        watched["on"] = True
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        outcome = _outcome(found.read, content, place)
        faulthandler.cancel_dump_traceback_later()
        watched["on"] = False
        answers.write(json.dumps({"number": number, "outcome": outcome}) + "\n")
        answers.flush()


def _outcome(read: Any, content: Any, place: Path) -> str:
    os.chdir(place)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            read(content, place)
    except Forbidden as error:
        return f"forbidden: {error}"
    except BaseException as error:
        return "refused" if _is_ours(error) else _told(error)
    return "read"


def _is_ours(error: BaseException) -> bool:
    """Whether an error is one that the package raised on purpose, in one line that a terminal can show."""
    from keras_nasnet.common.errors import RunError

    frame = traceback.extract_tb(error.__traceback__)[-1]
    source = linecache.getline(frame.filename, frame.lineno or 0).strip()
    path = Path(frame.filename)
    root = Path(__file__).parents[2]
    ours = path.is_relative_to(root) and path.relative_to(root).parts[0] in PACKAGE
    text = str(error)
    return (
        isinstance(error, ValueError | TypeError | RunError)
        and ours
        and source.startswith("raise")
        and not any(character < " " or "\x7f" <= character <= "\x9f" for character in text)
        and len(text) < 4000
    )


def _told(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    ours = [f for f in traceback.extract_tb(error.__traceback__) if any(f"/{p}/" in f.filename for p in PACKAGE)]
    at = f" at {ours[-1].filename.split('/')[-1]}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {str(error)[:300]!r}{at} in {Path(frame.filename).name}:{frame.lineno}"


def _limit_memory() -> None:
    """Memory beyond what the libraries hold already."""
    status = Path("/proc/self/status").read_text().splitlines()
    held = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + BYTES, held + BYTES))


def _watch(folder: Path) -> dict[str, bool]:
    """From now on an input that writes beside its folder, starts a program or connects to something is told."""
    watched = {"on": False}
    allowed = (os.path.realpath(folder), os.path.realpath(tempfile.gettempdir()))

    def inside(path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return True
        path = os.path.realpath(os.fsdecode(path))
        return path == os.devnull or path.startswith(tuple(f"{place}{os.sep}" for place in allowed)) or path in allowed

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if not watched["on"]:
            return
        if event == "open":
            path, _, flags = arguments
            if (flags or 0) & _WRITES and not inside(path):
                raise Forbidden(f"opens {path!r} to write")
        elif event in ("os.symlink", "os.link") and inside(os.path.dirname(arguments[1])):
            return
        elif event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod"):
            if not all(inside(path) for path in arguments[:2] if isinstance(path, str | bytes)):
                raise Forbidden(f"{event} {arguments!r}")
        elif event == "subprocess.Popen" and arguments[1][:2] == [sys.executable, "-P"]:
            return  # HDF5 can crash, so the package reads such files in a process of its own first
        elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"):
            raise Forbidden(f"{event} {arguments!r:.200}")

    sys.addaudithook(hook)
    return watched


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
