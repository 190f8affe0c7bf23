"""Settings for all tests: Hypothesis, memory, and where child processes find this checkout."""

import gc
import os
import sys
from collections.abc import Iterator

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


@pytest.fixture(autouse=True, scope="module")
def networks_of_a_module_go_with_it() -> Iterator[None]:
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
