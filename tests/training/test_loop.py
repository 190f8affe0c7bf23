"""Runs of the loop in this process: what they learn, keep, warn of and refuse."""

import dataclasses
import json
import signal

import keras
import numpy as np
import pytest

import keras_nasnet
from keras_nasnet.common.errors import Interrupted
from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.training import loop
from keras_nasnet.training.checkpoint import BEST_FILE
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.history import read_history
from keras_nasnet.training.loop import Run, balanced_weights, check_progress
from keras_nasnet.training.network import make_network
from keras_nasnet.training.trainer import train
from tests.support.toy import arrays, dataset, recipe

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
    measured = json.loads((result.folder / "metrics.json").read_text())
    assert [(one["name"], one["data"], one["value"]) for one in measured] == [
        ("top1", "toy validation, 14 images", pytest.approx(result.validation.accuracy, abs=1e-6)),
        ("top1", "toy test, 10 images", pytest.approx(result.test.accuracy, abs=1e-6)),
    ]


def test_short_run_warns_of_its_averages_and_rare_classes_count_more(tmp_path):
    lines = []
    images, labels = arrays(200, 0)
    few = np.concatenate(
        [np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:4], np.flatnonzero(labels == 2)[:4]]
    )
    skewed = dataclasses.replace(dataset(), train=ArraySplit(images[few], labels[few], 3))
    settings = recipe(batch_norm_momentum=0.9997, ema=0.9999, epochs=1, class_weights=True)
    run = Run(settings, skewed, tmp_path, Devices(), 300, lines.append)
    assert run.run().epochs == 1
    steps = len(few) // settings.batch
    assert any(f"BN with momentum 0.9997 trains for only {steps} steps" in line for line in lines)
    assert any(f"EMA of 0.9999 over only {steps} steps" in line for line in lines)
    expected = [len(few) / (3 * count) for count in skewed.train.class_counts()]
    assert run.objective.class_weights == balanced_weights(skewed.train.class_counts()) == pytest.approx(expected)


def test_an_average_is_what_is_evaluated_and_kept(tmp_path):
    """With an average that never moves, the weights that are kept are those of the first step."""
    settings = recipe(epochs=1, ema=1 - 1e-9, learning_rate=0.01, schedule="constant")
    run = Run(settings, dataset(), tmp_path, Devices(), 300, print)
    once, plain = run.run().network, run.network
    name = "predictions/kernel"
    kept, trained, start = (weight(model, name) for model in (once, plain, make_started(settings)))
    assert np.abs(kept - start).max() < 0.2 * np.abs(trained - start).max()
    # BN statistics are not averaged.
    name = "stem_batch_norm/moving_mean"
    np.testing.assert_allclose(weight(once, name), weight(plain, name), rtol=1e-5)
    assert np.abs(weight(once, name)).max() > 0


def make_started(settings):
    keras.utils.set_random_seed(settings.seed)
    return make_network(settings, ("dark", "grey", "light"))


def weight(model, path):
    return keras.ops.convert_to_numpy(next(v for v in model.weights if v.path == path))


def test_head_first_then_all_with_frozen_batch_norm(tmp_path):
    """The head's phase leaves the body as it was; frozen BN keeps statistics and scales to the end."""
    settings = recipe(epochs=2, head_epochs=1, freeze_batch_norm=True, learning_rate=0.05, augmentation="flip")
    first = {}

    def remember():
        run.trainer.sync()
        first.update({v.path: keras.ops.convert_to_numpy(v).copy() for v in run.network.weights})

    disturbed = dataclasses.replace(dataset(), train=Disturbed((1, 0), remember))
    run = Run(settings, disturbed, tmp_path, Devices(), 300, print)
    both = run.run().network
    start = {v.path: keras.ops.convert_to_numpy(v) for v in make_started(settings).weights}
    changed = {path for path in start if (first[path] != start[path]).any()}
    assert changed == {"predictions/kernel", "predictions/bias"}
    changed = {path for path in start if (weight(both, path) != start[path]).any()}
    assert "stem_convolution/kernel" in changed
    assert not [path for path in changed if "batch_norm" in path]


