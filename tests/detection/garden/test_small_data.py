"""The experiment for a small dataset: anchors and schedule follow from the data."""

from pathlib import Path

import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

from keras_nasnet.detection.anchors import NUM_SCALES
from keras_nasnet.detection.data.records import Records
from keras_nasnet.detection.garden.backbone import NASNetBackboneConfig
from keras_nasnet.detection.garden.small_data import small_data_experiment


def made(images: int = 160, batch: int = 8, epochs: int = 60, size: int = 256) -> object:
    records = Records(Path("data"), "data/images*", Path("data/annotations.json"), ("ant", "bee"), images)
    options = {"size": size, "batch": batch, "epochs": epochs, "learning_rate": 0.02}
    config = NASNetBackboneConfig()
    return small_data_experiment(config, records, records, [40, 60, 90], init_checkpoint=None, seed=3, **options)


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
