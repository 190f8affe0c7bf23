"""Recipes from anywhere: damaged ones are a recipe, or one line that says what is wrong."""

import random

import pytest

from keras_nasnet.training.recipe import RECIPES, Recipe, get_recipe, settings

TEXT = RECIPES["finetune"].to_toml()
VALUES = [
    "nan", "-inf", "1e999", "-1", "0", "9" * 400, "-9223372036854775809", "1e-400", "true", '"text"', '""', '"\\u0000"',
    '"../../etc"', "[]", "[[[]]]", "{}", "{a = 1}", "[1, 2, 3]", "1979-05-27", "07:32:00", "'''\n'''", "[" * 2000,
    "{a=" * 500, '"' + "x" * 10_000 + '"', "[1, 1000000000]", "0x10", "1_000",
]  # fmt: skip


def mutated(rng):
    """Returns the text of a recipe with some lines, values, keys or characters changed."""
    lines = TEXT.splitlines()
    for _ in range(rng.randint(1, 3)):
        kind, number = rng.randrange(6), rng.randrange(len(lines))
        key = lines[number].split(" = ")[0]
        if kind == 0:
            lines[number] = f"{key} = {rng.choice(VALUES)}"
        elif kind == 1:
            lines[number] = f"{rng.choice(settings())} = {rng.choice(VALUES)}"
        elif kind == 2:
            lines.insert(
                number, rng.choice(["[network]", "[network.genotype]", "[[name]]", "a.b.c = 1", "\0", "=", "\ufeff"])
            )
        elif kind == 3:
            del lines[number]
        elif kind == 4:
            place = rng.randrange(len(lines[number]) + 1)
            lines[number] = (
                lines[number][:place] + chr(rng.choice([0, 9, 27, 34, 91, 233, 8238])) + lines[number][place:]
            )
        else:
            lines.append(f"network.{rng.choice(['genotype', 'num_blocks', 'x'])} = {rng.choice(VALUES)}")
        if not lines:
            lines = ["name = 1"]
    return "\n".join(lines)


def test_damaged_recipes_are_recipes_or_one_line(tmp_path):
    rng, path, refused = random.Random(0), tmp_path / "recipe.toml", 0
    for _ in range(500):
        text = mutated(rng)
        path.write_text(text, encoding="utf-8")
        try:
            recipe = get_recipe(path)
        except ValueError as error:
            refused += 1
            assert "\n" not in str(error) and "\x1b" not in str(error) and len(str(error)) < 2000, text
        else:
            assert get_recipe(path) == recipe
            recipe.save(tmp_path / "again.toml")
            assert get_recipe(tmp_path / "again.toml") == recipe
    assert 200 < refused < 500


def test_random_bytes_are_no_recipe(tmp_path):
    rng, path = random.Random(1), tmp_path / "recipe.toml"
    for size in range(1, 300):
        path.write_bytes(rng.randbytes(size))
        with pytest.raises(ValueError, match=r"recipe\.toml"):
            get_recipe(path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a/b",
        "..",
        "../a",
        "/etc",
        "a\\b",
        "C:",
        "a\nb",
        "\x1b[2J",
        ".hidden",
        "a ",
        "x" * 101,
        "\u202ea",
        3,
        None,
    ],
)
def test_a_name_is_that_of_a_folder(name):
    with pytest.raises((ValueError, TypeError), match="name is"):
        Recipe(name)


@pytest.mark.parametrize("name", ["cifar10", "mine, 2nd try", "größer", "x" * 100, "a..b", "v1.0"])
def test_names_that_people_give_are_taken(name):
    assert Recipe(name).name == name


@pytest.mark.parametrize("setting", ["dataset", "variant"])
@pytest.mark.parametrize("value", ["caf\udce9", "a\0b", "x" * 5000])
def test_text_that_no_recipe_can_hold_is_said_before_training(setting, value):
    with pytest.raises(ValueError, match=f"^{setting} "):
        Recipe("mine", **{setting: value})


@pytest.mark.parametrize("value", [10**400, -(10**400), 2**63])
@pytest.mark.parametrize("setting", ["batch", "learning_rate", "seed"])
def test_numbers_of_more_than_64_bits(setting, value):
    with pytest.raises(ValueError, match=f"{setting} is a number of more than 64 bits"):
        Recipe("mine", **{setting: value})
