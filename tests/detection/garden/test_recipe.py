"""The experiment for a folder of one's own: levels, anchors and schedule follow from the data."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.detection.data.records import Records
from keras_nasnet.detection.garden.backbone import NASNet
from keras_nasnet.detection.garden.recipe import ANCHOR_SIZE, NUM_SCALES, pyramid_levels, small_data_experiment


def made(images: int = 160, batch: int = 8, epochs: int = 60, size: int = 256) -> object:
    records = Records(Path("data"), "data/images*", Path("data/annotations.json"), ("ant", "bee"), images)
    options = {"size": size, "batch": batch, "epochs": epochs, "learning_rate": 0.02}
    return small_data_experiment(NASNet(), records, records, [40, 60, 90], init_checkpoint=None, seed=3, **options)


@given(st.lists(st.floats(1, 1000), max_size=20), st.sampled_from(range(64, 1344, 32)))
def test_levels_divide_the_size_and_cover_most_boxes(sides, size):
    lowest, highest = pyramid_levels(sides, size)
    assert 2 <= lowest < highest <= 6
    assert size % 2**highest == 0 or highest == lowest + 1
    if sides and np.percentile(sides, 5) >= ANCHOR_SIZE * 4:
        assert ANCHOR_SIZE * 2**lowest <= 2 * np.percentile(sides, 5)


@pytest.mark.parametrize(
    ("sides", "size", "levels"), [([100, 120, 150], 256, (3, 5)), ([8, 10, 200], 256, (2, 5)), ([400], 640, (3, 6))]
)
def test_small_boxes_need_level_2_and_large_ones_level_6(sides, size, levels):
    assert pyramid_levels(sides, size) == levels


def test_a_level_that_does_not_divide_the_size_is_left_out():
    assert pyramid_levels([400], 608) == (3, 5)


def test_small_data_is_looked_at_after_whole_epochs_and_large_data_in_between():
    for images, loop in ((160, 40), (16, 50), (8000, 50), (100_000, 50)):
        trainer = made(images).trainer
        assert trainer.steps_per_loop == loop
        assert trainer.checkpoint_interval % loop == trainer.validation_interval % loop == 0
        if trainer.train_steps > 1000:
            assert 5 <= trainer.train_steps / trainer.validation_interval <= 20
        assert trainer.train_steps / trainer.checkpoint_interval <= 80


def test_the_experiment_says_what_it_was_asked():
    experiment = made()
    model, trainer = experiment.task.model, experiment.trainer
    assert (model.num_classes, list(model.input_size)) == (3, [256, 256, 3])
    assert model.anchor.num_scales == NUM_SCALES and trainer.train_steps == 1200
    schedule = trainer.optimizer_config.learning_rate.cosine
    assert (schedule.initial_learning_rate, schedule.decay_steps) == (0.02, 1200)
    assert experiment.task.train_data.seed == 3 and experiment.task.train_data.dtype == "float32"
    assert experiment.task.annotation_file == "data/annotations.json"
