"""Plans that were damaged, or ask for what cannot be: refused in one line before anything is made."""

import contextlib
import os

import numpy as np
import pytest
import tomli_w
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.search.run.presets import PRESETS, get_plan, to_toml
from tests.support.damage import damaged
from tests.support.hostile_stores import changed_data
from tests.support.small_search import make_plan


def refused_or_read(path):
    """Whether a file is a plan; else it is refused in one line."""
    try:
        plan = get_plan(path)
    except (ValueError, TypeError) as error:
        text = str(error)
        assert type(error) in (ValueError, TypeError), repr(error)
        assert text.startswith(str(path)) and "\n" not in text and len(text) < 1000
        return False
    to_toml(plan)
    return True


@pytest.mark.security
def test_two_thousand_changed_plans_are_read_or_refused_in_one_line(tmp_path):
    path, read = tmp_path / "plan.toml", 0
    for number in range(2000):
        rng = np.random.default_rng(number)
        plan = get_plan(PRESETS[number % len(PRESETS)])
        if number % 3:
            with contextlib.suppress(TypeError, RecursionError):  # what TOML cannot hold
                path.write_text(tomli_w.dumps(changed_data(plan.to_dict(), rng)), encoding="utf-8", errors="ignore")
        else:
            path.write_bytes(damaged(to_toml(plan).encode(), rng))
        read += refused_or_read(path)
    assert 200 < read < 1500


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("budget = 3", "budget = 1e300"), "budget of evolution is 1e+300: it must be a whole number"),
        (("budget = 3", "budget = 9000000000000000000"), "budget of evolution is 9000000000000000000: more than"),
        (("budget = 3", f"budget = {'9' * 400}"), "not TOML (an integer of more than 64 bits)"),
        (("budget = 3", "budget = nan"), "budget of evolution is nan: it must be a whole number"),
        (("budget = 3", "budget = true"), "budget of evolution is True: it must be a whole number"),
        (("seconds = 600.0", "seconds = nan"), "seconds is nan: it must be above 0"),
        (("seconds = 600.0", "seconds = inf"), "seconds is inf: more than"),
        (("seconds = 600.0", "seconds = 1e300"), "seconds is 1e+300: more than"),
        (("proposals = 1", "proposals = 1000000000"), "proposals is 1000000000: more than"),
        (("max_retries = 2", "max_retries = 1000000000"), "max_retries is 1000000000: more than"),
        (("finalists = 0", "finalists = 1000000000"), "finalists is 1000000000: more than"),
        (("finalists = 0", "colour = 0"), "a plan has no setting 'colour'"),
        (("epochs = 1\n", "epochs = 1000000000\n"), "epochs is 1000000000: more than"),
        (("num_blocks = 2", "num_blocks = 1000000000"), "num_blocks is 1000000000: more than"),
        (("filters = 32", "filters = 1000000000"), "filters is 1000000000: more than"),
        (("filters = 32", 'filters = "32"'), "filters is '32': it must be a whole number"),
        (("filters = 32", "filter = 32"), "a fidelity has no setting 'filter'"),
        (('name = "small"', f'name = "{"a" * 2000}"'), "name has 2,000 characters"),
        (('name = "small"', "name = 3"), "name is 3: it must be a text"),
        (('name = "nasbench201"', 'name = "nasbench201"\nblocks = 9'), "the space nasbench201 has no option 'blocks'"),
        (('name = "nasbench201"', 'name = "nasnet"\nblocks = 1000000000'), "blocks is 1000000000"),
        (("controller =", "colour = 3, controller ="), "an arm has no setting 'colour'"),
    ],
)
def test_what_a_plan_cannot_ask_for_is_named_and_no_folder_is_made(tmp_path, monkeypatch, change, named):
    monkeypatch.chdir(tmp_path)
    text = to_toml(make_plan(budget=3))
    assert change[0] in text
    (tmp_path / "plan.toml").write_text(text.replace(*change))
    result = CliRunner().invoke(main, ["search", "run", "--preset", "plan.toml"])
    assert result.exit_code == 2, result.output
    assert result.output.startswith("Error: plan.toml: ") and result.output.count("\n") == 1
    assert named in result.output
    assert [one.name for one in tmp_path.iterdir()] == ["plan.toml"]


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "a = " + "[" * 500 + "]" * 500, "a." * 5_000 + "b = 1", "\x00", "é = 1"]
)
def test_a_file_that_is_nested_without_end_is_refused(tmp_path, content):
    (tmp_path / "plan.toml").write_bytes(content.encode("latin-1"))
    assert not refused_or_read(tmp_path / "plan.toml")


def test_a_pipe_in_a_plan_s_place_hangs_nobody(tmp_path):
    os.mkfifo(tmp_path / "plan.toml")
    with pytest.raises(ValueError, match="a pipe or a device, not a file"):
        get_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize(
    "options", [["--workers", "1000000000"], ["--budget", "1000000000000"], ["--seed", str(2**70)]]
)
def test_what_the_command_line_cannot_ask_for_is_refused(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["search", "run", *options])
    assert result.exit_code == 2, result.output
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert not list(tmp_path.iterdir())
