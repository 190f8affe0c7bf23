"""A detector's life at its smallest: trained, resumed, evaluated, exported, published, used."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("official", reason="the extra [detection] is not installed")

import tensorflow as tf
import yaml
from click.testing import CliRunner
from PIL import Image

from keras_nasnet import NASNet, detection, load
from keras_nasnet.cli.main import main
from keras_nasnet.detection import report
from keras_nasnet.detection.detector_folder import read_class_names
from keras_nasnet.detection.garden import checkpoints
from keras_nasnet.detection.garden.evaluation import DetectionEvaluation, metrics_by_class
from keras_nasnet.detection.garden.params import copy_params, read_params
from keras_nasnet.models.weights import save_model
from keras_nasnet.zoo import publishing
from scripts import make_shapes
from tests.support.hub_server import HubServer
from tests.support.private import leaks
from tests.support.toy import GENOTYPE

OPTIONS = {
    "size": 64,
    "epochs": 2,
    "batch": 4,
    "settings": [
        "task.model.roi_generator.num_proposals=32",
        "task.model.detection_generator.pre_nms_score_threshold=0.0",
        "task.model.decoder.fpn.num_filters=16",
        "task.model.rpn_head.num_filters=16",
        "task.model.detection_head={num_filters: 16, fc_dims: 32}",
    ],
}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes.write(folder, images=16, size=96, seed=0)
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "tiny.keras"
    save_model(
        NASNet(GENOTYPE, num_blocks=1, penultimate_filters=64, stem_filters=8, classes=2, input_shape=(64, 64, 3)), path
    )
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, shapes, backbone) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    said: list[str] = []
    result = detection.train(shapes, folder, model=backbone, say=said.append, **OPTIONS)
    assert result.folder == folder and set(result.summary) >= {"AP", "AP50", "AP75", "APs", "APm", "APl", "per_class"}
    assert "classes: circle, square, triangle" in said[0]
    assert any(line.startswith("validation  AP ") for line in said)
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory, run) -> Path:
    return detection.export(run, tmp_path_factory.mktemp("exports") / "detector")


@pytest.fixture(scope="module")
def detector(run) -> detection.FasterRCNN:
    return detection.FasterRCNN.load(run)


@pytest.fixture(scope="module")
def loaded_export(exported) -> detection.FasterRCNN:
    return detection.FasterRCNN.load(exported)


@pytest.fixture
def use_detector(detector, monkeypatch):
    """Whatever loads the run gets the detector that is loaded already."""
    monkeypatch.setattr(detection.FasterRCNN, "load", lambda folder: detector)


def test_a_run_leaves_all_that_it_promises(run):
    names = {file.name for file in run.iterdir()}
    assert names >= {"params.yaml", "class_names.json", "history.csv", "tensorboard", "results.json", "results.md"}
    assert checkpoints.latest(run).endswith("ckpt-6")  # 13 images, 4 a step, twice
    assert read_class_names(run) == ("circle", "square", "triangle")


def test_a_run_in_the_way_is_refused_and_a_finished_one_evaluates_again(run, shapes, backbone):
    with pytest.raises(ValueError, match="holds a run: --resume goes on with it"):
        detection.train(shapes, run, model=backbone, **OPTIONS)
    with pytest.raises(ValueError, match=r"holds another run: its .*trainer.* is"):
        detection.train(shapes, run, model=backbone, resume=True, **OPTIONS | {"epochs": 3})
    before = json.loads((run / report.JSON_FILE).read_text())
    said: list[str] = []
    again = detection.train(shapes, run, model=backbone, resume=True, say=said.append, **OPTIONS)
    assert again.summary["AP"] == pytest.approx(before["AP"], abs=1e-6)
    assert any("goes on after step 6 of 6" in line for line in said)


def test_the_command_evaluates_as_pycocotools_does_on_what_is_written(run, tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    result = CliRunner().invoke(main, ["detect", "eval", str(run), "--json", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    written = json.loads((tmp_path / "detections.json").read_text())
    assert len(written) > 10
    truth = COCO(str(run / "records" / "validation" / "annotations.json"))
    evaluated = COCOeval(truth, truth.loadRes(written), "bbox")
    evaluated.evaluate()
    evaluated.accumulate()
    evaluated.summarize()
    ours = [summary[name] for name in ("AP", "AP50", "AP75", "APs", "APm", "APl")]
    np.testing.assert_allclose([-1 if value is None else value for value in ours], evaluated.stats[:6], atol=1e-6)
    assert [row["name"] for row in summary["per_class"]] == ["circle", "square", "triangle"]
    assert json.loads((tmp_path / "results.json").read_text()) == summary
    assert (tmp_path / "results.md").read_text() == report.to_markdown(summary)


def test_what_finds_nothing_has_an_ap_of_zero(run):
    found = metrics_by_class(run / "records" / "validation" / "annotations.json", [], ("circle", "square", "triangle"))
    assert {found[f"Precision mAP ByCategory/{name}"] for name in ("circle", "square", "triangle")} == {0.0}


def test_other_annotated_images_are_evaluated_by_the_names_of_their_classes(run, shapes, use_detector):
    found = detection.evaluate(run, shapes / "annotations" / "instances_train.json")
    assert 1 <= len({row["image_id"] for row in found.detections}) <= 13
    assert found.summary["AP"] == pytest.approx(max(found.metrics["AP"], 0), abs=1e-6)
    with pytest.raises(ValueError, match="no such file or folder"):
        detection.evaluate(run, shapes / "nothing")


def test_eval_prints_a_table(run, monkeypatch):
    summary = json.loads((run / "results.json").read_text())
    monkeypatch.setattr(detection, "evaluate", lambda *_, **__: DetectionEvaluation({}, [], summary), raising=False)
    result = CliRunner().invoke(main, ["detect", "eval", str(run)])
    assert result.exit_code == 0 and result.stdout == report.to_markdown(summary), result.output


def test_the_export_runs_without_this_package_and_gives_the_live_outputs(exported, detector, shapes, tmp_path):
    images = sorted((shapes / "val").iterdir())[:2]
    script = """
