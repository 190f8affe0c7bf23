"""What of a folder's plan is code from elsewhere, and what is remembered of whom it was asked."""

from dataclasses import replace

import pytest

from keras_nasnet.search.run.plan import Arm
from keras_nasnet.search.run.presets import PRESETS, get_plan
from keras_nasnet.search.run.trust import check_trust, foreign_code, links_outside, remember
from tests.support.plugins import install
from tests.support.small_search import make_plan


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))


def with_options(**options):
    quick = get_plan("quick")
    return replace(quick, evaluators={stage: {**config, **options} for stage, config in quick.evaluators.items()})


@pytest.mark.parametrize("name", PRESETS)
def test_the_package_s_own_plans_name_no_code(name, tmp_path):
    assert foreign_code(get_plan(name)) == []
    check_trust(tmp_path, get_plan(name))


@pytest.mark.parametrize(
    ("plan", "found"),
    [
        (replace(get_plan("quick"), arms=(Arm("os:system", 3),)), "controller os:system"),
        (with_options(name="subprocess:run"), "evaluator subprocess:run"),
        (with_options(augmentation="os:system"), "augmentation os:system"),
        (with_options(data="tfds:someone:theirs"), "dataset tfds:someone:theirs"),
        (with_options(data="someone:theirs"), "dataset someone:theirs"),
        (with_options(name="x\x1b[2J"), "evaluator x\\x1b[2J"),
    ],
)
def test_whatever_a_plan_would_import_is_named(plan, found, tmp_path):
    assert foreign_code(plan) == [found]
    with pytest.raises(ValueError, match="would run code or write files that are not its own") as caught:
        check_trust(tmp_path, plan)
    assert found in str(caught.value)


@pytest.mark.parametrize("data", ["digits", "tfds:cifar10", "cifar10/3.0.2", "photos/a:b", "/data/a:b.npz", 3])
def test_data_are_no_code(data):
    assert foreign_code(with_options(data=data)) == []


def test_what_an_installed_package_offers_is_trusted_as_it_is(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, evaluator="counts = tests.support.plugin_evaluator:CountsOf")
    assert foreign_code(with_options(name="counts")) == []


def test_it_is_remembered_for_this_folder_and_this_very_plan_and_not_in_the_folder(tmp_path):
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    plan = make_plan(budget=2)
    with pytest.raises(ValueError, match="--trust"):
        check_trust(run, plan)
    check_trust(run, plan, trust=True)
    check_trust(run, plan)
    (tmp_path / "link").symlink_to(run)
    check_trust(tmp_path / "link", plan)
    for folder, another in ((other, plan), (run, make_plan(budget=3)), (run, make_plan("Quiet", budget=2))):
        with pytest.raises(ValueError, match="--trust"):
            check_trust(folder, another)
    remember(other, plan)
    check_trust(other, plan)
    assert not list(run.iterdir())


def test_where_nothing_can_be_remembered_it_is_asked_again(tmp_path):
    (tmp_path / "home").touch()  # no folder can be made there
    check_trust(tmp_path, make_plan(), trust=True)
    with pytest.raises(ValueError, match="--trust"):
        check_trust(tmp_path, make_plan())


def test_links_that_lead_out_are_found_at_any_depth(tmp_path):
    run = tmp_path / "run"
    (run / "trials" / "1").mkdir(parents=True)
    (run / "trials" / "2").symlink_to("1")
    (run / "absolute").symlink_to(run / "trials")
    assert links_outside(run) == []
    (run / "trials" / "1" / "out").symlink_to("../../../mine")
    (run / "tensorboard").symlink_to("/etc")
    (run / "loop").symlink_to("loop")
    assert sorted(links_outside(run)) == ["link tensorboard to /etc", "link trials/1/out to ../../../mine"]
