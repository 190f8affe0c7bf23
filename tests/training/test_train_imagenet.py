"""scripts/train_imagenet.py on a small set with the name and the features of ImageNet."""

import io
import json
import runpy
from dataclasses import replace

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.training.history import read_history
from keras_nasnet.training.recipe import RECIPES
from tests.support import ROOT

tfds = pytest.importorskip("tensorflow_datasets")
SCRIPT = ROOT / "scripts" / "train_imagenet.py"
CELL = CellSpec((Block((0, 1), ("sep_conv_3x3", "avg_pool_3x3")),), outputs=((2,),))


def jpeg(number, label):
    """A photograph's kind of file: of any size, in the colour of its class."""
    generator = np.random.default_rng(number)
    pixels = generator.normal((200, 90, 40) if label else (40, 90, 200), 20, (5, 6, 3)).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    size = int(generator.integers(90, 160)), int(generator.integers(90, 160))
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG")
    file.seek(0)
    return file


def examples(split, size):
    for number in range(size):
        file_name = f"{split}_{number}.JPEG"
        yield number, {"image": jpeg(number, number % 2), "label": number % 2, "file_name": file_name}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    features = {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(num_classes=1000),
        "file_name": tfds.features.Text(),
    }
    tfds.dataset_builders.store_as_tfds_dataset(
        name="imagenet2012",
        version="5.1.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={"train": list(examples("train", 18)), "validation": list(examples("val", 7))},
        data_dir=folder,
        download_config=tfds.download.DownloadConfig(num_shards=2),
    )
    return folder


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


def run(script, *arguments):
    return CliRunner().invoke(script["main"], [*map(str, arguments)])


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.distribute is TensorFlow's")
def test_the_whole_recipe(script, data_dir, tmp_path):
    recipe = replace(
        RECIPES["imagenet_mobile"],
        network={
            "genotype": Genotype(CELL, CELL, name="tiny", penultimate_ratio=8).to_dict(),
            "num_blocks": 1,
            "penultimate_filters": 64,
        },
        image_size=(96, 96),
        batch=4,
        epochs=2,
    )
    recipe.save(tmp_path / "tiny.toml")
    arguments = ["--recipe", tmp_path / "tiny.toml", "--data-dir", data_dir, "--out", tmp_path / "run", "--resume"]
    done = run(script, *arguments, "--strategy", "mirrored")
    assert done.exit_code == 0, done.stderr
    assert "top-5" in done.stdout and "(7 images)" in done.stdout
    rows = read_history(tmp_path / "run/history.csv")
    assert [row["step"] for row in rows] == [4, 8]
    assert np.isfinite([row["loss"] for row in rows]).all()
    # Exponential decay does not begin in two epochs: 0.04 for 32 images is 0.005 for 4.
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.005, 0.005])
    assert (tmp_path / "run/model.keras").exists()


def test_not_prepared(script, tmp_path):
    done = run(script, "--data-dir", tmp_path / "empty", "--out", tmp_path / "run")
    assert done.exit_code != 0
    assert done.stderr.strip().startswith("Error: imagenet2012: not prepared")
    assert "tfds build imagenet2012" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_workers_are_those_of_tf_config(script):
    tf_config = script["tf_config"]
    assert json.loads(tf_config("a:1, b:2", 1)) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }
