"""Evaluators of one's own, and what is known of all of them without making them."""

from functools import partial

import pytest

from keras_nasnet.search import EVALUATORS, make_evaluator
from keras_nasnet.search.evaluators.registry import _MAX_WORKERS, check_evaluator, max_workers
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.report import write_report
from tests.support.plugin_evaluator import CountsOf
from tests.support.plugins import install, register
from tests.support.small_search import history, make_plan, search

OWN = "tests.support.plugin_evaluator:CountsOf"


def plan(name=OWN):
    return make_plan(budget=4, evaluators={"search": {"name": name, "operation": "skip_connect"}})


class Stopped(Exception):
    pass


def stop(done, store):
    if len(store.trials(state="done")) == done:
        raise Stopped


def test_one_of_ones_own_judges_and_goes_on_after_a_crash(tmp_path):
    search(tmp_path / "whole", plan())
    with pytest.raises(Stopped):
        search(tmp_path / "stopped", plan(), watch=partial(stop, 3))
    search(tmp_path / "stopped", plan())
    assert history(tmp_path / "stopped") == history(tmp_path / "whole")
    with Store.open(tmp_path / "whole" / FILE, readonly=True) as store:
        for trial in store.trials():
            child = (tmp_path / "whole" / "trials" / str(trial.id) / "child.txt").read_text()
            assert trial.reward == child.count("skip_connect") / 6 and trial.extra == {"seed": trial.seed}
    assert write_report(tmp_path / "whole").stat().st_size > 10_000


def test_one_may_be_registered(tmp_path, monkeypatch):
    register(monkeypatch, EVALUATORS, "counts", CountsOf)
    assert search(tmp_path, plan("counts")).best.keys() == {"evolution", "random"}


def test_one_may_be_installed(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, evaluator=f"counts = {OWN}")
    assert make_evaluator({"name": "counts", "operation": "none"}).operation == "none"
    assert max_workers({"name": "counts"}) == 2


def test_how_many_work_at_once_is_what_the_class_says():
    assert {name: EVALUATORS.get(name).max_workers for name in EVALUATORS} == _MAX_WORKERS
    assert {name: max_workers({"name": name}) for name in EVALUATORS} == _MAX_WORKERS
    assert max_workers({"name": OWN}) == 2
    assert max_workers({"name": "fractions:Fraction"}) is None  # says nothing


def test_its_options_are_what_the_class_takes_and_are_checked_without_it():
    from inspect import signature

    from keras_nasnet.search.evaluators.registry import _OPTIONS

    assert {name: set(signature(EVALUATORS.get(name)).parameters) for name in EVALUATORS} == {
        name: set(options) for name, options in _OPTIONS.items()
    }
    check_evaluator({"name": OWN, "colour": "red"})  # the class alone knows
    check_evaluator({"name": "shared", "data": "digits", "steps": 3})
    with pytest.raises(ValueError, match="the evaluator zero_cost has no option 'steps': choose from data, "):
        check_evaluator({"name": "zero_cost", "data": "digits", "steps": 3})
    with pytest.raises(ValueError, match="the evaluator tabular lacks the option 'path'"):
        check_evaluator({"name": "tabular"})


@pytest.mark.parametrize("name", ["magic", None, "magic:", ":Magic", ["scratch"]])
def test_what_there_is_not_is_refused(name):
    for ask in (make_evaluator, max_workers):
        with pytest.raises(ValueError, match=r"evaluator is .*: choose from scratch, shared, .* or give 'module:attri"):
            ask({"name": name})
    with pytest.raises(ValueError, match="evaluator is 'no_such_module:Mine': No module named 'no_such_module'"):
        make_evaluator({"name": "no_such_module:Mine"})


def test_options_that_it_has_not_are_refused():
    with pytest.raises(TypeError, match="colour"):
        make_evaluator({"name": OWN, "colour": "red"})
