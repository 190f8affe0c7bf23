"""Augmentations by name: the package's own, and one from a module of the user's."""

import keras
import numpy as np
import pytest

from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.network import make_network
from keras_nasnet.training.objective import Objective, make_augmentation
from keras_nasnet.training.optimizer import make_optimizer
from keras_nasnet.training.recipe import get_recipe
from keras_nasnet.training.steps.contract import make_step
from tests.support import plugin_recipe
from tests.support.toy import arrays, recipe


@pytest.mark.parametrize(
    ("name", "layers", "crop_fraction"),
    [
        ("none", [], 1.0),
        ("flip", ["RandomFlip"], 1.0),
        ("pad_crop_flip", ["PadCropFlip"], 1.0),
        ("inception", ["RandomFlip", "ColorDistortion"], 0.875),
    ],
)
def test_each_has_its_layers_its_crop_and_its_seeds(name, layers, crop_fraction):
    made = make_augmentation(recipe(augmentation=name, seed=5), None)
    assert [(type(layer).__name__, layer.seed) for layer in made] == list(zip(layers, range(5, 9), strict=False))
    augmentation = AUGMENTATIONS.get(name)
    assert augmentation.crop == (RandomCrop() if name == "inception" else None)
    assert augmentation.crop_fraction == crop_fraction and augmentation.in_memory == (name != "inception")


def test_what_is_cut_out_becomes_the_networks_mean_colour():
    settings = recipe(augmentation="flip", cutout=8, seed=5)
    _, cutout = make_augmentation(settings, make_network(settings, "abc"))
    assert (cutout.size, cutout.fill, cutout.seed) == (8, (127.5, 127.5, 127.5), 7)


def test_a_recipe_of_ones_own_trains_with_an_augmentation_of_ones_own(tmp_path):
    plugin_recipe.RECIPE.save(tmp_path / "own.toml")
    own = get_recipe(tmp_path / "own.toml")
    assert own == plugin_recipe.RECIPE
    images, labels = arrays(own.batch, 0)
    network = make_network(own, "abc")
    negative = Objective(network, own)(255 - images, labels.astype("int32"), training=True)
    kernel = network.get_layer("predictions").kernel
    before = keras.ops.convert_to_numpy(kernel).copy()
    objective = Objective(network, own, make_augmentation(own, network))
    step = make_step(objective, make_optimizer(own, steps_per_epoch=1), own, Devices())
    sums = step.train(images, labels.astype("int32"), 0.0)
    step.sync()
    np.testing.assert_allclose(float(sums["loss"]), float(negative["loss"]), rtol=1e-4)
    assert (keras.ops.convert_to_numpy(kernel) != before).any()


def test_one_that_cannot_be_imported_is_named():
    settings = recipe(augmentation="no_such_module:AUGMENTATION")  # as data it may be read anywhere
    with pytest.raises(ValueError, match="augmentation is 'no_such_module:AUGMENTATION': No module named"):
        make_augmentation(settings, None)
