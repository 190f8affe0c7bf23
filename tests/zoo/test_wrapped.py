"""Models that people build around a backbone: each becomes a NASNet that computes the same, or is refused in a line."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

import keras_nasnet
from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.formats import wrapped
from tests.support.toy import NETWORK

SMALL = NETWORK | {"stem": "cifar"}
IMAGE = (32, 32, 3)


def network(**options):
    return NASNet(**SMALL, include_top=False, input_shape=IMAGE, **options)


def flat():
    """As tutorials of `keras.applications` do it: the backbone's layers are the model's own."""
    base = network()
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(base.output))
    return keras.Model(base.input, layers.Dense(5, activation="softmax")(x))


def nested():
    """A backbone as a layer; augmentation and `preprocess_input` in front; one output, a logit."""
    image = keras.Input(IMAGE)
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])(image)
    x = NASNetBackbone(**SMALL, input_shape=IMAGE)(keras_nasnet.preprocess_input(x), training=False)
    x = layers.BatchNormalization()(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(1)(x))


def sequential():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).uniform(0, 1, (10, *IMAGE)))
    parts = [layers.Rescaling(1 / 255), normalization, network(pooling="avg"), layers.Dense(3), layers.Softmax()]
    return keras.Sequential([keras.Input(IMAGE), *parts])


def on_a_tensor():
    """Layers in front of a backbone that is built on them; images of any size, made smaller; yes or no."""
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 127.5, -1)(layers.Resizing(32, 32)(image))
    base = NASNet(**SMALL, include_top=False, input_tensor=x)
    return keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(base.output)))


def head_in_parts():
    """A head that is a model of its own, whose layers without activations are one in the end."""
    parts = [layers.GlobalAveragePooling2D(), layers.Flatten(), layers.Dense(8), layers.BatchNormalization()]
    head = keras.Sequential([*parts, layers.Dense(4, use_bias=False), layers.Activation("softmax")])
    model = keras.Sequential([NASNetBackbone(**SMALL, input_shape=IMAGE), head])
    model.build((None, *IMAGE))
    return model


def many_outputs():
    """A network whose cells have four outputs."""
    base = NASNet("nasnet_b", 1, 240, stem="cifar", include_top=False, input_shape=IMAGE)
    return keras.Model(base.input, layers.Dense(3)(layers.GlobalAveragePooling2D()(base.output)))


def skipping():
    """A network of other options than the smallest's."""
    base = NASNet("nasnet_a", 1, 192, stem_filters=8, skip_reduction=True, pool_padding="keras", include_top=False)
    return keras.Model(base.input, layers.Dense(3, "sigmoid")(layers.GlobalAveragePooling2D()(base.output)))


def classifier_inside():
    return keras.Sequential(
        [keras.Input(IMAGE), layers.Rescaling(1 / 255), NASNet(**SMALL, classes=3, class_names=list("abc"))]
    )


MODELS = (flat, nested, sequential, on_a_tensor, head_in_parts, many_outputs, skipping, classifier_inside)


def probabilities(model, images):
    outputs = keras.ops.convert_to_numpy(model(images, training=False))
    if outputs.shape[-1] == 1:
        outputs = outputs if model.layers[-1].get_config()["activation"] == "sigmoid" else 1 / (1 + np.exp(-outputs))
        return np.concatenate([1 - outputs, outputs], axis=-1)
    if model.layers[-1].get_config().get("activation") == "linear":
        return np.exp(outputs) / np.exp(outputs).sum(-1, keepdims=True)
    return outputs


