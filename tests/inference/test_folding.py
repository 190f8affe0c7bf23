"""Folded networks are equal, smaller, serialisable, and refuse to train."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.inference.folding import FoldedNASNet, fold
from tests.support.random_weights import randomized
from tests.support.toy import NETWORK


def assert_equal(model, folded, images):
    ours, theirs = (keras.ops.convert_to_numpy(m(images)) for m in (folded, model))
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


IMAGENET = {"genotype": "nasnet_a", "penultimate_filters": 192}
CIFAR = {"penultimate_filters": 48, "stem": "cifar"}
ANY, FIXED = (None, None), (64, 64)


@pytest.mark.parametrize(
    ("case", "size"),
    [
        (IMAGENET, ANY),
        (IMAGENET | {"pool_padding": "timm", "skip_reduction": True}, ANY),
        # The border of a pool is known where the size is.
        (IMAGENET | {"pool_padding": "timm", "skip_reduction": True}, FIXED),
        (CIFAR | {"genotype": "nasnet_b"}, ANY),
        (CIFAR | {"genotype": "nasnet_b"}, FIXED),
        (CIFAR | {"genotype": "nasnet_c", "penultimate_filters": 40}, ANY),
        (CIFAR | {"genotype": "nasnet_a", "pool_padding": "keras"}, ANY),
        (CIFAR | {"genotype": "nasnet_a", "pool_padding": "keras"}, FIXED),
        (CIFAR | {"genotype": "nasnet_a", "drop_path_rate": 0.3, "dropout": 0.5}, FIXED),
    ],
)
def test_is_equal(case, size):
    model = NASNet(**case, num_blocks=1, classes=7, input_shape=(*size, 3), classifier_activation=None)
    randomized(model)
    folded = fold(model)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    assert_equal(model, folded, images)
    if size[0] is None:
        images = np.random.default_rng(1).uniform(-1, 1, (1, 75, 50, 3)).astype("float32")
        assert_equal(model, folded, images)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a fault of TensorFlow's gradient")
def test_its_gradients_are_safe():
    """TensorFlow's filter gradient of strided 1x1 convolutions writes past its memory: see cpu_convolution.py."""
    import tensorflow

    folded = fold(NASNet("nasnet_b", num_blocks=1, classes=2, input_shape=(32, 32, 3), **CIFAR))
    strided = [
        layer
        for layer in folded.layers
        if isinstance(layer, keras.layers.Conv2D) and (layer.kernel_size, layer.strides) == ((1, 1), (2, 2))
    ]

    @tensorflow.function
    def gradients(images):
        kernels = [layer.kernel.value for layer in strided]
        with tensorflow.GradientTape() as tape:
            tape.watch([images, *kernels])
            outputs = folded(images)
        return tape.gradient(outputs, [images, *kernels])

    assert len(strided) > 3
    graph = gradients.get_concrete_function(tensorflow.TensorSpec((1, 32, 32, 3))).graph
    assert None not in graph.structured_outputs
    # What is left are the gradients of the other convolutions, which the way to the images does not need.
    filters = [operation for operation in graph.get_operations() if operation.type == "Conv2DBackpropFilter"]
    assert not [operation for operation in filters if max(operation.get_attr("strides")) > 1]


def test_there_is_no_batch_norm_and_each_relu_and_pool_once():
    folded = fold(NASNet("nasnet_a", num_blocks=2, classes=7, input_shape=(64, 64, 3), **CIFAR))
    layers = folded.layers
    assert not [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for kind in (keras.layers.ReLU, keras.layers.AveragePooling2D, keras.layers.MaxPooling2D):
        read = [
            (id(layer.input), tuple(layer.get_config().get("strides", ())))
            for layer in layers
            if isinstance(layer, kind)
        ]
        assert read and len(read) == len(set(read))


def test_saves_and_loads(tmp_path):
    names = ("ant", "bee", "cow")
    model = randomized(NASNet(num_blocks=1, classes=3, class_names=names, input_shape=(32, 32, 3), **CIFAR))
    folded = fold(model)
    folded.save(tmp_path / "folded.keras")
    again = keras.saving.load_model(tmp_path / "folded.keras")
    assert isinstance(again, FoldedNASNet) and again.class_names == folded.class_names == names
    assert again.preprocessing == model.preprocessing
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.testing.assert_array_equal(again(images), folded(images))
    assert_equal(model, folded, images)


def test_refuses_to_train():
    folded = fold(NASNet(**NETWORK, stem="cifar", classes=2))
    with pytest.raises(ValueError, match="for inference alone"):
        folded.compile("sgd", "mse")
    assert not folded.trainable_weights


def test_a_backbone_folds_and_another_model_does_not():
    backbone = randomized(NASNetBackbone(**NETWORK, stem="cifar"))
    images = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
    assert_equal(backbone, fold(backbone), images)
    with pytest.raises(TypeError, match="only a NASNet"):
        fold(keras.Sequential([keras.layers.Input((3,))]))


def test_layers_before_the_network_are_refused():
    images = keras.Input((64, 64, 3))
    model = NASNet(**NETWORK, stem="cifar", classes=2, input_tensor=keras.layers.Rescaling(1 / 255)(images))
    with pytest.raises(ValueError, match="has layers before the network"):
        fold(model)
    with pytest.raises(ValueError, match="has layers before the network"):
        model.predict_images(np.zeros((1, 64, 64, 3), np.uint8))


GRAPH = """
import sys
import numpy as np
import tensorflow as tf
import keras
from keras_nasnet import NASNet
from keras_nasnet.inference import fold
folded = fold(NASNet("nasnet_a", num_blocks=1, penultimate_filters=48, stem="cifar", input_shape=(32, 32, 3)))
if sys.argv[1] == "plain":
    from keras_nasnet.accelerate.separate_relu import SeparateReLU
    SeparateReLU.call = keras.layers.ReLU.call
folded.predict(np.zeros((1, 32, 32, 3), "float32"), verbose=0)
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's graphs")
@pytest.mark.parametrize("relu", ["separate", pytest.param("plain", marks=pytest.mark.slow)])
def test_tensorflow_optimizes_the_graph_without_an_error(relu):
    """The other half shows that it would be an error without, and that it would be seen."""
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "1"}
    done = subprocess.run([sys.executable, "-c", GRAPH, relu], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert ("remapper failed" in done.stderr) == (relu == "plain")
