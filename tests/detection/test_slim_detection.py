"""The backbone of a Faster R-CNN of the TF Object Detection API fills ours, each variable from its own name."""

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras import ops

from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.cli.main import main
from keras_nasnet.detection.two_stage import two_stages
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo.formats import slim, weights_file
from keras_nasnet.zoo.formats.slim import slim_names
from keras_nasnet.zoo.formats.slim_detection import detector_names, is_detector
from tests.support.foreign_files import write_archive, write_checkpoint
from tests.support.same_weights import assert_equal, values
from tests.support.toy import GENOTYPE

pytest.importorskip("tensorflow")

NASNET_A = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 24, "skip_reduction": True}
# Cells of one block, as Large and as Mobile have their reductions.
LARGE = {"genotype": GENOTYPE, "num_blocks": 1, "penultimate_filters": 64, "skip_reduction": True}
MOBILE = {"genotype": GENOTYPE, "num_blocks": 1, "penultimate_filters": 64}
# Beside the features, as `faster_rcnn_meta_arch.py` names them; with what training leaves.
HEADS = {
    "Conv/weights": (3, 3, 4, 2),
    "Conv/biases": (2,),
    "FirstStageBoxPredictor/BoxEncodingPredictor/weights": (1, 1, 2, 48),
    "FirstStageBoxPredictor/BoxEncodingPredictor/biases": (48,),
    "FirstStageBoxPredictor/ClassPredictor/weights": (1, 1, 2, 24),
    "FirstStageBoxPredictor/ClassPredictor/biases": (24,),
    "SecondStageBoxPredictor/BoxEncodingPredictor/weights": (4, 360),
    "SecondStageBoxPredictor/BoxEncodingPredictor/biases": (360,),
    "SecondStageBoxPredictor/ClassPredictor/weights": (4, 91),
    "SecondStageBoxPredictor/ClassPredictor/biases": (91,),
}
TRAINING = ["global_step", "Conv/weights/Momentum", "SecondStageFeatureExtractor/cell_2/beginning_bn/gamma/Momentum"]
TRAINING += ["FirstStageFeatureExtractor/conv0/weights/RMSProp", "FirstStageFeatureExtractor/conv0/weights/RMSProp_1"]


def names_of(model):
    blocks = model.get_config()["num_blocks"]
    return detector_names(slim_names(model), 2 * blocks - 1)


def tensors_of(model):
    """A detector's checkpoint whose features are the model's."""
    names = names_of(model)
    heads = {name: np.ones(shape, "float32") for name, shape in HEADS.items()}
    return {names[path]: value for path, value in values(model).items()} | heads


def random_backbone(**options):
    backbone = NASNetBackbone(**options)
    random = np.random.default_rng(0)
    for variable in backbone.weights:
        kind = variable.path.rpartition("/")[2]
        if kind in ("gamma", "moving_variance"):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif kind in ("beta", "moving_mean"):
            variable.assign(random.normal(0, 0.2, variable.shape))
    return backbone


@pytest.fixture(scope="module")
def source():
    return random_backbone(**LARGE)


@pytest.fixture(scope="module")
def target():
    return NASNetBackbone(**LARGE)


@pytest.mark.parametrize("options", [NASNET_A, MOBILE], ids=["large", "mobile"])
def test_both_stages_have_the_outputs_of_the_network_in_the_checkpoint(options, tmp_path):
    source, target = random_backbone(**options), NASNetBackbone(**options)
    tensors = tensors_of(source)
    extra = {name: np.float32(1) for name in TRAINING}
    write_checkpoint(tmp_path / "model.ckpt", tensors | extra)
    report = slim.from_slim(tmp_path / "model.ckpt", target)
    assert set(report.loaded) == {variable.path for variable in target.weights}
    assert len(set(report.loaded.values())) == len(report.loaded)
    assert report.left_out == tuple(sorted(HEADS.keys() | extra.keys()))
    images = np.random.default_rng(1).uniform(-1, 1, (1, 64, 96, 3)).astype("float32")
    inputs = images
    for expected, found in zip(two_stages(source), two_stages(target), strict=True):
        outputs = ops.convert_to_numpy(expected(inputs))
        assert np.ptp(outputs) > 0
        np.testing.assert_array_equal(ops.convert_to_numpy(found(inputs)), outputs)
        inputs = outputs
    np.testing.assert_array_equal(ops.convert_to_numpy(target(images)), outputs)


