"""A recipe of one's own, with an augmentation of one's own."""

import keras

from keras_nasnet.training.augmentation import Augmentation
from keras_nasnet.training.recipe import Recipe
from tests.support.toy import NETWORK


class Negative(keras.layers.Layer):
    def call(self, images, training=False):
        return 255 - images if training else images


AUGMENTATION = Augmentation(lambda seed: [Negative(dtype="uint8")])
RECIPE = Recipe("own", network=NETWORK, augmentation=f"{__name__}:AUGMENTATION", batch=8)
