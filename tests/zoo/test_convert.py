"""Public weights give the outputs of the code they come from."""

import functools
import json
import os
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications.nasnet import NASNet as ApplicationsNASNet
from keras.src.legacy.saving import legacy_h5_format
from safetensors.numpy import load_file, save_file

from keras_nasnet import NASNet
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.zoo.formats.keras_h5 import from_keras, keras_names
from keras_nasnet.zoo.formats.slim import from_slim, slim_names
from keras_nasnet.zoo.formats.timm import from_timm, timm_names

PARITY = {
    "slim_mobile": {"num_blocks": 2, "classes": 11},
    "slim_large": {"num_blocks": 2, "classes": 11, "stem_filters": 96, "skip_reduction": True},
    "slim_cifar": {"num_blocks": 2, "classes": 10, "stem": "cifar"},
    "timm_large": {
        "num_blocks": 6,
        "classes": 11,
        "stem_filters": 96,
        "skip_reduction": True,
        "pool_padding": "timm",
    },
}
END_POINTS = {
    "Stem": "stem_1",
    "Cell_0": "cell_0",
    "Reduction_Cell_0": "reduction_0",
    "Reduction_Cell_1": "reduction_1",
    "global_pool": "avg_pool",
    "features": "features",
    "logits": "predictions",
}
MOBILE = {"penultimate_filters": 1056, "num_blocks": 4}
LARGE = {"penultimate_filters": 4032, "num_blocks": 6, "skip_reduction": True}
SMALL = {"penultimate_filters": 192, "num_blocks": 2, "classes": 7}
TINY = SMALL | {"num_blocks": 1}


@pytest.fixture(scope="session")
def data():
    folder = os.environ.get("KERAS_NASNET_TEST_DATA")
    if not folder:
        pytest.skip("KERAS_NASNET_TEST_DATA is not set: it names the folder with reference weights and outputs")
    return Path(folder)


def relative_error(actual, expected):
    actual = np.asarray(keras.ops.convert_to_numpy(actual), "float64")
    assert actual.shape == expected.shape
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}


def assert_unchanged(model, before):
    for path, value in values(model).items():
        np.testing.assert_array_equal(value, before[path], err_msg=path)


def small(**options):
    with without_random_values():
        return NASNet(**({"penultimate_filters": 192, "classifier_activation": None} | options))


@pytest.fixture(scope="module")
def tiny():
    """A model for tests that only look at its variables."""
    with without_random_values():
        return NASNet(**TINY)


@functools.cache
def parity_model(name):
    return small(**PARITY[name])


# === Reference outputs ===


@pytest.mark.parametrize("name", PARITY)
def test_outputs_are_those_of_the_original_code(data, name):
    folder = data / "parity" / name
    model = parity_model(name)
    if name.startswith("slim"):
        pytest.importorskip("tensorflow")
        report = from_slim(folder / "model.ckpt", model)
        assert report.left_out == ()
    else:
        report = from_timm(folder / "model.safetensors", model)
        assert all(left_out.endswith(".num_batches_tracked") for left_out in report.left_out)
    assert set(report.loaded) == {weight.path for weight in model.weights}
    golden = np.load(folder / "golden.npz")
    layers = END_POINTS | ({"Stem": "stem_batch_norm"} if name == "slim_cifar" else {})
    end_points = [key for key in golden if key != "input"]
    assert "logits" in end_points
    tapped = keras.Model(model.inputs, [model.get_layer(layers[key]).output for key in end_points])
    for key, output in zip(end_points, tapped(golden["input"], training=False), strict=True):
        assert relative_error(output, golden[key]) <= 1e-4, key


# === keras.applications ===