# float16 takes the same way and scales the loss besides.
@pytest.mark.parametrize("dtype", [pytest.param("mixed_bfloat16", marks=pytest.mark.slow), "mixed_float16"])
def test_mixed_precision_learns_too(tmp_path, dtype):
    result = train(recipe(**LEARNS, dtype=dtype), tmp_path / "run", data=dataset(), say=print)
    assert result.validation.accuracy >= 0.6
    assert {str(v.dtype) for v in result.network.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


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


class Disturbed(ArraySplit):
    """A training split that does something, once, before a batch is handed out."""

    def __init__(self, at, action):
        super().__init__(*arrays(48, 0), 3)
        self.at, self.action = at, action

    def train_batches(self, batch, epoch, seed, start=0, shard=(0, 1)):
        for number, data in enumerate(super().train_batches(batch, epoch, seed, start, shard), start):
            if (epoch, number) == self.at:
                self.at = None
                self.action()
            yield data


class PlugPulled(Exception):
    pass


def pull_the_plug():
    raise PlugPulled


def terminate():
    signal.raise_signal(signal.SIGTERM)


def interrupt():
    signal.raise_signal(signal.SIGINT)


STOPPED = recipe(epochs=2, head_epochs=1, augmentation="flip", ema=0.9)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody stopped, its folder, and how another one in the same folder was refused meanwhile."""
    folder = tmp_path_factory.mktemp("whole")
    refused = []

    def begin_another():
        with pytest.raises(ValueError) as raised:
            train(STOPPED, folder, data=dataset(), resume=True, say=print)
        refused.append(str(raised.value))

    disturbed = dataclasses.replace(dataset(), train=Disturbed((1, 1), begin_another))
    return train(STOPPED, folder, data=disturbed, say=print), folder, refused


def test_wherever_it_is_stopped_it_goes_on(whole, tmp_path):
    stops = [
        ((0, 5), terminate, Interrupted),  # the last step of an epoch, and of the classifier's phase
        ((1, 0), pull_the_plug, PlugPulled),  # the first step after that phase
        ((1, 2), interrupt, Interrupted),
    ]
    for at, action, error in stops:
        disturbed = dataclasses.replace(dataset(), train=Disturbed(at, action))
        with pytest.raises(error) as raised:
            train(STOPPED, tmp_path, data=disturbed, resume=True, say=print)
        if action is interrupt:
            assert raised.value.exit_code == 130
            assert str(raised.value).startswith("stopped by SIGINT after step 9 of 12, checkpoint written: ")
    train(STOPPED, tmp_path, data=dataset(), resume=True, say=print)
    columns = [
        [row | {"seconds": 0, "images_per_second": 0} for row in read_history(folder / "history.csv")]
        for folder in (whole[1], tmp_path)
    ]
    assert columns[0] == columns[1] and len(columns[0]) == 2


def test_ctrl_c_before_the_first_step_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return make_network(*arguments)

    monkeypatch.setattr(loop, "make_network", interrupted)
    with pytest.raises(Interrupted, match="stopped by SIGINT before the first step: nothing is written") as raised:
        train(STOPPED, tmp_path / "runs" / "new", data=dataset(), say=print)
    assert raised.value.exit_code == 130 and not list(tmp_path.iterdir())


def test_a_second_training_is_refused_and_the_first_goes_on(whole):
    result, folder, (said,) = whole
    assert "is being written by process" in said
    assert result.epochs == 2 and not list(folder.glob(".*"))


def test_patience_keeps_the_best_epoch_and_its_damaged_weights_are_said_before_training(tmp_path):
    """A learning rate that destroys what was learned: the weights of the best epoch are kept, also over a stop."""
    settings = recipe(epochs=30, learning_rate=0.02, schedule="constant", clip_norm=5.0, patience=2)
    disturbed = dataclasses.replace(dataset(), train=Disturbed((1, 2), interrupt))
    with pytest.raises(Interrupted):
        train(settings, tmp_path, data=disturbed, say=print)
    best = tmp_path / BEST_FILE
    data = best.read_bytes()
    best.write_bytes(data[:-100] + bytes(byte ^ 1 for byte in data[-100:]))
    with pytest.raises(ValueError, match=r"best\.safetensors is damaged, .*: put back a copy of it, or begin anew"):
        train(settings, tmp_path, data=dataset(), resume=True, say=print)
    best.unlink()
    with pytest.raises(ValueError, match=r"best\.safetensors is missing, the weights of epoch 1: put back a copy"):
        train(settings, tmp_path, data=dataset(), resume=True, say=print)
    best.write_bytes(data)

    result = train(settings, tmp_path, data=dataset(), resume=True, say=print)
    assert result.epochs < 30
    accuracies = [row["validation_accuracy"] for row in read_history(tmp_path / "history.csv")]
    assert result.validation.accuracy == max(accuracies)
    assert accuracies.index(max(accuracies)) == result.epochs - 3


GOOD = {"step": 3, "steps_per_epoch": 6, "sums": [1.0, 2, 3.0], "seconds": 1.5, "best": None, "rows": []}


@pytest.mark.parametrize(
    "change",
    [
        {"step": None},
        {"step": 1.5},
        {"step": -1},
        {"step": 13},
        {"step": True},
        {"steps_per_epoch": 0},
        {"sums": [1, 2]},
        {"sums": [float("nan")] * 3},
        {"seconds": "1"},
        {"best": {"accuracy": 0.5}},
        {"best": [1]},
        {"rows": [{}]},
        {"rows": {"epoch": 1}},
    ],
)
def test_progress_that_cannot_be_is_refused(change):
    check_progress(GOOD, 2, "run")
    with pytest.raises(ValueError, match=f"not the checkpoint of such a run, its '{next(iter(change))}' is"):
        check_progress(GOOD | change, 2, "run")


def test_progress_that_is_missing_is_refused():
    for key in GOOD:
        rest = {other: value for other, value in GOOD.items() if other != key}
        if key == "best":
            check_progress(rest | {"best": None}, 2, "run")
            continue
        with pytest.raises(ValueError, match=f"its '{key}' is missing"):
            check_progress(rest, 2, "run")


def test_a_dataset_that_changed_is_noticed(whole):
    other = dataclasses.replace(dataset(), train=ArraySplit(*arrays(64, 0), 3))
    with pytest.raises(ValueError, match="6 steps in an epoch, here are 8"):
        train(STOPPED, whole[1], data=other, resume=True, say=print)


def test_a_splits_batches_feed_keras_own_fit():
    """As docs/training.md has it."""
    model = make_network(recipe(), ("dark", "grey", "light"))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    train_split = dataset().train
    batches = ((model.preprocess(images), labels) for images, labels in train_split.train_batches(8, epoch=0, seed=0))
    steps = train_split.size // 8
    history = model.fit(batches, steps_per_epoch=steps, verbose=0)
    assert np.isfinite(history.history["loss"]).all() and int(model.optimizer.iterations) == steps
