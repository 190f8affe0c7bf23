"""What all benchmarks share: processes of their own, ratios, and a line on the machine."""

import datetime
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

SEED = 0
ROOT = Path(__file__).resolve().parents[2]  # the checkout
CPU = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}  # of most benchmarks


class ProcessFailed(click.ClickException):
    """A process of a benchmark ended with an error.

    Args:
        command: what ran.
        code: its exit code.
        errors: the end of what it wrote to stderr.
    """

    def __init__(self, command: Sequence[str], code: int, errors: str):
        super().__init__(f"{' '.join(command)} failed:\n{errors}")
        self.code, self.errors = code, errors


def in_new_process(function: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] = CPU) -> Any:
    """Calls a function of a benchmark in a process of its own.

    Args:
        function: of a module.
        arguments: that JSON can hold.
        environment: added to this process's.

    Returns:
        What the function returns, through JSON.

    Raises:
        ProcessFailed: if the process ends with an error.
    """
    command = [sys.executable, "-m", __name__, function.__module__, function.__name__, json.dumps(arguments)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    result = subprocess.run(
        command, env={**os.environ, **environment, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if result.returncode:
        raise ProcessFailed(command, result.returncode, result.stderr[-2000:])
    return json.loads(result.stdout.splitlines()[-1])


def median_ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Returns how many times as fast one side is: the median over the rounds, in each of which both ran."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def processor() -> str:
    """Returns the model of the CPU, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def conditions() -> str:
    """Returns one line: hardware, versions, seed, date."""
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    return (
        f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {packages}; "
        f"seed {SEED}; {datetime.date.today()}"
    )


if __name__ == "__main__":  # a process that `in_new_process` started
    module, name, values = sys.argv[1:]
    print(json.dumps(getattr(importlib.import_module(module), name)(*json.loads(values))))
