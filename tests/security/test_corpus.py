"""Hostile and damaged inputs of each format give a result or an error of one line; see `corpus.py`."""

import pytest

from tests.security.corpus import run, summary
from tests.security.formats import FORMATS, NEEDS, is_installed

COUNT = 500


@pytest.mark.security
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FORMATS)
def test_no_input_does_harm(name, tmp_path):
    if not is_installed(name):
        pytest.skip(f"needs {NEEDS[name]}")
    counts = run(name, COUNT, tmp_path)
    assert not counts.faults, summary(counts.faults)
    assert counts.read + counts.refused == COUNT
