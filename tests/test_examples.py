"""Every name that a package offers its users has a docstring with an example, and every example runs."""

import doctest
import importlib
import inspect
import types

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet.common.registry import Registry
from tests.support.eager import eagerly
from tests.support.faces import FACES

# Data have no docstring of their own; their module says what they are.
PUBLIC = [(face, name) for face in FACES for name in getattr(importlib.import_module(face), "__all__", ())]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(autouse=True, scope="module")
def examples_take_a_step_or_two():
    with eagerly():
        yield


@pytest.mark.parametrize("face, name", PUBLIC)
def test_the_example_of_a_public_name_runs(face, name, tmp_path, monkeypatch):
    if face == "keras_nasnet.detection":
        pytest.importorskip("official", reason="the extra [detection] is not installed")
    package = importlib.import_module(face)
    thing = getattr(package, name)
    if not isinstance(thing, type | types.FunctionType):
        return
    documentation = inspect.getdoc(thing) or ""
    assert "Example:" in documentation, f"{face}.{name} has no example"
    monkeypatch.chdir(tmp_path)
    names = {other: getattr(package, other) for other in package.__all__}
    for registry in names.values():  # what an example registers is gone with it
        if isinstance(registry, Registry):
            monkeypatch.setattr(registry, "_rows", dict(registry._rows))
    names |= {"keras": keras, "keras_nasnet": keras_nasnet, "np": np}
    tests = [test for test in doctest.DocTestFinder(recurse=False).find(thing, name, globs=names) if test.examples]
    assert tests, f"{face}.{name} has an example without >>>"
    for test in tests:
        results = doctest.DocTestRunner(optionflags=OPTIONS).run(test, clear_globs=False)
        assert results.failed == 0
