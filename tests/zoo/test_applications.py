"""The paper's networks by name, and the arguments of keras.applications."""

import functools
import inspect
import math

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.zoo import applications


@pytest.mark.parametrize("name", ["NASNetMobile", "NASNetLarge"])
def test_same_arguments_as_keras_applications(name):
    theirs = inspect.signature(getattr(keras.applications, name)).parameters
    ours = inspect.signature(getattr(keras_nasnet, name)).parameters
    assert list(ours) == list(theirs)
    assert [p.default for p in ours.values()] == [p.default for p in theirs.values()]


@functools.cache
def variant(name):
    with without_random_values():
        return keras_nasnet.variant(name)


def test_mobile_has_the_published_parameters():
    with without_random_values():
        body = keras_nasnet.NASNetMobile(weights=None, include_top=False, pooling="avg")
    assert body.count_params() == 4_269_716
    assert variant("nasnet_a_4_1056_imagenet").count_params() == 5_326_716


@pytest.mark.slow
def test_large_has_the_published_parameters():
    assert keras_nasnet.NASNetLarge(weights=None).count_params() == 88_949_818
    # The classifier has 4032 * 1000 + 1000. keras.applications says 84,887,922 at unknown input
    # sizes, where it leaves a reduction of the first cell out, and the same as here at known ones.
    assert keras_nasnet.NASNetLarge(weights=None, include_top=False).count_params() == 88_949_818 - 4_033_000


# Trainable parameters and multiply-adds in millions that the paper publishes, and how near we come.
@pytest.mark.parametrize(
    ("name", "parameters", "adds", "tolerance"),
    [
        ("nasnet_a_4_1056_imagenet", 5.3, 564, 0.01),
        ("nasnet_b_4_1536_imagenet", 5.3, 488, 0.07),
        ("nasnet_c_3_960_imagenet", 4.9, 558, 0.01),
    ],
)
def test_sizes_near_the_published(name, parameters, adds, tolerance):
    model = variant(name)
    counted = sum(math.prod(weight.shape) for weight in model.trainable_weights) / 1e6
    assert counted == pytest.approx(parameters, rel=tolerance)
    assert keras_nasnet.mult_adds(model) / 1e6 == pytest.approx(adds, rel=0.01)


def test_mult_adds_of_a_net_counted_by_hand():
    block = keras_nasnet.Block((0, 0), ("conv_3x3", "identity"))
    cell = keras_nasnet.CellSpec((block,), outputs=((1,),), num_inputs=1)
    genotype = keras_nasnet.Genotype(cell, cell)
    model = keras_nasnet.NASNet(genotype, 1, 8, stem="cifar", classes=10)  # F = 2, stem 6
    stem = 32 * 32 * 27 * 6
    normal = [size**2 * (inputs * f + 9 * f * f) for size, inputs, f in ((32, 6, 2), (16, 4, 4), (8, 8, 8))]
    # A reduction fits its input before it strides; its identity is a strided 1x1 convolution.
    reduction = [size**2 * inputs * f + (size // 2) ** 2 * 10 * f * f for size, inputs, f in ((32, 2, 4), (16, 4, 8))]
    assert keras_nasnet.mult_adds(model) == stem + sum(normal) + sum(reduction) + 8 * 10
    with pytest.raises(ValueError, match="fixed size"):
        keras_nasnet.mult_adds(keras_nasnet.NASNet(genotype, 1, 8, stem="cifar", input_shape=(None, None, 3)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "imagenet", "classes": 10}, "classes is 10"),
        ({"weights": "no_such_file.h5"}, "no_such_file.h5"),
        ({"weights": "imagenet", "classifier_activation": "sigmoid"}, "sigmoid"),
        ({"weights": None, "input_shape": (None, None, 3)}, "fixed"),
        ({"weights": None, "input_shape": (31, 31, 3)}, "32x32"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        keras_nasnet.NASNetMobile(**options)


def test_unknown_variant():
    with pytest.raises(ValueError, match="choose from nasnet_a_4_1056_imagenet"):
        keras_nasnet.variant("nasnet_z")


def test_preprocess_and_decode_are_those_of_keras():
    pixels = np.array([[[[0.0, 127.5, 255.0]]]], "float32")
    assert applications.preprocess_input(pixels.copy()).ravel().tolist() == [-1, 0, 1]
    for name in ("preprocess_input", "decode_predictions"):
        ours, theirs = (inspect.signature(getattr(code, name)) for code in (applications, keras.applications.nasnet))
        assert list(ours.parameters) == list(theirs.parameters)
        assert [p.default for p in ours.parameters.values()] == [p.default for p in theirs.parameters.values()]
    with pytest.raises(ValueError, match="expects a batch of predictions"):
        keras_nasnet.decode_predictions(np.zeros((2, 10)))
