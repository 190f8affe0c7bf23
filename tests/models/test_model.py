"""The classifier: published sizes, any input size, saving, and its arguments."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from keras_nasnet.accelerate.weightless import weightless
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.genotype import NASNET_A, NASNET_B, NASNET_C, Block, CellSpec, Genotype
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.zoo.loading import load

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


# Two blocks a cell, with a bit of everything: quicker to build than the five of NASNet-A.
CELL = CellSpec(
    (Block((0, 1), ("sep_conv_3x3", "avg_pool_3x3")), Block((1, 0), ("max_pool_3x3", "identity"))), outputs=((0, 2, 3),)
)


def small(**options):
    """A network of seven cells that returns logits."""
    defaults = {"num_blocks": 1, "penultimate_filters": 96, "classes": 5, "classifier_activation": None}
    return NASNet(**(defaults | {"genotype": Genotype(CELL, CELL)} | options))


def cifar(**options):
    """A network of five cells that starts at full resolution."""
    return small(**({"stem": "cifar", "penultimate_filters": 24} | options))


def images(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype("float32")


def randomize(model):
    """No weight keeps its initial value; variances stay positive."""
    random = np.random.default_rng(3)
    weights = model.get_weights()
    model.set_weights([w * random.uniform(0.8, 1.2, w.shape) + random.uniform(0, 0.02, w.shape) for w in weights])
    return model


def run(model, inputs):
    return ops.convert_to_numpy(model(inputs))


def assert_close(outputs, expected, tolerance=1e-5):
    """Equal up to a part of the largest value."""
    assert np.isfinite(expected).all() and np.ptp(expected) > 1e-3
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.fixture(scope="module")
def model():
    return randomize(small())


# === Size ===


def test_parameters_of_nasnet_a_mobile():
    with weightless():
        model = NASNet("nasnet_a", 4, 1056)
    assert model.count_params() == 5_326_716
    assert model.count_params() - model.get_layer("predictions").count_params() == 4_269_716


@pytest.mark.slow
@pytest.mark.parametrize(("include_top", "count"), [(True, 88_949_818), (False, 84_916_818)])
def test_parameters_of_nasnet_a_large(include_top, count):
    model = NASNet("nasnet_a", 6, 4032, stem_filters=96, skip_reduction=True, include_top=include_top)
    assert model.count_params() == count


@pytest.mark.parametrize(
    ("genotype", "penultimate_filters", "filters"),
    [("nasnet_a", 240, 10), ("nasnet_b", 240, 10), ("nasnet_c", 200, 10)],
)
def test_filters_from_penultimate_filters(genotype, penultimate_filters, filters):
    model = small(genotype=genotype, penultimate_filters=penultimate_filters, classifier_activation="softmax")
    assert [model.get_layer(name).filters for name in ("stem_0", "stem_1", "cell_0", "reduction_0", "cell_2")] == [
        filters // 4,
        filters // 2,
        filters,
        2 * filters,
        4 * filters,
    ]
    outputs = run(model, images(1, 32, 32, 3))
    assert outputs.shape == (1, 5)
    np.testing.assert_allclose(outputs.sum(), 1, atol=1e-5)


def test_a_genotype_of_ones_own():
    genotype = Genotype(NASNET_C.normal, NASNET_A.reduction, name="mine")
    model = cifar(genotype=genotype, penultimate_filters=40)
    assert run(model, images(1, 32, 32, 3)).shape == (1, 5)
    assert Genotype.from_dict(model.get_config()["genotype"]) == genotype


def test_numbers_of_cells():
    names = [layer.name for layer in cifar(num_blocks=[2, 1, 3]).layers]
    expected = ["cell_0", "cell_1", "reduction_0", "cell_2", "reduction_1", "cell_3", "cell_4", "cell_5"]
    assert [name for name in names if name.startswith(("cell_", "reduction_"))] == expected


@pytest.mark.parametrize("size", [(32, 32), (33, 33), (47, 64)])
def test_sizes_share_weights(model, size):
    fixed = small(input_shape=(*size, 3))
    fixed.set_weights(model.get_weights())
    inputs = images(2, *size, 3)
    assert fixed.input_shape == (None, *size, 3) and model.input_shape == (None, None, None, 3)
    assert_close(run(fixed, inputs), run(model, inputs))


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 2), ("cifar", 16)])
def test_features_without_top(stem, side):
    options = {"include_top": False, "stem": stem, "input_shape": (64, 64, 3)}
    features = small(**options)
    inputs = images(1, 64, 64, 3)
    outputs = run(features, inputs)
    assert outputs.shape == (1, side, side, 96) and outputs.min() == 0
    for pooling, reduce in [("avg", np.mean), ("max", np.max)]:
        pooled = small(**options, pooling=pooling)
        pooled.set_weights(features.get_weights())
        assert_close(run(pooled, inputs), reduce(outputs, axis=(1, 2)))


def test_skip_reduction_changes_what_is_read():
    """The cell behind a reduction reads across it, so its previous input is twice as large."""
    plain, skipping = cifar(), cifar(skip_reduction=True)
    assert plain.get_layer("cell_1").input_strides == (1, 2)
    assert skipping.get_layer("cell_1").input_strides == (1, 2)
    assert plain.get_layer("cell_2").input_strides == skipping.get_layer("cell_2").input_strides == (1, 2)
    with weightless():
        before = [small(skip_reduction=skip).count_params() for skip in (False, True)]
    assert before[0] != before[1]


def test_pool_padding_changes_the_features(model):
    inputs = images(1, 32, 32, 3)
    results = [run(model, inputs)]
    for pool_padding in ("keras", "timm"):
        other = small(pool_padding=pool_padding)
        other.set_weights(model.get_weights())
        results.append(run(other, inputs))
    assert len({result.tobytes() for result in results}) == 3


# === Saving ===


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"genotype": NASNET_B, "stem": "cifar", "input_shape": (40, 33, 3)},  # C is saved as a backbone
    ],
)
def test_saved_model_is_the_same(tmp_path, options):
    model = randomize(small(**options))
    inputs = images(2, 40, 33, 3)
    expected = run(model, inputs)
    assert np.isfinite(expected).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is NASNet and loaded.get_config() == model.get_config()
    np.testing.assert_array_equal(run(loaded, inputs), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    other = randomize(loaded)
    assert np.abs(run(other, inputs) - expected).max() > 1e-3
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(run(other, inputs), expected)


def test_config_round_trip(model):
    with weightless():
        again = NASNet.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in model.weights]
    assert [weight.path for weight in again.weights] == [weight.path for weight in model.weights]


def test_clone(model):
    clone = keras.models.clone_model(model)
    inputs = images(1, 32, 32, 3)
    clone.set_weights(model.get_weights())
    assert_close(run(clone, inputs), run(model, inputs))
    assert not {id(weight) for weight in clone.weights} & {id(weight) for weight in model.weights}


def test_class_names_and_preprocessing_are_saved(tmp_path):
    preprocessing = Preprocessing(48, 40, crop_fraction=0.875, interpolation="bilinear", mean=(1, 2, 3), std=(4, 5, 6))
    names = ("ant", "bee", "cow", "dog", "elk")
    model = cifar(class_names=names, preprocessing=preprocessing)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.class_names == names and loaded.preprocessing == preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (60, 70, 3)).astype("uint8")
    assert loaded.preprocess(pixels).shape == (1, 48, 40, 3)
    np.testing.assert_array_equal(loaded.preprocess(pixels), model.preprocess(pixels))


def test_default_preprocessing_fits_the_input(model):
    assert cifar().preprocessing == Preprocessing(32, 32)
    assert model.preprocessing == Preprocessing(None, None)


# === Input tensors ===


@pytest.fixture(scope="module")
def five_cells():
    return randomize(cifar())


def test_plain_input_tensor(tmp_path, five_cells):
    inputs = images(1, 32, 32, 3)
    built = cifar(input_tensor=keras.Input((32, 32, 3)))
    built.set_weights(five_cells.get_weights())
    assert_close(run(built, inputs), run(five_cells, inputs))
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is NASNet and loaded.input_shape == (None, 32, 32, 3)
    np.testing.assert_array_equal(run(loaded, inputs), run(built, inputs))


def test_input_tensor_behind_layers(tmp_path, five_cells):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    source = keras.Input((32, 32, 3))
    built = cifar(input_tensor=keras.layers.Rescaling(1 / 127.5, offset=-1)(source))
    built.set_weights(five_cells.get_weights())
    expected = run(five_cells, pixels / 127.5 - 1)
    assert_close(run(built, pixels), expected)
    built.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert_close(run(loaded, pixels), expected)


# === Precision, training, data format ===


@pytest.fixture(scope="module")
def trained():
    """The shipped network, smooth images, and its logits for them."""
    network = load("nasnet_a_cifar10")
    blocks = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 3)).astype("uint8")
    inputs = network.preprocess([Image.fromarray(block).resize((32, 32)) for block in blocks])
    pooled = keras.Model(network.inputs, network.get_layer("predictions").input)(inputs)
    kernel, bias = (ops.convert_to_numpy(weight) for weight in network.get_layer("predictions").weights)
    return network, inputs, ops.convert_to_numpy(pooled) @ kernel + bias


@pytest.mark.parametrize(("dtype", "tolerance"), [("mixed_bfloat16", 1e-2), ("mixed_float16", 1e-3)])
def test_mixed_precision(trained, dtype, tolerance):
    """A trained net's logits, on smooth images, stay within about a rounding error of the dtype (2^-8, 2^-11)."""
    network, inputs, expected = trained
    model = NASNet(**network.get_config() | {"classifier_activation": None, "dtype": dtype})
    model.set_weights(network.get_weights())
    outputs = model(inputs)
    assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
    assert model.get_layer("cell_0").compute_dtype == dtype.removeprefix("mixed_")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert_close(ops.convert_to_numpy(outputs), expected, tolerance=tolerance)