def applications_model(size, top=True, seed=0, **config):
    """A NASNet of keras.applications with random weights, of which also the BN statistics are random."""
    options = {"stem_block_filters": 32, "skip_reduction": False, "filter_multiplier": 2, "classes": 1000} | config
    with without_random_values():
        source = ApplicationsNASNet(
            (size, size, 3), weights=None, include_top=top, classifier_activation=None, default_size=size, **options
        )
    random = np.random.default_rng(seed)
    for weight in source.weights:
        name = weight.path.split("/")[-1]
        if name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif name in ("beta", "moving_mean", "bias"):
            weight.assign(random.normal(0, 0.2, weight.shape))
        else:
            inputs = np.prod(weight.shape[:2] if name == "depthwise_kernel" else weight.shape[:-1])
            weight.assign(random.normal(0, inputs**-0.5, weight.shape))
    return source


@functools.cache
def tiny_body():
    with without_random_values():
        return NASNet(include_top=False, **TINY)


@functools.cache
def tiny_applications_model(top):
    return applications_model(32, top=top, **TINY)


def save_applications(source, path):
    if path.name.endswith(".weights.h5"):
        source.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, source)
    return path


def check_applications(source, size, folder, suffixes=(".h5", ".weights.h5"), **config):
    images = np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)).astype("float32")
    expected = np.asarray(keras.ops.convert_to_numpy(source(images, training=False)), "float64")
    with without_random_values():
        model = NASNet(classifier_activation=None, pool_padding="keras", **config)
    for suffix in suffixes:
        for variable in model.trainable_weights[::7]:  # the format before has filled them
            variable.assign(np.full(variable.shape, np.nan, "float32"))
        report = from_keras(save_applications(source, folder / f"weights{suffix}"), model)
        assert report.left_out == ()
        assert set(report.loaded) == {weight.path for weight in model.weights}
        error = relative_error(model(images, training=False), expected)
        print(f"{suffix}: relative error {error:.2e}")
        assert error <= 1e-5


@pytest.mark.parametrize(
    ("num_blocks", "skip_reduction", "size"),
    [
        (2, False, 64),
        # The same layers in other numbers; test_formats.py has the odd size and `skip_reduction`.
        pytest.param(2, True, 65, marks=pytest.mark.slow),
        pytest.param(1, False, 64, marks=pytest.mark.slow),
        pytest.param(1, True, 64, marks=pytest.mark.slow),
    ],
)
def test_keras_small(tmp_path, size, skip_reduction, num_blocks):
    config = SMALL | {"skip_reduction": skip_reduction, "num_blocks": num_blocks}
    check_applications(applications_model(size, **config), size, tmp_path, **config)


@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 225, 331])
def test_keras_mobile(tmp_path, size):
    check_applications(applications_model(size, **MOBILE), size, tmp_path, **MOBILE)


# Built for images of any size, keras.applications' Large without top has 84,887,922 parameters
# where ours has 84,916,818: it compares sizes to decide on factorized reductions, and sizes
# that it does not know are all the same to it. Built for a fixed size, the numbers agree.
@pytest.mark.slow
@pytest.mark.parametrize("size", [224, 225, 331])
def test_keras_large_without_top(size, tmp_path):
    source = applications_model(size, top=False, stem_block_filters=96, **LARGE)
    check_applications(source, size, tmp_path, (".weights.h5",), include_top=False, stem_filters=96, **LARGE)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_keras_top_is_left_out_of_a_model_without(tmp_path, suffix):
    path = save_applications(tiny_applications_model(True), tmp_path / f"weights{suffix}")
    report = from_keras(path, tiny_body())
    assert report.left_out == ("predictions/bias", "predictions/kernel")


def test_keras_without_top_does_not_fill_a_model_with(tiny, tmp_path):
    path = save_applications(tiny_applications_model(False), tmp_path / "weights.h5")
    model = tiny
    before = values(model)
    with pytest.raises(ValueError, match="missing predictions/kernel"):
        from_keras(path, model)
    assert_unchanged(model, before)