def test_names_and_shapes_at_full_size():
    """Written down from the code that made `faster_rcnn_nas_coco_2018_01_28`, not from ours."""
    with without_random_values():
        large = NASNetBackbone(num_blocks=6, penultimate_filters=4032, stem_filters=96, skip_reduction=True)
    names = names_of(large)
    shapes = {names[variable.path]: tuple(variable.shape) for variable in large.weights}
    assert len(shapes) == len(large.weights)
    first, second = "FirstStageFeatureExtractor", "SecondStageFeatureExtractor"
    assert {name.split("/")[0] for name in shapes} == {first, second}
    expected = {
        f"{first}/conv0/weights": (3, 3, 3, 96),
        f"{first}/conv0_bn/moving_variance": (96,),
        f"{first}/cell_stem_0/1x1/weights": (1, 1, 96, 42),
        f"{first}/cell_stem_1/comb_iter_0/left/bn_sep_5x5_2/beta": (84,),
        f"{first}/reduction_cell_0/prev_1x1/weights": (1, 1, 1008, 336),
        f"{first}/cell_6/final_path_bn/gamma": (336,),
        f"{first}/cell_11/beginning_bn/gamma": (336,),
        f"{second}/reduction_cell_1/prev_1x1/weights": (1, 1, 2016, 672),
        f"{second}/reduction_cell_1/comb_iter_0/right/separable_7x7_1/depthwise_weights": (7, 7, 672, 1),
        f"{second}/cell_12/path1_conv/weights": (1, 1, 2016, 336),
        f"{second}/cell_12/1x1/weights": (1, 1, 2688, 672),
        f"{second}/cell_17/comb_iter_4/left/separable_3x3_2/pointwise_weights": (1, 1, 672, 672),
    }
    assert {name: shapes.get(name) for name in expected} == expected
    tops = {stage: {name.split("/")[1] for name in shapes if name.startswith(stage)} for stage in (first, second)}
    assert tops[first] == {"conv0", "conv0_bn", "cell_stem_0", "cell_stem_1", "reduction_cell_0"} | {
        f"cell_{number}" for number in range(12)
    }
    assert tops[second] == {"reduction_cell_1"} | {f"cell_{number}" for number in range(12, 18)}


@pytest.mark.parametrize("ema", [False, True])
def test_moving_averages(source, target, tmp_path, ema):
    tensors = tensors_of(source)
    averages = {
        f"{name}/ExponentialMovingAverage": 2 * value for name, value in tensors.items() if "/moving_" not in name
    }
    write_checkpoint(tmp_path / "model.ckpt", tensors | averages)
    report = slim.from_slim(tmp_path / "model.ckpt", target, ema=ema)
    taken = set(report.loaded.values())
    assert set(report.left_out) == (tensors.keys() | averages.keys()) - taken
    assert ("FirstStageFeatureExtractor/conv0/weights/ExponentialMovingAverage" in taken) == ema
    expected = {path: value * (2 if ema and "/moving_" not in path else 1) for path, value in values(source).items()}
    assert_equal(values(target), expected)


CELL = "SecondStageFeatureExtractor/cell_2"


