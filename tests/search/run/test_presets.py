"""The plans that come with the package, and plans in files."""

import tomllib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.presets import PRESETS, adapt_plan, get_plan, to_toml
from keras_nasnet.search.trial import Fidelity
from tests.support.small_search import make_plan


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_random_search_as_control_and_goes_through_toml(name, tmp_path):
    plan = get_plan(name)
    first, control = plan.arms
    assert plan.name == name
    assert control.controller == "random" and control.budget == first.budget
    path = tmp_path / "plan.toml"
    path.write_text(to_toml(plan))
    assert get_plan(path) == plan
    assert get_plan(plan) is plan


def test_the_papers_search_has_its_numbers():
    plan = get_plan("nasnet")
    assert plan.arms[0].budget == 20_000 and plan.finalists == 250
    assert plan.fidelities["search"] == Fidelity(epochs=20, filters=32, num_blocks=2)
    assert plan.evaluators["search"]["held_out"] == 5000
    assert "test" not in to_toml(plan)


@given(st.integers(1, 10**6), st.integers(0, 2**31), st.floats(1, 1e6), st.sampled_from(["random", "evolution"]))
def test_a_plan_goes_through_toml_unchanged(budget, seed, seconds, controller):
    plan = make_plan(budget=budget, seed=seed, seconds=seconds, controllers=(controller,))
    assert Plan.from_dict(tomllib.loads(to_toml(plan))) == plan


def test_what_is_given_replaces_the_plans():
    plan = adapt_plan(get_plan("quick"), budget=3, seed=5, controller="evolution")
    assert [(arm.controller, arm.budget, dict(arm.options)) for arm in plan.arms] == [
        ("evolution", 3, {}),
        ("random", 3, {}),
    ]
    assert plan.seed == 5
    assert [arm.controller for arm in adapt_plan(plan, controller="random").arms] == ["random"]
    same = adapt_plan(get_plan("quick"), controller="ppo", data="digits")
    assert same == get_plan("quick")


@pytest.mark.parametrize(("data", "held_out"), [("tfds:cifar10", 5000), ("cifar100", 5000), ("photos", 0)])
def test_other_images_have_other_ones_held_out(data, held_out):
    plan = adapt_plan(get_plan("quick"), data=data, data_dir="here")
    assert all(
        (one["data"], one["held_out"], one["data_dir"]) == (data, held_out, "here") for one in plan.evaluators.values()
    )


def test_a_tables_evaluator_takes_no_images():
    plan = replace(
        get_plan("quick"), evaluators={key: {"name": "tabular", "table": "x"} for key in ("search", "final")}
    )
    assert adapt_plan(plan, data="digits").evaluators == plan.evaluators


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=", "plan.toml: "),
        ("[space]\nname = 'nasnet'", r"plan\.toml: a plan lacks name, arms, evaluators, fidelities"),
        (
            "name = 'x'\nspace = {}\narms = []\nevaluators = {}\nfidelities = 3",
            r"plan\.toml: fidelities is 3: it must be a table",
        ),
        ("colour = 1", r"plan\.toml: a plan has no setting 'colour'"),
    ],
)
def test_a_file_that_is_no_plan_is_refused_with_its_name(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        get_plan(path)


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no preset is called 'fast': choose from quick, .* or give a \.toml file"):
        get_plan("fast")
    with pytest.raises(ValueError, match=r"none\.toml: no such file"):
        get_plan(tmp_path / "none.toml")
