"""The objective: losses by hand, augmentation and DropPath's progress only where they belong."""

import keras
import numpy as np
import pytest

from keras_nasnet.training.augmentation_layers import RandomFlip
from keras_nasnet.training.network import make_network
from keras_nasnet.training.objective import Objective, cross_entropy, scale
from tests.support.toy import arrays, recipe

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]], np.float32)


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_with_smoothing_is_keras(smoothing):
    labels = np.array([2, 0], np.int32)
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    expected = keras_loss(np.eye(3, dtype="float32")[labels], LOGITS)
    np.testing.assert_allclose(numpy(cross_entropy(LOGITS, labels, smoothing)), numpy(expected), rtol=1e-5)


@pytest.fixture(scope="module")
def network():
    settings = recipe(auxiliary_weight=0.4, drop_path_rate=0.5)
    return make_network(settings, ["dark", "grey", "light"])


def test_evaluation_counts_examples_by_their_weights(network):
    images, labels = arrays(6, 0)
    objective = Objective(network, recipe(auxiliary_weight=0.4, label_smoothing=0.1))
    weights = np.array([1, 1, 0, 1, 0, 0], np.float32)
    sums = objective(images, labels.astype("int32"), weights)
    logits = numpy(network(scale(images, network), training=False)["predictions"]).astype("float64")
    expected = np.logaddexp.reduce(logits, axis=-1) - logits[np.arange(6), labels]
    assert float(sums["loss"]) == pytest.approx(float((expected * weights).sum()), rel=1e-4)
    assert float(sums["examples"]) == 3 and float(sums["right_5"]) == 3
    assert float(sums["right"]) == ((logits.argmax(-1) == labels) * weights).sum()
    np.testing.assert_array_equal(numpy(sums["predicted"]), logits.argmax(-1))


def test_training_adds_the_auxiliary_loss_and_class_weights():
    """With BN in inference and no drop path the two losses can be computed apart."""
    settings = recipe(auxiliary_weight=0.4, label_smoothing=0.1)
    network = make_network(settings, ["dark", "grey", "light"])
    images, labels = arrays(6, 0)
    network.trainable = False  # BN as in inference
    sums = Objective(network, settings, class_weights=[1.0, 2.0, 3.0])(images, labels.astype("int32"), training=True)
    outputs = network(scale(images, network), training=False)
    losses = [
        numpy(cross_entropy(outputs[name], labels.astype("int32"), 0.1)) for name in sorted(outputs, reverse=True)
    ]
    expected = (losses[0] + 0.4 * losses[1]) * np.array([1.0, 2.0, 3.0])[labels]
    assert float(sums["loss"]) == pytest.approx(float(expected.sum()), rel=1e-4)


def test_pixels_are_augmented_in_training_only(network):
    images, labels = arrays(4, 0)
    flip = RandomFlip(seed=1)
    objective = Objective(network, recipe(auxiliary_weight=0.4), [flip])
    before = numpy(flip.seed_generator.state.value).copy()
    objective(images, labels.astype("int32"))
    np.testing.assert_array_equal(numpy(flip.seed_generator.state.value), before)
    objective(images, labels.astype("int32"), training=True)
    assert (numpy(flip.seed_generator.state.value) != before).any()


def test_drop_path_progress_is_set_by_the_step(network):
    images, labels = arrays(4, 0)
    objective = Objective(network, recipe(auxiliary_weight=0.4))
    objective(images, labels.astype("int32"), progress=0.25, training=True)
    assert float(objective.progress.state) == 0.25
