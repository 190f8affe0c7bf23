"""Networks are frozen by the names of their cells; the page about it runs."""

import doctest
import inspect
import re

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.models.freezing import Freezing
from tests.support import ROOT
from tests.support.toy import NETWORK

PAGE = ROOT / "docs" / "freezing.md"


def network(**options):
    return NASNet(**NETWORK | {"stem": "cifar", "stem_filters": 4, "classes": 3, "input_shape": (32, 32, 3)} | options)


def trained(model):
    return [layer.name for layer in model.layers if layer.trainable and layer.weights]


def test_cells_up_to_one_are_frozen_and_the_others_trained():
    model = network(auxiliary_head=True)
    head = [name for name in trained(model) if name.startswith("auxiliary_")] + ["predictions"]
    assert len(head) == 5
    model.freeze(up_to="cell_1")
    assert set(trained(model)) == {"reduction_1", "cell_2", *head}
    model.freeze(up_to=0)
    assert set(trained(model)) == {"reduction_0", "cell_1", "reduction_1", "cell_2", *head}
    model.freeze("stem")
    assert set(trained(model)) == {*model.cell_names, *head}
    model.freeze()
    assert set(trained(model)) == set(head)
    model.unfreeze()
    assert len(model.trainable_weights) == len(network(auxiliary_head=True).trainable_weights)


def test_frozen_batch_normalization_keeps_its_statistics():
    model = network(batch_norm_momentum=0.5)
    model.freeze(up_to="cell_1")
    before = {v.path: np.array(v) for v in model.non_trainable_variables}
    model(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), training=True)
    changed = {v.path.split("/")[0] for v in model.non_trainable_variables if np.any(np.array(v) != before[v.path])}
    assert changed == {"reduction_1", "cell_2"}
    model.freeze(up_to="cell_1", batch_norms=True)
    before = [np.array(v) for v in model.non_trainable_variables]
    model(np.random.default_rng(0).normal(size=(4, 32, 32, 3)), training=True)
    for now, then in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert {v.path.split("/")[0] for v in model.trainable_weights} == {"reduction_1", "cell_2", "predictions"}


def test_a_network_that_was_frozen_as_a_whole_thaws():
    backbone = NASNetBackbone(**NETWORK, stem="cifar")
    everything = len(backbone.trainable_weights)
    backbone.trainable = False
    backbone.freeze(up_to="cell_1")
    assert 0 < len(backbone.trainable_weights) < everything
    backbone.trainable = False
    backbone.unfreeze()
    assert len(backbone.trainable_weights) == everything


def test_layers_before_the_network_are_frozen_with_it():
    inputs = keras.Input((32, 32, 3))
    model = network(input_tensor=keras.layers.Conv2D(3, 1, name="before")(inputs))
    model.freeze("stem")
    assert not model.get_layer("before").trainable and "cell_0" in trained(model)


def test_batch_norms_are_all():
    model = network()
    gammas = [v for v in model.weights if v.name == "gamma"]
    assert len(model.batch_norms()) == len(gammas) > 10


@pytest.mark.parametrize("up_to", ["cell_9", True, 9, "predictions", None])
def test_unknown_cells_are_refused(up_to):
    with pytest.raises(ValueError, match="choose from stem, cell_0, reduction_0, cell_1"):
        network().freeze(up_to)


@pytest.mark.parametrize("name", ["freeze", "unfreeze", "batch_norms"])
def test_the_examples_run(name):
    test = doctest.DocTestParser().get_doctest(
        inspect.getdoc(getattr(Freezing, name)), {"keras_nasnet": keras_nasnet}, name, None, 0
    )
    assert test.examples and not doctest.DocTestRunner().run(test).failed


@pytest.mark.skipif(not PAGE.exists(), reason="needs the pages of the checkout")
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the page's Grad-CAM is written for TensorFlow")
def test_the_page_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        exec(block, names)
    said = capsys.readouterr().out.splitlines()
    expected = [line.partition("  # ")[2] for block in blocks for line in block.splitlines() if "print(" in line]
    assert len(said) == len(expected) >= 2
    for found, wanted in zip(said, expected, strict=True):
        assert wanted.startswith(found)
    assert names["heat"].min() >= 0 and names["heat"].max() == pytest.approx(1)
    assert names["grad_cam"](names["model"], names["image"], "cell_2").shape == (16, 16)
