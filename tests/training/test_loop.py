"""Runs of the loop in this process: what they learn, keep, warn of and refuse."""

import dataclasses

import keras
import numpy as np
import pytest
from toy import arrays, dataset, recipe

import keras_nasnet
from keras_nasnet.training.data.arrays import ArraySplit
from keras_nasnet.training.network import make_network
from keras_nasnet.training.trainer import train

LEARNS = {"epochs": 6, "learning_rate": 0.02, "weight_decay": 1e-4, "clip_norm": 5.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with everything, and the lines it said."""
    lines = []
    settings = recipe(
        **LEARNS, auxiliary_weight=0.4, drop_path_rate=0.2, augmentation="pad_crop_flip", cutout=8, ema=0.5
    )
    return train(settings, tmp_path_factory.mktemp("run"), data=dataset(), say=lines.append), lines


def test_it_learns_and_the_kept_model_says_the_same(run):
    result, _ = run
    assert result.epochs == 6 and result.test.examples == 10 and result.validation.examples == 14
    assert result.test.accuracy >= 0.7  # 1/3 is chance
    assert result.test.confusion.sum() == 10
    model = keras_nasnet.load(result.folder / "model.keras")
    assert model.class_names == ("dark", "grey", "light") and model.get_config()["classifier_activation"] == "softmax"
    test = dataset().test
    predicted = keras.ops.convert_to_numpy(model(model.preprocess(test.images))).argmax(-1)
    assert (predicted == test.labels).mean() == pytest.approx(result.test.accuracy)


def test_short_run_warns_of_its_averages(tmp_path):
    lines = []
    settings = recipe(batch_norm_momentum=0.9997, ema=0.9999, epochs=1)
    train(settings, tmp_path / "run", data=dataset(), say=lines.append)
    assert any("BN with momentum 0.9997 trains for only 6 steps" in line for line in lines)
    assert any("EMA of 0.9999 over only 6 steps" in line for line in lines)


def test_an_average_is_what_is_evaluated_and_kept(tmp_path):
    """With an average that never moves, the weights that are kept are those of the first step."""
    settings = recipe(epochs=1, ema=1 - 1e-9, learning_rate=0.01, schedule="constant")
    once = train(settings, tmp_path / "averaged", data=dataset(), say=print).network
    plain = train(dataclasses.replace(settings, ema=0.0), tmp_path / "plain", data=dataset(), say=print).network
    initial = make_started(settings)
    name = "predictions/kernel"
    kept, trained, start = (weight(model, name) for model in (once, plain, initial))
    assert np.abs(kept - start).max() < 0.2 * np.abs(trained - start).max()
    # BN statistics are not averaged: both runs end with the same.
    np.testing.assert_allclose(
        weight(once, "stem_batch_norm/moving_mean"), weight(plain, "stem_batch_norm/moving_mean"), rtol=1e-5
    )


def make_started(settings):
    keras.utils.set_random_seed(settings.seed)
    return make_network(settings, ("dark", "grey", "light"))


def weight(model, path):
    return keras.ops.convert_to_numpy(next(v for v in model.weights if v.path == path))


def test_head_first_then_all_with_frozen_batch_norm(tmp_path):
    """The head's phase leaves the body as it was; frozen BN keeps statistics and scales to the end."""
    settings = recipe(epochs=2, head_epochs=1, freeze_batch_norm=True, learning_rate=0.05, augmentation="flip")
    initial = make_started(settings)
    only_head = dataclasses.replace(settings, epochs=1)
    first = train(only_head, tmp_path / "head", data=dataset(), say=print).network
    both = train(settings, tmp_path / "both", data=dataset(), say=print).network

    def changed(model):
        return {v.path for v in model.weights if (weight(model, v.path) != weight(initial, v.path)).any()}

    assert changed(first) == {"predictions/kernel", "predictions/bias"}
    assert "stem_convolution/kernel" in changed(both)
    assert not [path for path in changed(both) if "batch_norm" in path]


def test_patience_keeps_the_best_epoch(tmp_path):
    """A learning rate that destroys what was learned: the weights of the best epoch are kept."""
    settings = recipe(epochs=30, learning_rate=0.02, schedule="constant", clip_norm=5.0, patience=2)
    result = train(settings, tmp_path / "run", data=dataset(), say=print)
    assert result.epochs < 30
    accuracies = [float(line.split(",")[5]) for line in (tmp_path / "run/history.csv").read_text().splitlines()[1:]]
    assert result.validation.accuracy == max(accuracies)
    assert accuracies.index(max(accuracies)) == result.epochs - 3


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns_too(tmp_path, dtype):
    result = train(recipe(**LEARNS, dtype=dtype), tmp_path / "run", data=dataset(), say=print)
    assert result.validation.accuracy >= 0.6
    assert {str(v.dtype) for v in result.network.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_class_weights_help_the_rare_class(tmp_path):
    images, labels = arrays(200, 0)
    few = np.concatenate(
        [np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:4], np.flatnonzero(labels == 2)[:4]]
    )
    skewed = dataclasses.replace(dataset(), train=ArraySplit(images[few], labels[few], 3))
    settings = recipe(epochs=1, class_weights=True)
    result = train(settings, tmp_path / "run", data=skewed, say=print)
    from keras_nasnet.training.loop import balanced_weights

    weights = balanced_weights(skewed.train.class_counts())
    counts = skewed.train.class_counts()
    assert weights == pytest.approx([len(few) / (3 * count) for count in counts])
    assert result.epochs == 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"batch": 100}, "batch is 100, but there are 48 training images"),
        ({"variant": "nasnet_z"}, "nasnet_z"),
        ({"network": {"colour": 3}}, "network.colour: NASNet has no such argument"),
        ({"network": {"num_blocks": 0}}, "num_blocks is 0"),
    ],
)
def test_what_cannot_be_trained_is_said(tmp_path, settings, word):
    with pytest.raises(ValueError, match=word):
        train(recipe(**settings), tmp_path / "run", data=dataset(), say=print)


def test_a_dataset_that_changed_is_noticed(tmp_path):
    settings = recipe(epochs=1)
    train(settings, tmp_path / "run", data=dataset(), say=print)
    other = dataclasses.replace(dataset(), train=ArraySplit(*arrays(64, 0), 3))
    with pytest.raises(ValueError, match="6 steps in an epoch, here are 8"):
        train(settings, tmp_path / "run", data=other, resume=True, say=print)
