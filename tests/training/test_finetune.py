"""Fine-tuning: what is replaced, what stays frozen, what the recipe adapts to, and when it stops."""

import csv

import keras
import numpy as np
import pytest
from PIL import Image

import keras_nasnet
from keras_nasnet import Block, CellSpec, Genotype, NASNet
from keras_nasnet.inference.classification import classify
from keras_nasnet.models.weights import copy_weights
from keras_nasnet.training.finetuning import prepare
from keras_nasnet.training.network import make_network
from keras_nasnet.training.recipe import get_recipe
from keras_nasnet.zoo.publishing import prepare as publish_folder

CELL = CellSpec((Block((0, 1), ("avg_pool_3x3", "identity")),), ((2,),))
REDUCTION = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((2,),))
COLOURS = {"blue": (40, 40, 200), "green": (40, 200, 40), "red": (200, 40, 40)}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A network of five small cells with other classes, whose BN has seen something."""
    keras.utils.set_random_seed(0)
    model = NASNet(Genotype(CELL, REDUCTION), 1, 96, stem="cifar", classes=4, class_names=list("abcd"), name="source")
    for variable in model.weights:
        if "moving_mean" in variable.path:
            variable.assign(np.random.default_rng(0).normal(0, 0.1, variable.shape))
    path = tmp_path_factory.mktemp("source") / "source.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve images of each of three colours."""
    folder = tmp_path_factory.mktemp("photos") / "colours"
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(generator.normal(colour, 30, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def tuned(photos, source, out, *settings, epochs=2, **options):
    said = []
    settings = ["image_size=32", *settings]
    result = keras_nasnet.finetune(photos, source, epochs, out, settings=settings, say=said.append, **options)
    return result, said


def weights(model):
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def rows(result):
    with open(result.folder / "history.csv") as file:
        return list(csv.DictReader(file))


# === The Whole ===


@pytest.fixture(scope="module")
def run(photos, source, tmp_path_factory):
    return tuned(photos, source, tmp_path_factory.mktemp("run"), "learning_rate=0.1", "patience=0", epochs=8)


def test_learns_the_classes(run, photos):
    result, _ = run
    assert result.validation.examples == 6
    assert result.validation.accuracy == 1
    model = keras_nasnet.load(result.folder / "model.keras")
    assert model.class_names == ("blue", "green", "red")
    images = [path for name in COLOURS for path in sorted((photos / name).iterdir())[:4]]
    for path, (_, predictions) in zip(images, classify(model, images, top=1), strict=True):
        assert predictions[0].label == path.parent.name


def test_leaves_report_and_pictures(run):
    result, said = run
    report = "\n".join(said)
    assert all(name in report for name in ("precision", "recall", *COLOURS))
    for name in ("confusion.png", "curves.png"):
        with Image.open(result.folder / name) as picture:
            assert min(picture.size) > 100


def test_body_learns_and_batch_norm_stays(run, source):
    before, after = weights(keras_nasnet.load(source)), weights(run[0].network)
    kernels = [path for path in before if path.endswith("kernel") and "predictions" not in path]
    assert kernels and all(np.abs(before[path] - after[path]).max() > 0 for path in kernels)
    frozen = [path for path in before if path.rsplit("/")[-1] in ("moving_mean", "moving_variance", "gamma", "beta")]
    assert frozen and all(np.array_equal(before[path], after[path]) for path in frozen)


def test_classifier_is_trained_alone_first(photos, source, tmp_path):
    result, _ = tuned(photos, source, tmp_path, "head_epochs=2")
    before, after = weights(keras_nasnet.load(source)), weights(result.network)
    body = [path for path in before if "predictions" not in path]
    assert body and all(np.array_equal(before[path], after[path]) for path in body)
    assert np.abs(after["predictions/kernel"]).max() > 0


def test_new_classifier_begins_without_an_opinion(photos, source):
    network = make_network(prepared(photos, source, "image_size=32")[0], list(COLOURS))
    logits = network(np.random.default_rng(0).normal(size=(2, 32, 32, 3)))
    assert np.abs(keras.ops.convert_to_numpy(logits)).max() == 0


def test_stops_when_nothing_gets_better(photos, source, tmp_path):
    result, _ = tuned(
        photos, source, tmp_path, "learning_rate=0", "weight_decay=0", "patience=2", "head_epochs=1", epochs=20
    )
    assert result.epochs == len(rows(result)) == 3  # one for the head, two without a better one


def test_slow_batch_norm_that_trains_is_warned_of(photos, source, tmp_path):
    assert get_recipe("finetune").freeze_batch_norm
    assert get_recipe("finetune").batch_norm_momentum == 0.9
    settings = ("image_size=32", "freeze_batch_norm=false", "batch_norm_momentum=0.9997", "head_epochs=0")

    def stop(line):
        if "BN with momentum 0.9997" in line and "freeze_batch_norm=true" in line:
            raise InterruptedError  # it is said before anything is trained

    with pytest.raises(InterruptedError):
        keras_nasnet.finetune(photos, source, 1, tmp_path, settings=settings, say=stop)


# === What the Recipe Adapts To ===


def prepared(photos, model, *settings, epochs=None, recipe="finetune", seed=None):
    return prepare(photos, model, epochs, recipe, settings, seed)


def test_image_size_is_the_models_if_that_is_larger(photos, source, tmp_path):
    least = get_recipe("finetune").image_size
    recipe, dataset = prepared(photos, source)
    assert recipe.image_size == dataset.train.image_shape[:2] == least
    assert recipe.variant == str(source)
    large = tmp_path / "large.keras"
    NASNet(Genotype(CELL, REDUCTION), 1, 48, stem="cifar", classes=4, input_shape=(160, 200, 3)).save(large)
    assert prepared(photos, large)[0].image_size == (160, 200)
    assert prepared(photos, large, "image_size=48")[0].image_size == (48, 48)


def test_batch_leaves_some_steps(photos, source):
    recipe, dataset = prepared(photos, source)
    assert dataset.train.size == 30
    assert recipe.batch == 7
    assert prepared(photos, source, "batch=20")[0].batch == 20


def test_a_recipe_of_ones_own_stands(photos, source, tmp_path):
    own = get_recipe("finetune").with_settings("name=own", "batch=30", "image_size=40", "epochs=7")
    own.save(tmp_path / "own.toml")
    recipe, dataset = prepared(photos, source, recipe=tmp_path / "own.toml", seed=3)
    assert (recipe.batch, recipe.image_size, recipe.epochs, recipe.seed) == (30, (40, 40), 7, 3)
    assert dataset.train.image_shape == (40, 40, 3)


@pytest.mark.parametrize(("epochs", "head"), [(1, 0), (2, 1)])
def test_few_epochs_are_not_all_the_classifiers(photos, source, epochs, head):
    recipe, _ = prepared(photos, source, epochs=epochs)
    assert (recipe.epochs, recipe.head_epochs) == (epochs, head)


def test_what_is_no_nasnet_is_refused(photos, tmp_path):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(
        ValueError, match=r"other.keras: holds a Sequential, not a NASNet alone: holds 0 networks|not images"
    ):
        prepared(photos, tmp_path / "other.keras")


# === From what ===


def test_from_a_run_and_from_what_is_published_of_it(run, photos, tmp_path):
    """As from the file in the run's folder: at its image size, whichever name it goes by."""
    folder = run[0].folder
    published = publish_folder(folder, "someone/small", tmp_path / "published")
    expected = prepared(photos, folder / "model.keras")[0].image_size
    before = weights(keras_nasnet.load(folder))
    path = next(path for path in before if path.startswith("cell_0/") and "kernel" in path)
    for source in (folder, published):
        recipe, _ = prepared(photos, source)
        assert recipe.image_size == expected
        network = make_network(recipe, ["another", "set", "of", "four"])
        assert network.output_shape == (None, 4)
        assert np.array_equal(weights(network)[path], before[path])


def test_from_a_model_that_somebody_has_built(photos, source, tmp_path):
    base = keras_nasnet.load(source)
    body = NASNet(**base.get_config() | {"include_top": False, "pooling": "avg", "class_names": None})
    copy_weights(base, body)
    parts = [keras.Input((32, 32, 3)), keras.layers.Rescaling(1 / 255), body, keras.layers.Dense(2)]
    keras.Sequential(parts).save(tmp_path / "own.keras")
    recipe, _ = prepared(photos, tmp_path / "own.keras")
    network = make_network(recipe, ["a", "b"])
    assert network.preprocessing.std == (255, 255, 255)
    assert np.array_equal(weights(network)["stem_convolution/kernel"], weights(base)["stem_convolution/kernel"])


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no model in this folder"),
        (["checkpoint.safetensors"], "a training that has not ended"),
        (["store.sqlite"], "a search: `keras-nasnet search export`"),
        (["params.yaml"], "a detector: `keras-nasnet detect predict"),
        (["saved_model.pb"], "an exported SavedModel"),
        (["best.keras"], "give the file itself, such as .*best.keras"),
    ],
)
def test_a_folder_without_a_model_says_what_it_is(photos, tmp_path, files, words):
    for file in files:
        (tmp_path / file).touch()
    with pytest.raises(ValueError, match=words) as error:
        prepared(photos, tmp_path)
    assert "\n" not in str(error.value)
