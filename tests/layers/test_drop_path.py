"""DropPath: its rate grows with the model's progress, which is state and no weight."""

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.layers.drop_path import DropPath, DropPathProgress, DropPathSchedule, drop_path_rates, share_progress
from tests.support.toy import NETWORK


def tiny(rate=0.5):
    return NASNet(**NETWORK, stem="cifar", classes=3, drop_path_rate=rate, name="tiny")


def kept(layer, examples=4000):
    return float(np.mean(keras.ops.convert_to_numpy(layer(np.ones((examples, 1, 1, 1), "float32"), training=True)) > 0))


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 1.0), (0.5, 0.8), (1.0, 0.6)])
def test_rate_is_scaled_by_progress(progress, expected):
    layer = DropPath(0.4, seed=1)
    layer.progress = DropPathProgress()
    layer.progress.assign(progress)
    assert kept(layer) == pytest.approx(expected, abs=0.03)


def test_mean_is_kept_and_inference_changes_nothing():
    layer = DropPath(0.4, seed=1)
    ones = np.ones((4000, 1, 1, 1), "float32")
    assert float(np.mean(keras.ops.convert_to_numpy(layer(ones, training=True)))) == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(ones)), ones)


def test_rates_grow_with_depth():
    assert drop_path_rates(0.4, 4) == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_progress_is_shared_state_and_no_weight():
    model = tiny()
    before = model.count_params(), len(model.weights)
    progress = share_progress(model)
    assert share_progress(model) is progress
    assert (model.count_params(), len(model.weights)) == before
    assert any(variable is progress.state for variable in model.non_trainable_variables)
    assert share_progress(tiny(rate=0.0)) is None


def test_schedule_follows_the_optimizer_through_fit_without_retracing(monkeypatch):
    calls = []
    call = DropPath.call
    monkeypatch.setattr(DropPath, "call", lambda *args, **kwargs: calls.append(1) or call(*args, **kwargs))
    model = tiny()
    images, labels = np.random.default_rng(0).random((6, 32, 32, 3), "float32"), np.arange(6) % 3
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: seen.append(float(progress.state)))
    progress = share_progress(model)
    model.fit(images, labels, batch_size=2, epochs=1, verbose=0, callbacks=[DropPathSchedule(8), look])
    assert seen == pytest.approx([0, 1 / 8, 2 / 8])
    traced = len(calls)
    # A run that goes on: the optimizer's step counts, not the callback's.
    model.fit(images, labels, batch_size=2, epochs=1, verbose=0, callbacks=[DropPathSchedule(8), look])
    assert seen[3:] == pytest.approx([3 / 8, 4 / 8, 5 / 8])
    assert keras.backend.backend() == "torch" or len(calls) == traced  # PyTorch has no graph to trace


def test_schedule_wants_steps():
    with pytest.raises(ValueError, match="from 1 up"):
        DropPathSchedule(0)