import sys
sys.modules.update({name: None for name in ("keras_nasnet", "official", "keras", "tf_keras")})
import numpy as np, tensorflow as tf
folder, out, *files = sys.argv[1:]
model = tf.saved_model.load(folder)
data = [open(file, "rb").read() for file in files]
pixels = np.stack([tf.io.decode_image(one, channels=3).numpy() for one in data])
tensors = model.signatures["serving_default"](tf.constant(pixels))
encoded = model.signatures["image_bytes"](tf.constant(data))
np.savez(out, **{f"t_{k}": v for k, v in tensors.items()}, **{f"b_{k}": v for k, v in encoded.items()})
"""
    out = tmp_path / "outputs.npz"
    subprocess.check_call([sys.executable, "-c", script, exported, out, *images], cwd=tmp_path)
    pixels = [tf.io.decode_image(image.read_bytes(), channels=3).numpy() for image in images]  # not Pillow's
    with np.load(out) as theirs:
        for i, found in enumerate(detector.predict(pixels, threshold=0)):
            count = int(theirs["t_num_detections"][i])
            assert count > 0
            boxes = theirs["t_detection_boxes"][i, :count] / np.tile(theirs["t_image_info"][i, 2], 2)
            scores = theirs["t_detection_scores"][i, :count]
            for box, score in zip(found.boxes, found.scores, strict=True):
                near = np.abs(scores - score) < 1e-4 * max(1.0, float(score))
                assert (np.abs(boxes[near][:, [1, 0, 3, 2]] - box).max(axis=1) < 1e-2).any()
        np.testing.assert_allclose(theirs["t_detection_scores"], theirs["b_detection_scores"], rtol=1e-4, atol=1e-6)


def test_an_export_loads_as_a_detector_again(exported, detector, loaded_export, run, shapes):
    image = min((shapes / "val").iterdir())
    ours, theirs = (one.predict([image], 0)[0] for one in (detector, loaded_export))
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-3)
    assert not any("/" in str(value) for value in (read_params(exported).task.train_data.input_path,))
    with pytest.raises(ValueError, match="is there: choose another folder"):
        detection.export(run, exported)


def test_predict_draws_and_prints_coco(run, use_detector, shapes, tmp_path):
    image = min((shapes / "val").iterdir())
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    result = CliRunner().invoke(
        main,
        [
            *("detect", "predict", str(image), str(tmp_path / "broken.jpg"), "--model", str(run)),
            *("--threshold", "0.01", "--json", "--draw", str(tmp_path / "drawn")),
        ],
    )
    assert result.exit_code == 2 and "broken.jpg" in result.stderr
    printed = json.loads(result.stdout)
    assert [row["name"] for row in printed["categories"]] == ["circle", "square", "triangle"]
    assert Image.open(tmp_path / "drawn" / f"{image.stem}.jpg").size == Image.open(image).size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nothing"], "nothing: no such file or folder"),
        (["train", "--data", ".", "--size", "100"], "size is 100: it must be a multiple of 32"),
        (["eval", "nothing"], "nothing: no such folder"),
        (["export", ".", "--out", "out"], ".: no detector in this folder (no params.yaml)"),
        (["predict", "photo.jpg", "--model", "hf://one"], "hf://"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("photo.jpg")
    result = CliRunner().invoke(main, ["detect", *arguments])
    assert result.exit_code == 2 and message in result.stderr, result.output
    assert len(result.stderr.splitlines()) == 1
    assert {file.name for file in tmp_path.iterdir()} == {"photo.jpg"}


def test_the_backbone_of_a_detector_is_a_network_again(run, tmp_path):
    network = detection.network(run)
    assert network.get_config()["include_top"] is False
    folder = publishing.prepare(run, "org/body", tmp_path / "body", backbone=True)
    weights = {v.path: np.asarray(v) for v in load(folder).weights}
    assert weights and all(np.array_equal(np.asarray(v), weights[v.path]) for v in network.weights)
    prefix, config = detection.write_checkpoint(folder, tmp_path / "garden")
    assert os.path.exists(f"{prefix}.index") and config.penultimate_filters == 64


def test_a_published_folder_is_checked_when_it_is_loaded(exported, shapes, tmp_path):
    folder = publishing.prepare(exported, "org/shapes", tmp_path / "published")
    card = (folder / "README.md").read_text()
    assert "object-detection" in card and "circle, square, triangle" in card and str(tmp_path) not in card
    assert leaks(folder, shapes) == []
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True, text=True)
    assert sums.returncode == 0, sums.stdout
    path = folder / "checkpoint" / "ckpt-1.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"ckpt-1\.data"):
        detection.FasterRCNN.load(folder)


def test_a_detector_on_the_hub_is_used_by_its_address(exported, loaded_export, shapes, tmp_path):
    """In a process of its own, as huggingface_hub takes its settings from the environment when it is imported."""
    script = """
