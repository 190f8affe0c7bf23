"""NASNetBackbone as the image encoder of KerasHub's RetinaNet."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.formats import weights_file
from keras_nasnet.zoo.loading import fill
from tests.support import ROOT, toy
from tests.support.catalog_entry import write_entry
from tests.support.same_weights import assert_equal, values

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub is not installed (extra [hub])")

DOCS = ROOT / "docs" / "keras_hub.md"
SMALL = {"genotype": toy.GENOTYPE.to_dict(), "num_blocks": 1, "penultimate_filters": 64}  # F = 8
IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
BOXES = {
    "boxes": np.array([[[4, 4, 40, 40], [20, 20, 60, 60]], [[8, 0, 30, 50], [0, 0, 64, 64]]], "float32"),
    "labels": np.array([[0, 2], [1, 1]]),
}


def outputs(model):
    return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in model(IMAGES).items()}


def pyramid(encoder):
    return outputs(keras.Model(encoder.inputs, encoder.pyramid_outputs))


def retinanet(encoder):
    return keras_hub.models.RetinaNetBackbone(encoder, min_level=3, max_level=5, use_p5=False, image_shape=(64, 64, 3))


def publish(folder, name, builder, model):
    """An entry of the catalog whose weights are `model`'s, set to random values."""
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.5, 1, variable.shape))
    file = f"{name}.safetensors"
    weights_file.save(model, folder / file)
    write_entry(folder, name, "keras_nasnet", file, builder)


@pytest.fixture(scope="module")
def trained():
    """A detector after one step, the encoder's weights before it, and the losses."""
    keras.utils.set_random_seed(0)
    encoder = NASNetBackbone(**SMALL)
    before = values(encoder)
    detector = keras_hub.models.RetinaNetObjectDetector(
        retinanet(encoder),
        num_classes=3,
        bounding_box_format="xyxy",
        pre_logits_num_conv_layers=1,
    )
    detector.jit_compile = False  # one step is not worth a compilation by XLA
    history = detector.fit(IMAGES, BOXES, batch_size=2, verbose=0).history
    return detector, before, history


@pytest.fixture(scope="module")
def preset(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset")
    trained[0].save_to_preset(folder)
    return str(folder)  # KerasHub takes no Path


def test_fit_trains_the_encoder(trained):
    detector, before, history = trained
    assert {"loss", "bbox_regression_loss", "cls_logits_loss"} <= history.keys()
    assert np.isfinite(list(history.values())).all()
    after = values(detector.backbone.image_encoder)
    assert not [path for path, value in after.items() if np.array_equal(value, before[path])]


def test_preset_of_the_backbone(trained, preset):
    backbone = trained[0].backbone
    loaded = keras_hub.models.RetinaNetBackbone.from_preset(preset)
    assert type(loaded.image_encoder) is NASNetBackbone
    assert loaded.image_encoder.get_config() == backbone.image_encoder.get_config()
    assert_equal(values(loaded.image_encoder), values(backbone.image_encoder))
    assert_equal(pyramid(loaded.image_encoder), pyramid(backbone.image_encoder))
    assert_equal(outputs(loaded), outputs(backbone))


def test_preset_of_the_detector(trained, preset):
    loaded = keras_hub.models.RetinaNetObjectDetector.from_preset(preset)
    assert_equal(outputs(loaded), outputs(trained[0]))


def test_preset_in_a_fresh_process(trained, preset, tmp_path):
    np.save(tmp_path / "images.npy", IMAGES)
    program = f"""
import sys, keras, numpy as np
from keras_nasnet import NASNetBackbone
assert "keras_hub" not in sys.modules
import keras_hub
detector = keras_hub.models.RetinaNetObjectDetector.from_preset({preset!r})
outputs = detector(np.load("images.npy"))
np.savez("outputs.npz", **{{name: keras.ops.convert_to_numpy(tensor) for name, tensor in outputs.items()}})
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    assert_equal(dict(np.load(tmp_path / "outputs.npz")), outputs(trained[0]))


def test_weights_of_the_zoo(tmp_path, monkeypatch):
    publish(tmp_path, "small", SMALL, NASNet(**SMALL, classes=3, input_shape=(64, 64, 3)))
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path))
    encoder, features = NASNetBackbone(**SMALL), NASNet(**SMALL, include_top=False)
    backbone = retinanet(encoder)
    for model in (encoder, features):
        fill("small", model)
    assert_equal(values(encoder), values(features))
    read = outputs(backbone.get_layer("backbone"))  # what the pyramid network gets
    assert list(read) == ["P3", "P4", "P5"]
    np.testing.assert_array_equal(read["P5"], keras.ops.convert_to_numpy(features(IMAGES)))


@pytest.mark.slow
def test_example_of_the_documentation(tmp_path, monkeypatch):
    name = "nasnet_a_mobile_slim"
    entry = entries.entry(name)
    publish(tmp_path, name, entry.builder, NASNet(**entry.builder, classes=len(entry.class_names)))
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    training, loading = [part.split("```")[0] for part in DOCS.read_text().split("```python\n")[1:]]
    example = {}
    exec(training, example)
    assert np.isfinite(example["detector"].history.history["loss"]).all()
    exec(loading, example)
    assert example["predictions"]["boxes"].shape == (2, 100, 4)
