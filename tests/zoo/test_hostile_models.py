"""Genotypes and `.keras` files that anyone may have written: read, or refused in one short line.

`python -m tests.support.hostile_models` tries as many as one likes.
"""

from collections import Counter

import pytest

from keras_nasnet.genotype import Genotype
from keras_nasnet.zoo import loading
from tests.support.hostile_models import genotypes, keras_files, outcome, write_sources

CASES = 1500


def test_genotypes():
    counts = Counter(outcome(lambda text=text: Genotype.from_json(text)) for text in genotypes(300))
    assert counts["refused"] > 200
    assert counts.total() == 300


@pytest.mark.security
def test_keras_files(tmp_path):
    """All are looked at without Keras; of those that pass, each tenth is loaded."""
    path, counts = tmp_path / "model.keras", Counter()
    for number, _ in enumerate(keras_files(write_sources(tmp_path), path, CASES)):
        found = outcome(lambda: loading.check(path))
        if found == "read" and number % 10 == 0:
            found = "loaded" if outcome(lambda: loading.load(path)) == "read" else "refused late"
        counts[found] += 1
    assert counts["refused"] > CASES / 4, counts
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "flat.keras",
        "model.keras",
        "nested.keras",
        "plain.keras",
    ]