def trained(build):
    """A model whose weights are not what they were when it was made."""
    keras.utils.set_random_seed(0)
    model, random = build(), np.random.default_rng(0)
    for variable in model.weights:
        if "normalization/" in variable.path and "batch" not in variable.path:
            continue
        if variable.path.endswith("variance"):
            variable.assign(random.uniform(0.5, 2, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(variable + random.uniform(0, 0.5, variable.shape))
    return model


@pytest.mark.parametrize(
    "build",
    [pytest.param(build, marks=[] if build in (flat, nested, on_a_tensor) else [pytest.mark.slow]) for build in MODELS],
)
def test_a_model_around_a_backbone_becomes_a_nasnet(build, tmp_path):
    model = trained(build)
    model.compile("adam", "mse")
    model.save(tmp_path / "model.keras")
    side = 32 if model.input_shape[1] else 48
    images = np.random.default_rng(1).integers(0, 256, (3, side, side, 3)).astype(np.uint8)
    scales = build in (nested, sequential, on_a_tensor, classifier_inside)
    for source in (model, tmp_path / "model.keras"):
        found = keras_nasnet.load(source)
        assert type(found) is NASNet
        size = 32 if build is on_a_tensor else side
        pixels = np.stack([found.preprocessing.fit(image) for image in images])[:, :size, :size]
        inputs = found.preprocess(pixels)
        given = pixels.astype(np.float32) if scales else inputs
        outputs = keras.ops.convert_to_numpy(found(inputs, training=False))
        np.testing.assert_allclose(outputs, probabilities(model, given), atol=1e-4)
        assert np.ptp(outputs) > 1e-3
    assert found.preprocessing == loading.load(model).preprocessing
    assert found.preprocessing.height == loading.preprocessing(tmp_path / "model.keras").height


def test_what_is_known_of_it_stays(tmp_path):
    assert keras_nasnet.load(flat()).get_config()["dropout"] == 0.2
    found = keras_nasnet.load(classifier_inside())
    assert found.class_names == ("a", "b", "c")
    assert found.preprocessing.std == (255, 255, 255)
    (tmp_path / "names.txt").write_text("kein Hund\nHund\n")
    assert keras_nasnet.load(nested(), class_names=tmp_path / "names.txt").class_names == ("kein Hund", "Hund")
    (tmp_path / "names.json").write_text('["rot", "blau"]')
    assert keras_nasnet.load(nested(), class_names=tmp_path / "names.json").class_names == ("rot", "blau")
    with pytest.raises(ValueError, match="class_names has 2 names, but classes is 5"):
        keras_nasnet.load(flat(), class_names=tmp_path / "names.txt")
    with pytest.raises(ValueError, match="has no classifier: it has no class names"):
        keras_nasnet.load(NASNetBackbone(**SMALL), class_names=["a"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "there are no names"),
        ("a\n\nb\n", "a name is empty"),
        ('["a", 7]', "has 7: names of classes are text"),
        ("[", "not JSON"),
        ("x" * 5000, "characters are more than a name has"),
    ],
)
def test_a_file_of_no_names_is_one_line(tmp_path, content, words):
    (tmp_path / "names").write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        loading.load("nasnet_a_cifar10", class_names=tmp_path / "names")
    assert "\n" not in str(error.value)


def test_a_network_alone_is_features(tmp_path):
    backbone = NASNetBackbone(**SMALL)
    backbone.save(tmp_path / "model.keras")
    for source in (backbone, tmp_path / "model.keras", keras.Sequential([keras.Input(IMAGE), network()])):
        found = keras_nasnet.load(source)
        assert found.output_shape == (None, 32)
        assert not found.get_config()["include_top"]


def hidden():
    return keras.Sequential([keras.Input(IMAGE), network(pooling="avg"), layers.Dense(8, "relu"), layers.Dense(3)])


def of_lambda():
    return keras.Sequential([keras.Input(IMAGE), layers.Lambda(lambda x: x / 255), network(pooling="avg")])


def of_maxima():
    return keras.Sequential([keras.Input(IMAGE), network(pooling="max"), layers.Dense(3)])


def cut():
    base = network()
    x = layers.GlobalAveragePooling2D()(base.get_layer("cell_1").output)
    return keras.Model(base.input, layers.Dense(2)(x))


def two_paths():
    image = keras.Input(IMAGE)
    x = layers.GlobalAveragePooling2D()(NASNetBackbone(**SMALL)(image))
    return keras.Model(image, layers.Concatenate()([x, x]))


def two_outputs():
    base = network(pooling="avg")
    return keras.Model(base.input, [layers.Dense(2)(base.output), layers.Dense(3)(base.output)])


def no_network():
    return keras.Sequential([keras.Input(IMAGE), layers.GlobalAveragePooling2D(), layers.Dense(3)])


def of_another_package():
    return keras.Sequential(
        [keras.Input(IMAGE), layers.Conv2D(3, 3, padding="same"), network(pooling="avg"), layers.Dense(3)]
    )


def after_the_softmax():
    return keras.Sequential([keras.Input(IMAGE), NASNet(**SMALL, classes=3), layers.Softmax()])


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (hidden, "its head has a hidden layer, 'dense[_0-9]*' .relu.: one Dense layer is understood"),
        (of_lambda, "holds a layer 'Lambda'; understood are: a NASNet"),
        (of_maxima, "its network is pooled by 'max'"),
        (cut, "reads 'cell_1', a cell, in the midst of the network"),
        (two_paths, "'Concatenate'"),
        (two_outputs, "not one output but several"),
        (no_network, "holds 0 networks"),
        (of_another_package, "holds a layer 'Conv2D'"),
        (after_the_softmax, "behind the network is not understood"),
    ],
)
def test_other_models_are_refused_in_one_line(build, words, tmp_path):
    model = build()
    model.save(tmp_path / "model.keras")
    for act in (lambda: loading.check(tmp_path / "model.keras"), lambda: keras_nasnet.load(model)):
        with pytest.raises(ValueError, match=words) as error:
            act()
        assert "\n" not in str(error.value)