def defect(kind, tensors):
    """The tensors with one thing wrong, and what must be said of it."""
    name = f"{CELL}/final_path_bn/beta"
    if kind == "missing":
        del tensors[name]
        return tensors, f"missing {name} "
    if kind == "shape":
        tensors[name] = np.zeros((2, 2), "float32")
        return tensors, rf"{name} has the shape \(2, 2\)"
    if kind == "extra cell":
        tensors["SecondStageFeatureExtractor/cell_3/beginning_bn/gamma"] = np.zeros(3, "float32")
        return tensors, "unexpected SecondStageFeatureExtractor/cell_3/beginning_bn/gamma"
    if kind == "unknown scope":
        tensors["ThirdStage/weights"] = np.zeros(3, "float32")
        return tensors, "unexpected ThirdStage/weights"
    if kind == "text":
        tensors[name] = np.full(tensors[name].shape, "no number")
        return tensors, f"{name} holds .*, not numbers"
    if kind == "other stage":
        own, other = (f"{stage}StageFeatureExtractor/cell_1/" for stage in ("First", "Second"))
        return {key.replace(own, other): value for key, value in tensors.items()}, f"missing {own}"
    assert kind == "half"
    half = {key: value for key, value in tensors.items() if not key.startswith("SecondStageFeatureExtractor/")}
    return half, "missing SecondStageFeatureExtractor/reduction_cell_1/"


@pytest.mark.parametrize("kind", ["missing", "shape", "extra cell", "unknown scope", "text", "other stage", "half"])
def test_a_defect_is_named_in_one_line_and_changes_nothing(source, target, tmp_path, kind):
    before = values(target)
    tensors, message = defect(kind, tensors_of(source))
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    with pytest.raises(ValueError, match=message) as error:
        slim.from_slim(tmp_path / "model.ckpt", target)
    assert str(error.value).startswith(f"{tmp_path / 'model.ckpt'} is not for this model: ")
    assert "\n" not in str(error.value)
    assert_equal(values(target), before)


def test_a_network_of_another_depth_or_with_a_classifier_is_refused(source, tmp_path):
    write_checkpoint(tmp_path / "model.ckpt", tensors_of(source))
    with pytest.raises(ValueError, match=r"missing FirstStageFeatureExtractor/cell_2/.*; and .* more"):
        slim.from_slim(tmp_path / "model.ckpt", NASNetBackbone(**(LARGE | {"num_blocks": 2})))
    with pytest.raises(ValueError, match=r"model\.ckpt: a detector has no classifier: .*include_top=False"):
        slim.from_slim(tmp_path / "model.ckpt", NASNet(**LARGE, classes=3))


def test_heads_of_a_detector_are_no_part_of_a_classifier(tmp_path):
    model = NASNet(**MOBILE, classes=3)
    names = slim_names(model)
    tensors = {names[path]: value for path, value in values(model).items()}
    assert not is_detector(tensors)
    write_checkpoint(tmp_path / "model.ckpt", tensors | {"Conv/weights": np.zeros(3, "float32")})
    with pytest.raises(ValueError, match="unexpected Conv/weights"):
        slim.from_slim(tmp_path / "model.ckpt", model)


# === On the command line ===


def run(*arguments):
    return CliRunner().invoke(main, ["zoo", "convert", *map(str, arguments)])


def test_the_command_writes_the_backbone(tmp_path, monkeypatch):
    variant = "nasnet_a_6_4032_imagenet"
    monkeypatch.setitem(VARIANTS, variant, MOBILE | {"classes": 3})
    source, target = random_backbone(**MOBILE), NASNetBackbone(**MOBILE)
    archive, weights, whole = (tmp_path / name for name in ("detector.tar.gz", "backbone.safetensors", "whole.keras"))
    write_archive(archive, tensors_of(source))
    index = next(tmp_path.rglob("model.ckpt.index"))
    result = run(archive, weights, "--network", variant, "--no-top")
    assert (result.exit_code, result.output) == (0, f"wrote {weights}\n"), result.output
    weights_file.load(weights, target)
    assert_equal(values(target), values(source))
    assert run(index, whole, "--network", variant, "--no-top").exit_code == 0
    assert_equal(values(keras.saving.load_model(whole)), values(source))
    for arguments, message in (
        ([index, tmp_path / "other.keras", "--network", variant], "a detector has no classifier"),
        ([index, tmp_path / "other.keras", "--no-top"], "--no-top goes with --network"),
        ([index, tmp_path / "other.keras"], "say which network they are for"),
        ([index, tmp_path / "other.index", "--network", variant, "--no-top"], "a model is written to a name"),
    ):
        result = run(*arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1) and message in result.stderr, result.output
