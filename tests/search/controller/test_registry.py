"""Controllers of one's own: in plans, on the command line, through a crash, and in the report."""

from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.search import CONTROLLERS, Controller, get_space, make_controller
from keras_nasnet.search.controller.registry import uses_strategy
from keras_nasnet.search.run.plan import Arm, Plan
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_best
from keras_nasnet.search.view.report import write_report
from keras_nasnet.search.view.status import status
from tests.support.plugin_controller import InOrder
from tests.support.plugins import install, register
from tests.support.small_search import history, make_plan, search

OWN = "tests.support.plugin_controller:InOrder"
SPACE = get_space("nasbench201")


def plan(name=OWN, budget=7):
    return make_plan(arms=(Arm(name, budget, {"step": 1000}), Arm("random", budget)))


class Stopped(Exception):
    pass


def stop(done, store):
    if len(store.trials(state="done")) == done:
        raise Stopped


def test_one_of_ones_own_searches_and_goes_on_after_a_crash(tmp_path):
    search(tmp_path / "whole", plan())
    for done in (3, 8):
        with pytest.raises(Stopped):
            search(tmp_path / "stopped", plan(), watch=partial(stop, done))
    outcome = search(tmp_path / "stopped", plan())
    assert history(tmp_path / "stopped") == history(tmp_path / "whole")
    assert outcome.best.keys() == {OWN, "random"}
    with Store.open(tmp_path / "whole" / FILE, readonly=True) as store:
        assert Plan.from_dict(store.config) == plan()
        asked = [trial.tokens for trial in store.trials(arm=OWN)]
        assert asked == [tuple(np.unravel_index(1000 * number, SPACE.sizes)) for number in range(7)]
        assert [row["trials"] for row in store.metrics(OWN)] == [2, 4, 6]
        assert store.metrics(OWN)[-1]["best_told"] > 0
        assert status(store)["arms"][OWN]["finished"] == 7
        export_best(store, tmp_path / "best.json")
    assert OWN in write_report(tmp_path / "whole").read_text()


def test_a_stored_search_is_read_without_its_controllers_code():
    missing = "no_such_module:Mine"
    assert Plan.from_dict(plan(missing).to_dict()).arms[0].controller == missing
    with pytest.raises(ValueError, match=f"controller is '{missing}': No module named 'no_such_module'"):
        make_controller(missing, SPACE)


def test_one_may_be_registered(tmp_path, monkeypatch):
    register(monkeypatch, CONTROLLERS, "in_order", InOrder)
    search(tmp_path, plan("in_order", 2))
    with Store.open(tmp_path / FILE, readonly=True) as store:
        assert store.controller_state("in_order").startswith(b"2000 ")


def test_one_may_be_installed(tmp_path, monkeypatch):
    install(monkeypatch, tmp_path, controller=f"in_order = {OWN}")
    assert isinstance(make_controller("in_order", SPACE, step=2), InOrder)
    assert plan("in_order").arms[0].controller == "in_order"
    with pytest.raises(ValueError, match="choose from ppo, reinforce, evolution, random, in_order, or give"):
        plan("magic")


def test_one_is_named_on_the_command_line():
    told = CliRunner().invoke(main, ["search", "run", "--controller", OWN, "--print"])
    assert told.exit_code == 0 and f'controller = "{OWN}"' in told.output
    told = CliRunner().invoke(main, ["search", "run", "--controller", "magic", "--print"])
    assert told.exit_code != 0 and "controller is 'magic': choose from ppo, reinforce" in told.output


def test_controllers_with_a_policy_get_the_strategy_and_others_do_not():
    class Distributed(InOrder):
        uses_strategy = True

        def __init__(self, space, seed, strategy):
            super().__init__(space, seed)
            self.strategy = strategy

    class Plain:
        """Knows nothing of `Controller`."""

        def __init__(self, space, seed):
            self.space = space

    assert [name for name in CONTROLLERS if uses_strategy(name)] == ["ppo", "reinforce"]
    strategy = object()
    with pytest.MonkeyPatch.context() as patch:
        register(patch, CONTROLLERS, "distributed", Distributed)
        register(patch, CONTROLLERS, "plain", Plain)
        assert make_controller("distributed", SPACE, 0, strategy).strategy is strategy
        assert make_controller("plain", SPACE, 0, strategy).space is SPACE


def test_a_controller_that_lacks_something_cannot_be_made():
    class Deaf(Controller):
        def ask(self, n):
            return []

    with pytest.raises(TypeError, match=r"abstract methods.*get_state.*set_state.*tell"):
        Deaf()