def test_what_is_no_model_is_refused():
    with pytest.raises(ValueError, match="model is a int: give a name of the catalog"):
        keras_nasnet.load(7)
    with pytest.raises(ValueError, match="model is a Dense"):
        keras_nasnet.load(layers.Dense(3))
    with pytest.raises(ValueError, match="has no weights yet"):
        keras_nasnet.load(keras.Sequential([layers.Dense(3)]))


# === What a file says ===


@pytest.fixture(scope="module")
def config():
    return json.dumps(keras.saving.serialize_keras_object(nested()))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"units": 1', '"units": 1000000000', "units of dense.* is 1000000000: at most"),
        ('"activation": "linear"', '"activation": {"class_name": "function", "config": "x"}', "has the activation"),
        ('"class_name": "Dense"', '"class_name": "Lambda"', "holds a layer 'Lambda'"),
        ('"class_name": "Dense"', '"class_name": "x>Dense"', "holds a layer"),
        (
            '"module": "keras.layers", "class_name": "RandomFlip"',
            '"module": "os", "class_name": "RandomFlip"',
            "holds a",
        ),
        ('"batch_shape": [null, 32, 32, 3]', '"batch_shape": [null, 1000000000, 32, 3]', "at most 4,096"),
        ('"num_blocks": 1', '"num_blocks": 100000000', None),
        (", 127.5]", ", Infinity]", "for a number"),
        (", 127.5]", ', "127.5"]', "for a number"),
        ('"epsilon": 0.001', '"epsilon": NaN', "epsilon of"),
        ('"keras_history": ["true_divide', '"keras_history": ["subtract', "go round in a circle"),
    ],
)
def test_a_config_that_asks_for_more_is_refused_before_anything_is_built(config, old, new, words):
    assert old in config
    data = json.loads(config.replace(old, new))
    if words is None:  # found when the network's arguments are checked
        with pytest.raises(ValueError, match="at most 1,000 cells"):
            wrapped.rebuild(wrapped.parse(data))
        return
    with pytest.raises(ValueError, match=words):
        wrapped.parse(data)


def test_no_code_of_a_file_runs(tmp_path):
    """Keras itself would refuse a Lambda, but build any other class that a file names."""
    model = keras.Sequential([keras.Input(IMAGE), network(pooling="avg"), layers.Dense(3)])
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    data = json.loads(members["config.json"])
    for part in data["config"]["layers"]:
        part["build_config"] = part["compile_config"] = {"class_name": "Evil", "config": {}, "module": "evil"}
    data["config"]["layers"][-1]["config"]["kernel_initializer"] = {"module": "evil", "class_name": "Evil"}
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, content in (members | {"config.json": json.dumps(data).encode()}).items():
            archive.writestr(name, content)
    assert keras_nasnet.load(tmp_path / "model.keras").output_shape == (None, 3)