def test_keras_2_names(tiny, tmp_path):
    """The public files: weights are "layer/weight:0" below the group of the layer."""
    source = tiny_applications_model(True)
    model = tiny
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        layers = [layer for layer in source.layers if layer.weights]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            names = [f"{layer.name}/{weight.path.split('/')[-1]}:0" for weight in layer.weights]
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = keras.ops.convert_to_numpy(weight)
    report = from_keras(tmp_path / "weights.h5", model)
    loaded = values(model)
    for path, name in report.loaded.items():
        layer, weight = name.split("/")
        expected = next(item for item in source.get_layer(layer).weights if item.path.split("/")[-1] == weight)
        np.testing.assert_array_equal(loaded[path], keras.ops.convert_to_numpy(expected))


def test_public_mobile_names(data):
    manifest = json.loads((data / "nasnet_mobile_tfjs_partial" / "weights_manifest.json").read_text())
    public = {entry["name"]: tuple(entry["shape"]) for entry in manifest["weights"]}
    with without_random_values():
        model = NASNet(**MOBILE)
    shapes = {weight.path: tuple(weight.shape) for weight in model.weights}
    names = keras_names(model)
    assert len(set(names.values())) == len(names)
    assert {name: shapes[path] for path, name in names.items()} == public


# === TF-slim checkpoints with more in them ===


def save_checkpoint(tensors, path):
    tensorflow = pytest.importorskip("tensorflow")
    names = list(tensors)
    tensorflow.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tensorflow.constant(tensors[name]) for name in names],
    )
    return path


def slim_tensors(model, seed=0):
    random = np.random.default_rng(seed)
    names = slim_names(model)
    return {names[w.path]: random.uniform(0.5, 1, tuple(w.shape)).astype("float32") for w in model.weights}


def test_slim_auxiliary_head_and_background(tmp_path):
    model = small(num_blocks=1, classes=1000, auxiliary_head=True, input_shape=(160, 160, 3))
    tensors = slim_tensors(model)
    heads = ["aux_1/aux_logits/FC", "final_layer/FC"]
    for head in heads:
        for weight in ("weights", "biases"):
            tensor = tensors[f"{head}/{weight}"]
            tensors[f"{head}/{weight}"] = np.concatenate([tensor[..., :1] * 0, tensor], axis=-1)
    tensors["global_step"] = np.int64(3)
    tensors["conv0/weights/RMSProp_1"] = tensors["conv0/weights"]
    path = save_checkpoint(tensors, tmp_path / "model.ckpt")
    report = from_slim(path, model)
    assert report.left_out == ("conv0/weights/RMSProp_1", "global_step")
    loaded = values(model)
    for layer, head in zip(("auxiliary_predictions", "predictions"), heads, strict=True):
        np.testing.assert_array_equal(loaded[f"{layer}/kernel"], tensors[f"{head}/weights"][:, 1:])
        np.testing.assert_array_equal(loaded[f"{layer}/bias"], tensors[f"{head}/biases"][1:])
    assert report.loaded["auxiliary_projection/batch_norm/gamma"] == "aux_1/aux_logits/aux_bn0/gamma"

    report = from_slim(path, tiny_body())
    assert {name.split("/")[0] for name in report.left_out} == {"aux_1", "final_layer", "global_step", "conv0"}


@pytest.mark.parametrize("ema", [False, True])
def test_slim_moving_averages(tiny, tmp_path, ema):
    model = tiny
    tensors = slim_tensors(model)
    averages = {
        f"{name}/ExponentialMovingAverage": 2 * tensor for name, tensor in tensors.items() if "/moving_" not in name
    }
    path = save_checkpoint(tensors | averages, tmp_path / "model.ckpt")
    report = from_slim(path, model, ema=ema)
    raw = {name.removesuffix("/ExponentialMovingAverage") for name in averages}
    assert set(report.left_out) == (raw if ema else set(averages))
    loaded = values(model)
    np.testing.assert_array_equal(loaded["stem_convolution/kernel"], tensors["conv0/weights"] * (2 if ema else 1))
    np.testing.assert_array_equal(loaded["stem_batch_norm/moving_mean"], tensors["conv0_bn/moving_mean"])


# === Errors ===


