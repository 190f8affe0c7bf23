"""`keras-nasnet train`: what it prints, and what it refuses before anything slow begins."""

import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.training.recipe import RECIPES, Recipe


def run(*arguments):
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_printed_as_toml(name):
    result = run(name, "--print")
    assert result.exit_code == 0
    assert Recipe.from_dict(tomllib.loads(result.output)) == RECIPES[name]


def test_settings_are_printed_too():
    result = run("cifar10", "--set", "learning_rate=0.05", "--set", "network.num_blocks=2", "--print")
    recipe = Recipe.from_dict(tomllib.loads(result.output))
    assert recipe.learning_rate == 0.05 and recipe.network == {"num_blocks": 2}


def test_help_names_the_recipes():
    result = run("--help")
    assert all(name in " ".join(result.output.split()) for name in RECIPES)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nosuch"], "no recipe is called 'nosuch'"),
        (["cifar10", "--set", "epochs=0"], "epochs is 0: it must be from 1 up"),
        (["cifar10", "--set", "epochs"], "write name=value"),
        (["nosuch.toml"], "nosuch.toml: no such file"),
        (["cifar10", "--data", "nosuchfolder/"], "nosuchfolder"),
        (["cifar10", "--data", "no_such_dataset"], "no_such_dataset"),
        (["cifar10", "--strategy", "multiworker"], "TF_CONFIG"),
        (["cifar10", "--strategy", "everywhere"], "everywhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, word, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    out = tmp_path / "run"
    result = run(*arguments, "--out", out)
    assert result.exit_code == 2
    assert word in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


def test_a_wrong_recipe_is_said_before_keras_is_imported():
    """Within the time that Python itself and click take."""
    program = (
        "import sys; from click.testing import CliRunner; from keras_nasnet.cli.main import main; "
        "code = CliRunner().invoke(main, ['train', 'nosuch']).exit_code; "
        "print(code, 'keras' in sys.modules, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False", "False"]
