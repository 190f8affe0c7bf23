"""The recipes of CONTRIBUTING.md for an operation and a genotype, carried out by tests/support/plugin_*.py."""

import keras
import numpy as np
import pytest

import tests.support.plugin_genotype  # noqa: F401
from keras_nasnet import NASNet, genotype, mult_adds
from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.inference.folding import fold
from keras_nasnet.layers import Combine, Operation
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.supernet.supernet import Supernet, slots
from tests.support.random_weights import randomized

SMALL = {"num_blocks": 1, "penultimate_filters": 32, "stem": "cifar", "classes": 3, "classifier_activation": None}
IMAGES = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def network():
    return randomized(NASNet("wide", **SMALL))


def predictions(model):
    return keras.ops.convert_to_numpy(model(IMAGES))


def test_it_is_saved_and_loaded(network, tmp_path):
    network.save(tmp_path / "wide.keras")
    again = keras.saving.load_model(tmp_path / "wide.keras")
    np.testing.assert_array_equal(predictions(again), predictions(network))
    assert np.ptp(predictions(network)) > 0


def test_it_is_folded(network):
    folded, expected = fold(network), predictions(network)
    assert not [layer for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    np.testing.assert_allclose(predictions(folded), expected, atol=1e-4 * np.abs(expected).max())


def test_its_multiply_adds_are_counted(network):
    cell = CellSpec((Block((0, 1), ("conv_3x3", "identity")),), outputs=((0, 2),))
    narrow = NASNet(Genotype(cell, cell), **SMALL)
    places = [(32, 4), (16, 8), (16, 8), (8, 16), (8, 16)]  # side and filters of each cell
    expected = sum(side**2 * filters**2 * (5 * 5 - 3 * 3) for side, filters in places)
    assert mult_adds(network) - mult_adds(narrow) == expected


def test_it_is_drawn():
    assert genotype.get("wide")._repr_svg_().count(">conv 5x5<") == 2  # once a cell


def test_it_is_searched():
    space = get_space({"name": "nasnet", "blocks": 1, "operations": ["conv_5x5", "identity"]})
    child = space.genotype(space.tokens(space.genotype([0] * space.length)))
    assert child.normal.blocks[0].operations == ("conv_5x5", "conv_5x5")
    layouts = slots(Supernet(1, 4, 10).path(child))
    kernels = [layout[0][1] for slot, layout in layouts.items() if "conv_5x5" in slot]
    assert kernels and {shape[:2] for shape in kernels} == {(5, 5)}


@pytest.mark.parametrize("base, rows", [(Operation, genotype.OPERATION_LAYERS), (Combine, genotype.COMBINE_LAYERS)])
def test_one_that_does_not_say_how_it_is_folded_and_counted_is_an_error(base, rows, monkeypatch):
    """And never zeros."""

    class Silent(base):
        def call(self, inputs):
            return inputs if base is Operation else inputs[0]

    monkeypatch.setattr(rows, "_rows", rows._rows | {"silent": Silent})
    block = Block((0, 1), ("silent", "identity")) if base is Operation else Block((0, 1), ("identity",) * 2, "silent")
    cell = CellSpec((block,), outputs=((2,),))
    model = NASNet(Genotype(cell, cell), **(SMALL | {"penultimate_filters": 8}))
    with pytest.raises(NotImplementedError, match="Silent has no method 'fold'"):
        fold(model)
    with pytest.raises(NotImplementedError, match="Silent has no method 'mult_adds'"):
        mult_adds(model)