def change(kind, tensors, name):
    """Returns the tensors without one, with one more, or with one of another shape; and what the error names."""
    tensors = dict(tensors)
    if kind == "missing":
        del tensors[name]
        return tensors, f"missing {name}"
    if kind == "extra":
        tensors["cell_99/thing"] = np.zeros(3, "float32")
        return tensors, "unexpected cell_99/thing"
    tensors[name] = np.zeros((2, 2), "float32")
    return tensors, rf"{name} has the shape \(2, 2\)"


KINDS = pytest.mark.parametrize("kind", ["missing", "extra", "shape"])


@KINDS
def test_keras_error_leaves_the_model(tiny, tmp_path, kind):
    model = tiny
    before = values(model)
    names = keras_names(model)
    tensors, message = change(kind, {names[path]: value + 1 for path, value in before.items()}, "adjust_bn_0/beta")
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        layers = sorted({name.split("/")[0] for name in tensors})
        file.attrs["layer_names"] = layers
        for layer in layers:
            weights = [name for name in tensors if name.startswith(f"{layer}/")]
            file.create_group(layer).attrs["weight_names"] = weights
            for weight in weights:
                file[layer][weight] = tensors[weight]
    with pytest.raises(ValueError, match=message):
        from_keras(tmp_path / "weights.h5", model)
    assert_unchanged(model, before)


@KINDS
def test_slim_error_leaves_the_model(tiny, tmp_path, kind):
    model = tiny
    before = values(model)
    tensors, message = change(kind, slim_tensors(model), "cell_0/final_path_bn/beta")
    with pytest.raises(ValueError, match=message):
        from_slim(save_checkpoint(tensors, tmp_path / "model.ckpt"), model)
    assert_unchanged(model, before)


@KINDS
def test_timm_error_leaves_the_model(data, tmp_path, kind):
    model = parity_model("timm_large")
    before = values(model)
    tensors, message = change(
        kind, load_file(data / "parity" / "timm_large" / "model.safetensors"), "cell_0.final_path_bn.bias"
    )
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        from_timm(tmp_path / "model.safetensors", model)
    assert_unchanged(model, before)


def test_timm_pth(tiny, tmp_path):
    torch = pytest.importorskip("torch")
    model = tiny
    state = {}
    expected = {path: value + 1 for path, value in values(model).items()}
    for path, name in timm_names(model).items():
        axes = {2: (1, 0), 4: (2, 3, 0, 1) if path.endswith("depthwise_kernel") else (3, 2, 0, 1)}
        value = expected[path]
        state[name] = torch.tensor(value.transpose(axes[value.ndim]) if value.ndim in axes else value)
    torch.save(state, tmp_path / "model.pth")
    from_timm(tmp_path / "model.pth", model)
    assert_unchanged(model, expected)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (from_keras, "weights.h5"),
        (from_keras, "model.weights.h5"),
        (from_slim, "model.ckpt"),
        (from_timm, "model.safetensors"),
        (from_timm, "model.pth"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"not weights at all"])
def test_unreadable_file(tiny, tmp_path, function, name, content):
    if function is from_slim:
        pytest.importorskip("tensorflow")
    if name.endswith(".pth"):
        pytest.importorskip("torch")
    if content is not None:
        (tmp_path / name).write_bytes(content)
        (tmp_path / f"{name}.index").write_bytes(content)
    with pytest.raises(ValueError, match=name) as error:
        function(tmp_path / name, tiny)
    assert "\n" not in str(error.value)


def test_h5_of_something_else(tiny, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["table"] = np.zeros(3)
    with pytest.raises(ValueError, match=r"other\.h5: not a Keras weights file"):
        from_keras(tmp_path / "other.h5", tiny)


def test_model_that_is_no_nasnet(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"only a keras_nasnet\.NASNet"):
        from_keras(tmp_path / "weights.h5", keras.Sequential(name="other"))


def test_a_part_that_no_source_has(tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"")
    with without_random_values():
        model = NASNet("nasnet_c", num_blocks=1, penultimate_filters=240)
    with pytest.raises(ValueError, match="has no counterpart"):
        from_keras(tmp_path / "weights.h5", model)
