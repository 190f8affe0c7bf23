"""Runs the corpus: a child process reads the inputs of a format, and is started again after one that ends it."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass
class Counts:
    """What came of a format's inputs.

    Args:
        read: gave a result.
        refused: ended in an error of one line.
        faults: did something else; each with the number of its input.
    """

    read: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


def run(name: str, count: int, folder: Path, first: int = 0) -> Counts:
    """Read `count` inputs of a format; the folder must be empty."""
    outside = folder / "outside"
    outside.mkdir(parents=True)
    (outside / "kept").write_text("as it was")
    counts, number = Counts(), first
    while number < first + count:
        number = _child(name, number, first + count, folder, counts)
    if {path.name: path.read_text() for path in outside.iterdir()} != {"kept": "as it was"}:
        counts.faults.append("something was written outside of the folder")
    return counts


def _child(name: str, first: int, last: int, folder: Path, counts: Counts) -> int:
    """Read inputs until the end or a death; returns the number of the next one."""
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "TMPDIR": str(temporary),
        "KERAS_HOME": str(folder / "home"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "tests.security.child", name, str(first), str(last), str(folder / "work")]
    shutil.rmtree(folder / "work", ignore_errors=True)
    (folder / "work" / "sound").mkdir(parents=True)
    with open(folder / "errors.txt", "w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, cwd=folder
        )
        assert process.stdout is not None
        following = first
        is_ready = process.stdout.readline() == "ready\n"
        for line in process.stdout:
            answer = json.loads(line)
            following = answer["number"] + 1
            shutil.rmtree(folder / "work" / str(answer["number"]), ignore_errors=True)
            if answer["outcome"] == "read":
                counts.read += 1
            elif answer["outcome"] == "refused":
                counts.refused += 1
            else:
                counts.faults.append(f"{name} {answer['number']}: {answer['outcome']}")
        code = process.wait()
        if following >= last and code == 0:
            return last
        errors.seek(0)
        told = errors.read()
    if not is_ready:
        raise RuntimeError(f"sound inputs of {name} are not read: {told[-2000:]}")
    counts.faults.append(f"{name} {following}: the process ended with {code}: {told[-1500:]}")
    return following + 1


def summary(faults: list[str]) -> str:
    """Faults of the same kind on one line, with how many there are."""
    kinds = Counter(fault.split(": ", 1)[-1][:150] for fault in faults)
    return "\n".join(f"{count} x {kind}" for kind, count in kinds.most_common(20))
