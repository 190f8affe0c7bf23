"""Schedules, optimizers and what is done to gradients, against Keras' own and numbers worked out by hand."""

import math

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.models.weights import is_head
from keras_nasnet.training.optimizer import FusedSGD, RMSProp, adjust_gradients, is_decayed, make_optimizer
from keras_nasnet.training.schedule import WarmUpSchedule, make_schedule
from tests.support.toy import recipe


def value(tensor):
    return float(keras.ops.convert_to_numpy(tensor))


@pytest.mark.parametrize(
    ("shape", "step", "expected"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 9, 1.0),
        ("cosine", 10, 1.0),
        ("cosine", 60, 0.5),
        ("cosine", 110, 0.0),
        ("cosine", 500, 0.0),
        ("one_cycle", 60, 0.5),
        ("one_cycle", 110, 0.0),
        ("constant", 4, 0.5),
        ("constant", 400, 1.0),
        ("exponential", 29, 1.0),
        ("exponential", 30, 0.97),
        ("exponential", 95, 0.97**3),
    ],
)
def test_schedules(shape, step, expected):
    schedule = WarmUpSchedule(shape, 1.0, total_steps=110, warm_up_steps=10, decay_rate=0.97, decay_steps=30)
    assert value(schedule(step)) == pytest.approx(expected, abs=1e-6)
    assert value(type(schedule)(**schedule.get_config())(step)) == value(schedule(step))


def test_recipe_scales_its_learning_rate_with_the_batch():
    schedule = make_schedule(recipe(learning_rate=0.04, learning_rate_batch=32, batch=64, schedule="constant"), 10)
    assert value(schedule(0)) == pytest.approx(0.08)


@pytest.mark.parametrize("nesterov", [True, False])
def test_fused_sgd_is_keras_sgd(nesterov):
    values = []
    for kind in (FusedSGD, keras.optimizers.SGD):
        variable = keras.Variable(np.arange(5, dtype="float32"))
        optimizer = kind(0.1, momentum=0.9, nesterov=nesterov)
        optimizer.build([variable])
        for step in range(4):
            optimizer.apply([keras.ops.convert_to_tensor(np.sin(np.arange(5) + step).astype("float32"))], [variable])
        values.append(keras.ops.convert_to_numpy(variable))
    np.testing.assert_allclose(*values, rtol=1e-6, atol=1e-7)


def test_rmsprop_is_tensorflow_1():
    """By hand: mean of squares from 1, epsilon below the root, momentum over the scaled step."""
    variable = keras.Variable(np.array([2.0], dtype="float32"))
    optimizer = RMSProp(0.1, rho=0.9, momentum=0.9, epsilon=1.0)
    optimizer.build([variable])
    expected, mean, momentum = 2.0, 1.0, 0.0
    for gradient in (0.5, -3.0, 1.0):
        optimizer.apply([keras.ops.convert_to_tensor([gradient], "float32")], [variable])
        mean = 0.9 * mean + 0.1 * gradient**2
        momentum = 0.9 * momentum + 0.1 * gradient / math.sqrt(mean + 1.0)
        expected -= momentum
    assert value(variable[0]) == pytest.approx(expected, rel=1e-5)


def test_weight_decay_is_for_kernels_and_the_head_is_known():
    network = NASNet("nasnet_a", num_blocks=1, penultimate_filters=48, stem="cifar", classes=3)
    decayed = {v.path.rsplit("/", 1)[1] for v in network.trainable_variables if is_decayed(v)}
    others = {v.path.rsplit("/", 1)[1] for v in network.trainable_variables if not is_decayed(v)}
    assert decayed == {"kernel", "depthwise_kernel", "pointwise_kernel"} and others == {"gamma", "beta", "bias"}
    assert [v.path for v in network.trainable_variables if is_head(v)] == ["predictions/kernel", "predictions/bias"]


def test_gradients_are_decayed_then_clipped_then_slowed():
    body = keras.Variable(np.array([3.0], "float32"), name="kernel")
    with keras.name_scope("predictions"):
        head = keras.Variable(np.array([4.0], "float32"), name="kernel")
    settings = recipe(weight_decay=0.5, clip_norm=1.0, body_learning_rate=0.1)
    for scale in (1.0, 1024.0):  # a loss scale changes nothing but the scale
        gradients = [keras.ops.convert_to_tensor([g * scale], "float32") for g in (1.5, 2.0)]
        adjusted = adjust_gradients(gradients, [body.value, head.value], [body, head], settings, scale)
        # decayed: 3 and 4, of norm 5
        np.testing.assert_allclose([value(g[0]) / scale for g in adjusted], [0.6 * 0.1, 0.8], rtol=1e-6)


def test_small_gradients_are_not_clipped():
    variable = keras.Variable(np.array([0.0], "float32"), name="gamma")
    gradient = keras.ops.convert_to_tensor([0.25], "float32")
    assert value(adjust_gradients([gradient], [variable.value], [variable], recipe(clip_norm=1.0))[0][0]) == 0.25


def test_ema_and_loss_scale_come_from_the_recipe():
    optimizer = make_optimizer(recipe(ema=0.99, dtype="mixed_float16"), 10)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert optimizer.inner_optimizer.use_ema and optimizer.inner_optimizer.ema_momentum == 0.99
    assert not make_optimizer(recipe(), 10).use_ema