import sys
from keras_nasnet.cli.main import main
exported, image = sys.argv[1:]
main(["zoo", "publish", exported, "--to", "org/shapes"], standalone_mode=False)
main(["detect", "predict", image, "--model", "hf://org/shapes", "--threshold", "0", "--json"])
"""
    server = HubServer()
    image = min((shapes / "val").iterdir())
    try:
        known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        done = subprocess.run(
            [sys.executable, "-c", script, exported, image],
            env=known | server.environment(tmp_path),
            check=True,
            capture_output=True,
            text=True,
        )
    finally:
        server.close()
    ours = loaded_export.predict([image], threshold=0)[0].to_coco(1)
    theirs = json.loads(done.stdout.splitlines()[-1])["annotations"]
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose([row["bbox"] for row in theirs], [row["bbox"] for row in ours], atol=1e-3)


def test_the_gardens_driver_knows_nasnet(run, shapes, backbone, tmp_path):
    """Flags, YAML and overrides of `official.vision.train`, from a checkpoint that `zoo backbone` wrote."""
    result = CliRunner().invoke(main, ["zoo", "backbone", str(backbone), "--out", str(tmp_path / "start")])
    assert result.exit_code == 0, result.output
    records = run / "records"
    settings = copy_params(read_params(run)).as_dict()
    settings["task"]["model"].pop("backbone")
    settings["task"].pop("init_checkpoint")
    settings["trainer"] |= {"train_steps": 2, "steps_per_loop": 2, "validation_interval": 2, "validation_steps": 1}
    settings["trainer"] |= {"checkpoint_interval": 2, "summary_interval": 2}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(settings))
    driver = [
        *(sys.executable, "-m", "keras_nasnet.detection", "--experiment=fasterrcnn_nasnetfpn_coco", "--mode=train"),
        *(f"--model_dir={tmp_path / 'model'}", f"--config_file={tmp_path / 'own.yaml'}"),
        *(f"--config_file={tmp_path / 'start' / 'backbone.yaml'}",),
        f"--params_override=task.train_data.input_path={records}/train/images*,task.train_data.global_batch_size=2",
    ]
    done = subprocess.run(driver, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "model" / "ckpt-2.index").exists()
    written = yaml.safe_load((tmp_path / "model" / "params.yaml").read_text())
    assert written["task"]["model"]["backbone"]["nasnet"]["penultimate_filters"] == 64
    assert written["task"]["train_data"]["global_batch_size"] == 2


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("params.yaml", "task: [", "not a detector's experiment"),
        ("params.yaml", "task: {model: {layers: 3}}", "not a detector's experiment"),
        ("class_names.json", "{}", "no class names"),
        ("checkpoint", "", "no checkpoint in this folder"),
    ],
)
def test_a_damaged_folder_is_said_in_one_line(run, tmp_path, file, text, message):
    for name in ("params.yaml", "class_names.json", "checkpoint"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        detection.FasterRCNN.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_many_defects_are_shown_in_part_and_all_in_a_file(shapes, tmp_path, backbone):
    data = tmp_path / "defects"
    shutil.copytree(shapes, data)
    file = data / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"] += [
        {"id": 1000 + i, "image_id": 77, "category_id": 1, "bbox": [0, 0, 1, 1]} for i in range(30)
    ]
    file.write_text(json.dumps(content))
    said: list[str] = []
    (tmp_path / "run").mkdir()  # what is there stays, although no run begins
    with pytest.raises(ValueError, match="no such setting"):  # far enough
        detection.train(data, tmp_path / "run", model=backbone, say=said.append, settings=["nothing=1"])
    assert sum("annotation" in line for line in said) == 20
    assert any(line.startswith("and 10 more: ") for line in said)
    assert len((tmp_path / "run" / "problems.txt").read_text().splitlines()) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 100}, "size is 100: it must be a multiple of 32, from 64 up"),
        ({"epochs": 0}, "epochs is 0: it must be from 1 up"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: it must be above 0"),
        ({"settings": ["task.model.nothing=1"]}, "task.model.nothing=1: no such setting or value"),
        ({"model": "nothing"}, "no model is called 'nothing'"),
    ],
)
def test_bad_options_are_refused_before_anything_is_trained(shapes, tmp_path, backbone, options, message):
    with pytest.raises(ValueError, match=message):
        detection.train(shapes, tmp_path / "run", **{"model": backbone} | OPTIONS | options)
    assert not (tmp_path / "run").exists()
