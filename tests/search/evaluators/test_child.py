"""The child network of a search."""

import keras
import numpy as np
import pytest

from keras_nasnet.genotype import NASNET_C
from keras_nasnet.layers.cell import Cell
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.trial import Fidelity
from tests.support.same_weights import values
from tests.support.toy import GENOTYPE

FIDELITY = Fidelity(filters=4, num_blocks=2)


def test_a_child_has_the_papers_shape():
    child = make_child("nasnet_a", Fidelity(filters=2, num_blocks=1), 10, (8, 8, 3))
    cells = [layer for layer in child.layers if isinstance(layer, Cell)]
    assert [(cell.filters, cell.stride) for cell in cells] == [(2, 1), (4, 2), (4, 1), (8, 2), (8, 1)]
    assert child.get_layer("stem_convolution").filters == 6
    assert not isinstance(child.output, dict)  # no auxiliary head
    images = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, 3)).astype("float32")
    logits = keras.ops.convert_to_numpy(child(images))
    assert logits.shape == (5, 10)
    assert (logits < 0).any()


@pytest.mark.parametrize("genotype", [GENOTYPE, NASNET_C], ids=["toy", "nasnet_c"])
def test_filters_are_those_of_the_fidelity_whatever_the_ratio(genotype):
    child = make_child(genotype, Fidelity(filters=2, num_blocks=1), 3, (8, 8, 3))
    assert child.get_layer("cell_0").filters == 2


def test_the_seed_decides_the_weights():
    one, same, other = (values(make_child(GENOTYPE, FIDELITY, 3, (8, 8, 3), seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(value, same[path]) for path, value in one.items())
    assert not np.array_equal(one["predictions/kernel"], other["predictions/kernel"])


def test_a_child_in_low_precision_keeps_its_variables():
    child = make_child(GENOTYPE, FIDELITY, 3, (8, 8, 3), dtype="mixed_bfloat16")
    assert child.get_layer("cell_0").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in child.weights} == {"float32"}
