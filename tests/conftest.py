"""Settings for all tests: Hypothesis, memory, and where child processes find this checkout."""

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import ROOT

# Child processes import the package and `tests.support` from here, whatever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
# What is compiled here runs for milliseconds.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

settings.register_profile("keras_nasnet", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("keras_nasnet")

# Networks are made of many objects that live long: to look through all of them again and again takes a sixth of the
# time. What a module of tests leaves behind goes at its end instead.
gc.set_threshold(100_000, 50, 100)


def pytest_collection_finish() -> None:
    """What is imported by now stays: nobody looks through it again at the end of each module."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def networks_of_a_module_go_with_it() -> Iterator[None]:
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()


@pytest.fixture
def mount() -> Iterator[Callable[[Path, str], None]]:
    """Returns a function that mounts a tmpfs on a folder, with options such as "size=64k" or "ro"; only root may."""
    mounted = []

    def mount(folder: Path, options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no tmpfs can be mounted here: root may")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)
