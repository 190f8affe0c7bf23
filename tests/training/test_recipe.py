"""Recipes: the published numbers, files, settings from the command line, and what is refused."""

import dataclasses
import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.genotype import NASNET_C
from keras_nasnet.training.augmentation import AUGMENTATIONS
from keras_nasnet.training.recipe import DTYPES, RECIPES, SCHEDULES, Recipe, get_recipe, settings

rates = st.floats(0, 0.99)
recipes = st.builds(
    Recipe,
    name=st.text("abcä ß_-.5", min_size=1, max_size=8).map(lambda text: f"a{text}b"),
    network=st.dictionaries(st.sampled_from(["num_blocks", "penultimate_filters"]), st.integers(1, 9)),
    dataset=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8),
    image_size=st.tuples(st.integers(32, 400), st.integers(32, 400)),
    augmentation=st.sampled_from(AUGMENTATIONS.names()),
    schedule=st.sampled_from(SCHEDULES),
    dtype=st.sampled_from(DTYPES),
    batch=st.integers(1, 5000),
    epochs=st.integers(20, 600),
    learning_rate=st.floats(0, 10),
    learning_rate_batch=st.none() | st.integers(1, 99),
    label_smoothing=rates,
    drop_path_rate=rates,
    ema=rates,
    batch_norm_momentum=st.none() | rates,
    head_epochs=st.integers(0, 20),
    freeze_batch_norm=st.booleans(),
)


@given(recipes)
def test_toml_brings_a_recipe_back(recipe):
    assert Recipe.from_dict(tomllib.loads(recipe.to_toml())) == recipe


@given(recipes, st.sampled_from(settings()))
def test_what_is_printed_can_be_set(recipe, name):
    """A setting's printed TOML, given to --set, makes no other recipe."""
    lines = dict(line.split(" = ", 1) for line in recipe.to_toml().splitlines() if " = " in line and line[0] != " ")
    if name in lines and lines[name] != "[":
        assert recipe.with_settings(f"{name}={lines[name]}") == recipe


def test_numbers_are_those_of_the_paper_and_the_released_code():
    cifar = RECIPES["cifar10"]
    assert (cifar.batch, cifar.learning_rate, cifar.epochs, cifar.schedule) == (32, 0.025, 600, "cosine")
    assert (cifar.weight_decay, cifar.clip_norm, cifar.auxiliary_weight) == (5e-4, 5, 0.4)
    assert math.isclose(1 - cifar.drop_path_rate, 0.6) and cifar.dropout == 0 and cifar.label_smoothing == 0
    assert dataclasses.replace(cifar, name="cifar10_cutout", cutout=16) == RECIPES["cifar10_cutout"]
    mobile, large = RECIPES["imagenet_mobile"], RECIPES["imagenet_large"]
    assert (mobile.batch, large.batch) == (32 * 50, 16 * 100)
    assert math.isclose(mobile.scaled_learning_rate, 0.04 * 50) and math.isclose(
        large.scaled_learning_rate, 0.015 * 100
    )
    assert (mobile.weight_decay, large.weight_decay) == (4e-5, 5e-5)
    assert (mobile.drop_path_rate, large.drop_path_rate) == (0, 0.3)
    for recipe in (mobile, large):
        assert (recipe.optimizer, recipe.rmsprop_decay, recipe.rmsprop_epsilon, recipe.ema) == (
            "rmsprop",
            0.9,
            1,
            0.9999,
        )
        assert (recipe.label_smoothing, recipe.auxiliary_weight, recipe.clip_norm, recipe.dropout) == (
            0.1,
            0.4,
            10,
            0.5,
        )
        assert (recipe.schedule, recipe.decay_rate, recipe.decay_epochs) == ("exponential", 0.97, 2.4)


def test_saved_recipe_is_found_again(tmp_path):
    recipe = RECIPES["cifar10"].with_settings("network.num_blocks=2", "epochs=3", "batch_norm_momentum=0.95")
    recipe.save(tmp_path / "mine.toml")
    assert get_recipe(tmp_path / "mine.toml") == recipe
    assert [file.name for file in tmp_path.iterdir()] == ["mine.toml"]


def test_settings_take_toml_and_plain_text():
    recipe = RECIPES["cifar10"].with_settings(
        "learning_rate=1", "dataset=some/folder", "network.num_blocks=[1, 2, 3]", "image_size=64", "class_weights=true"
    )
    assert recipe.learning_rate == 1.0 and isinstance(recipe.learning_rate, float)
    assert recipe.dataset == "some/folder" and recipe.network == {"num_blocks": [1, 2, 3]}
    assert recipe.image_size == (64, 64) and recipe.class_weights is True
    assert recipe.with_settings("batch_norm_momentum=0.9").with_settings("batch_norm_momentum=none") == recipe


@pytest.mark.parametrize(
    ("assignment", "word"),
    [
        ("learning_rate", "write name=value"),
        ("learning_rat=1", "no setting 'learning_rat'"),
        ("learning_rate=-1", "learning_rate is -1.0: it must be from 0 up"),
        ("learning_rate=nan", "learning_rate is nan"),
        ("learning_rate=quick", "learning_rate is 'quick': it must be a number"),
        ("epochs=1.5", "epochs is 1.5: it must be a whole number"),
        ("epochs=true", "epochs is True: it must be a whole number"),
        ("epochs=none", "epochs cannot be none"),
        ("class_weights=1", "class_weights is 1: it must be true or false"),
        ("image_size=7", "from 8 to 4096 pixels"),
        ("image_size=[32]", "height and width"),
        ("schedule=linear", "choose from cosine"),
        ("augmentation=mirror", "choose from none, flip, pad_crop_flip, inception, or give 'module:attribute'"),
        ("label_smoothing=1", "label_smoothing is 1.0"),
        ("head_epochs=700", "at most epochs, 600"),
        ("network=3", "no setting 'network'"),
    ],
)
def test_wrong_settings_are_named(assignment, word):
    with pytest.raises((ValueError, TypeError), match=word.replace("(", r"\(")):
        RECIPES["cifar10"].with_settings(assignment)


def test_a_genotypes_file_becomes_part_of_the_recipe(tmp_path):
    found = tmp_path / "found.json"
    found.write_text(NASNET_C.to_json())
    recipe = RECIPES["cifar10"].with_settings(f"network.genotype={found}")
    found.unlink()
    assert recipe.network["genotype"] == NASNET_C.to_dict()
    recipe.save(tmp_path / "recipe.toml")
    assert get_recipe(tmp_path / "recipe.toml") == recipe
    with pytest.raises(ValueError, match=r"found\.json: no such file"):
        RECIPES["cifar10"].with_settings(f"network.genotype={found}")


def test_body_learning_rate_needs_sgd():
    with pytest.raises(ValueError, match="needs optimizer 'sgd'"):
        RECIPES["imagenet_mobile"].with_settings("body_learning_rate=0.1")


@pytest.mark.parametrize(
    ("text", "word"),
    [("nonsense", "TOML|=|Expected"), ("epochs = 3", "needs a name"), ('name = "x"\nfoo = 1', "no setting 'foo'")],
)
def test_wrong_files_are_named(tmp_path, text, word):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"recipe.toml: .*({word})"):
        get_recipe(path)


def test_unknown_recipe_lists_those_there_are(tmp_path):
    with pytest.raises(ValueError, match="choose from cifar10, cifar10_cutout"):
        get_recipe("cifar100")
    with pytest.raises(ValueError, match="no such file"):
        get_recipe(tmp_path / "none.toml")