def test_auxiliary_head():
    model = small(auxiliary_head=True, input_shape=(160, 160, 3))
    outputs = model(images(2, 160, 160, 3))
    assert set(outputs) == {"predictions", "auxiliary_predictions"}
    assert all(ops.shape(tensor) == (2, 5) for tensor in outputs.values())
    plain = small()
    # The head stands beside the network: the rest is the same, in the same order.
    rest = [w.shape for w in model.weights if "auxiliary" not in w.path]
    assert rest == [w.shape for w in plain.weights]
    with pytest.raises(ValueError, match="fixed input size"):
        small(auxiliary_head=True, input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="larger images"):
        small(auxiliary_head=True, input_shape=(64, 64, 3))


def test_training_step():
    model = cifar(classifier_activation="softmax", drop_path_rate=0.3, dropout=0.5)
    model.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
    before = model.get_weights()
    history = model.fit(images(4, 32, 32, 3), np.arange(4), epochs=1, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    moved = [np.abs(old - new).max() > 0 for old, new in zip(before, model.get_weights(), strict=True)]
    assert np.mean(moved) > 0.9


@pytest.mark.skipif(not ON_TENSORFLOW, reason="other backends can")
def test_channels_first_says_that_it_cannot():
    if keras.distribution.list_devices("gpu"):
        pytest.skip("a GPU can")
    with pytest.raises(ValueError, match="channels_first"):
        cifar(data_format="channels_first")


@pytest.mark.skipif(ON_TENSORFLOW, reason="TensorFlow cannot on CPUs")
@pytest.mark.parametrize("genotype", ["nasnet_a", "nasnet_b", "nasnet_c"])
def test_channels_first_equals_channels_last(genotype):
    keras.utils.set_random_seed(0)  # normalisation over few pixels makes much of rounding for some weights
    options = {"genotype": genotype, "penultimate_filters": 192, "include_top": False, "pool_padding": "keras"}
    last = randomize(small(**options))
    first = small(**options, data_format="channels_first")
    first.set_weights(last.get_weights())
    inputs = images(1, 33, 40, 3)
    expected = run(last, inputs)
    outputs = run(first, inputs.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    assert_close(outputs, expected, tolerance=1e-4)
    assert first.preprocess(np.zeros((32, 40, 3), "uint8")).shape == (1, 3, 32, 40)


# === Errors ===


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"genotype": "nasnet_d"}, "nasnet_d"),
        ({"genotype": 3}, "genotype is 3"),
        ({"num_blocks": 0}, "num_blocks is 0"),
        ({"num_blocks": (1, 2)}, "num_blocks"),
        ({"num_blocks": True}, "num_blocks"),
        ({"penultimate_filters": 10}, "penultimate_filters is 10"),
        ({"penultimate_filters": 84}, "F must be at least 8"),
        ({"stem": "mnist"}, "stem is 'mnist'"),
        ({"pool_padding": "valid"}, "pool_padding is 'valid'"),
        ({"drop_path_rate": 1.0}, "drop_path_rate is 1.0"),
        ({"pooling": "sum"}, "pooling is 'sum'"),
        ({"input_shape": (31, 32, 3)}, "at least 32x32"),
        ({"input_shape": (32, 32)}, "three entries"),
        ({"data_format": "channels"}, "data_format is 'channels'"),
        ({"class_names": ["one"]}, "class_names has 1 names, but classes is 5"),
        ({"auxiliary_head": True, "include_top": False}, "include_top"),
        ({"preprocessing": {"height": 3, "width": None}}, "both"),
    ],
    ids=str,
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        small(**options)
