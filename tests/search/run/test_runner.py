"""The runner: who is asked, what is evaluated how, what is told; the faults are in test_faults.py."""

import contextlib
import functools
import json
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.search.controller.registry import make_controller
from keras_nasnet.search.executors.registry import make_executor
from keras_nasnet.search.run.plan import Arm, Plan
from keras_nasnet.search.run.runner import Runner
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.database import Database
from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.trial import Fidelity, Observation
from keras_nasnet.search.view.status import status
from tests.support.small_search import CASCADE, TINY_SPACE, Inline, history, make_plan, search


def stored(folder, **which):
    with Store.open(folder / FILE, readonly=True) as store:
        return store.trials(**which)


def no_executor(job):
    raise AssertionError("no executor is needed")


# === Asking and telling ===


def test_the_arms_take_turns_with_equal_budgets(tmp_path):
    search(tmp_path, make_plan(budget=5))
    trials = stored(tmp_path)
    assert [trial.arm for trial in trials] == ["evolution", "random"] * 5
    assert {(trial.stage, trial.state, trial.fidelity) for trial in trials} == {("search", "done", Fidelity(1))}
    assert [trial.seed for trial in trials] == [make_plan().trial_seed(number) for number in range(1, 11)]
    assert len({trial.seed for trial in trials}) == 10


def test_unequal_budgets_end_together(tmp_path):
    arms = (Arm("evolution", 6, {"population": 3, "sample_size": 1}), Arm("random", 2))
    search(tmp_path, make_plan(arms=arms))
    assert Counter(trial.arm for trial in stored(tmp_path)) == {"evolution": 6, "random": 2}
    assert "random" in [trial.arm for trial in stored(tmp_path)][4:]


def test_a_controller_is_told_what_its_children_were_worth_and_nothing_else(tmp_path):
    """The same controller by hand proposes the same children."""
    search(tmp_path, make_plan(budget=20))
    trials = stored(tmp_path, arm="evolution")
    controller = make_controller("evolution", get_space("nasbench201"), 0, population=6, sample_size=3)
    for trial in trials:
        (proposal,) = controller.ask(1)
        assert proposal.tokens == trial.tokens
        controller.tell([Observation(trial.tokens, None, trial.reward)])
    with Store.open(tmp_path / FILE, readonly=True) as store:
        assert store.controller_state("evolution") == controller.get_state()
        assert [row["trials"] for row in store.metrics("evolution")] == list(range(1, 21))
        assert "population_reward" in store.metrics("evolution")[-1]


class Batches:
    """A controller that wants several rewards at once; a real one, with another `batch`."""

    def __init__(self, name, space, seed, strategy, **options):
        self._controller = make_controller("random", space, seed)
        self.name, self.batch, self.told = "random", 3, []
        self.ask, self.get_state, self.set_state = (
            self._controller.ask,
            self._controller.get_state,
            self._controller.set_state,
        )

    def tell(self, observations):
        self.told.append(len(observations))
        return {"told": len(observations)}


def test_rewards_are_told_in_batches_and_those_that_fill_none_are_kept(tmp_path):
    plan = make_plan(budget=8, controllers=("random",))
    search(tmp_path, plan, controllers=Batches)
    assert [trial.consumed for trial in stored(tmp_path)] == [True] * 6 + [False] * 2
    with Store.open(tmp_path / FILE, readonly=True) as store:
        assert [row["trials"] for row in store.metrics("random")] == [3, 6]


def test_two_workers_do_the_same_number_of_trials(tmp_path):
    plan = make_plan(budget=5, **CASCADE)
    search(tmp_path, plan, functools.partial(make_executor, "local", workers=2))
    trials = stored(tmp_path)
    assert Counter((trial.arm, trial.stage) for trial in trials if trial.stage != "selection") == {
        (arm, stage): count
        for arm in ("evolution", "random")
        for stage, count in (("proxy", 10), ("search", 5), ("final", 2))
    }
    assert {trial.worker for trial in trials} == {"worker-1", "worker-2"}
    assert all(trial.consumed == (trial.stage == "search") for trial in trials)


def test_an_evaluator_for_one_worker_has_one(tmp_path):
    plan = make_plan("Alone", budget=4, controllers=("random",))
    search(tmp_path, plan, functools.partial(make_executor, "local", workers=2))
    assert [trial.state for trial in stored(tmp_path)] == ["done"] * 4


# === Proxy, selection, final ===


def test_of_each_group_the_best_by_proxy_is_trained(tmp_path):
    search(tmp_path, make_plan(budget=4, proposals=3, controllers=("random",)))
    proxies, trained = stored(tmp_path, stage="proxy"), stored(tmp_path, stage="search")
    assert (len(proxies), len(trained)) == (12, 4)
    assert {trial.fidelity.epochs for trial in proxies} == {0}
    for number, trial in enumerate(trained):
        best = max(proxies[3 * number : 3 * number + 3], key=lambda one: one.reward)
        assert (trial.parent, trial.tokens, trial.key) == (best.id, best.tokens, best.key)


def test_the_best_go_on_rung_by_rung_with_the_weights_of_the_rung_below(tmp_path):
    rungs = (Fidelity(3, warm_start=True), Fidelity(9, warm_start=True))
    search(tmp_path, make_plan("Learns", budget=27, controllers=("random",), rungs=rungs, eta=3))
    found = {trial.id: trial for trial in stored(tmp_path)}
    selected = [trial for trial in found.values() if trial.stage == "selection"]
    by_epochs = Counter(trial.fidelity.epochs for trial in selected)
    assert by_epochs[3] >= 9 and by_epochs[9] >= 3, "ASHA promotes early, so some more than a third"
    for trial in selected:
        parent = found[trial.parent]
        assert (parent.tokens, parent.fidelity.epochs) == (trial.tokens, trial.fidelity.epochs // 3)
        assert trial.fidelity.warm_start
        folder = tmp_path / "trials"
        weights = (folder / str(trial.id) / "parent.safetensors").read_text()
        assert weights == (folder / str(parent.id) / "child.safetensors").read_text()
    best = sorted((trial for trial in found.values() if trial.stage == "search"), key=lambda one: -one.reward)[:9]
    assert {trial.id for trial in best} <= {trial.parent for trial in selected}
    assert not any(trial.consumed for trial in selected)


def test_the_best_distinct_children_of_each_arm_are_evaluated_in_full(tmp_path):
    outcome = search(tmp_path, make_plan("Learns", budget=20, finalists=3, rungs=(Fidelity(3),)))
    for arm in ("evolution", "random"):
        finals = stored(tmp_path, arm=arm, stage="final")
        assert len({trial.key for trial in finals}) == 3
        assert {trial.fidelity.epochs for trial in finals} == {20}
        selected = stored(tmp_path, arm=arm, stage="selection")
        best = max(selected, key=lambda trial: (trial.reward, -trial.id))
        assert finals[0].key == best.key
        assert outcome.best[arm].id == max(finals, key=lambda trial: trial.reward).id
        assert outcome.genotypes[arm] == get_space("nasbench201").genotype(outcome.best[arm].tokens)
    assert all(trial.stage != "final" for trial in stored(tmp_path)[:-6])


def test_evolution_finds_better_children_than_random_where_there_is_something_to_learn(tmp_path):
    search(tmp_path, make_plan("Learns", budget=60))
    with Store.open(tmp_path / FILE, readonly=True) as store:
        arms = status(store)["arms"]
    assert arms["evolution"]["mean"] > arms["random"]["mean"] + 0.1


# === Crashes at every change of the store ===


class Crash(BaseException):
    """A process that is gone: nothing after it is written."""


@contextlib.contextmanager
def crash_after(commits):
    """Lets so many changes of a store happen, and none after them."""
    whole, left = Database.transaction, commits

    @contextlib.contextmanager
    def transaction(self):
        nonlocal left
        if self._depth:
            yield
            return
        if left == 0:
            raise Crash
        with whole(self):
            yield
        left -= 1

    Database.transaction = transaction
    try:
        yield
    finally:
        Database.transaction = whole


@pytest.mark.parametrize(
    ("commits", "options"),
    [
        (3, {"budget": 4, **CASCADE}),
        pytest.param(4, {"budget": 6, **CASCADE}, marks=pytest.mark.slow),
        pytest.param(7, {"budget": 6, **CASCADE}, marks=pytest.mark.slow),
        (3, {"budget": 20, "space": TINY_SPACE, "share": 0.5, "controllers": ("evolution",)}),  # much in quarantine
    ],
)
def test_a_search_that_crashes_after_every_few_changes_ends_as_one_that_does_not(tmp_path, commits, options):
    """3 are the fewest: "resume", the start of a trial and its end."""
    plan = make_plan(**{"fault": "raises", "share": 0.1, **options})
    search(tmp_path / "undisturbed", plan)
    lives = 0
    while True:
        lives += 1
        try:
            with crash_after(commits):
                search(tmp_path / "run", plan)
            break
        except Crash:
            continue
    assert lives > 20
    assert history(tmp_path / "run") == history(tmp_path / "undisturbed")


# === The folder ===


def test_a_finished_search_is_left_alone(tmp_path):
    plan = make_plan(budget=3, finalists=1)
    first = search(tmp_path, plan)
    before = (tmp_path / FILE).read_bytes()
    again = search(tmp_path, plan, no_executor)
    assert (again.best, again.genotypes) == (first.best, first.genotypes)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_folder_of_another_search_is_refused(tmp_path):
    search(tmp_path, make_plan(budget=3))
    with pytest.raises(ValueError, match="is of another search: it differs in arms, seed; choose another folder"):
        search(tmp_path, make_plan(budget=4, seed=1), no_executor)


def test_options_of_a_controller_are_checked_before_workers_start(tmp_path):
    with pytest.raises(ValueError, match="population is 0"):
        search(tmp_path, make_plan(arms=(Arm("evolution", 3, {"population": 0}),)), no_executor)
    with pytest.raises(ValueError, match=r"evaluator is 'tests.support.broken_evaluators:Missing'"):
        search(tmp_path, make_plan("Missing"), no_executor)
    with pytest.raises(ValueError, match="evaluator is 'magic': choose from scratch"):
        search(tmp_path, make_plan(evaluators={"search": {"name": "magic"}}), no_executor)


def test_an_evaluator_that_cannot_be_made_leaves_nothing_of_a_new_search(tmp_path):
    (tmp_path / "mine").touch()
    plan = make_plan("CannotBeMade", budget=3)
    for folder in (tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(
            ValueError, match="the evaluator of stage 'search' cannot be made: ValueError: no such data"
        ):
            search(folder, plan)
        assert [one.name for one in tmp_path.iterdir()] == ["mine"]


def test_one_of_a_later_stage_ends_the_search_and_no_trial(tmp_path):
    evaluators = {**make_plan().evaluators, "final": make_plan("CannotBeMade").evaluators["final"]}
    plan = make_plan(budget=1, controllers=("random",), finalists=1, evaluators=evaluators)
    for _ in range(2):
        with pytest.raises(ValueError, match="the evaluator of stage 'final' cannot be made"):
            search(tmp_path, plan)
        assert [trial.state for trial in stored(tmp_path)] == ["done", "waiting"]


def test_a_search_in_which_everything_fails_ends_early(tmp_path):
    with pytest.raises(ValueError, match="the first 10 trials of stage 'search' all failed: RuntimeError: this child"):
        search(tmp_path, make_plan(budget=20, fault="raises"))
    assert len(stored(tmp_path, state="failed")) == 10


# === Leases ===


class Forgets(Inline):
    """Loses its first task, and reports it when it is too late."""

    lost = None

    def poll(self, seconds):
        reports = super().poll(seconds)
        if self.lost is None and reports:
            self.lost = reports
            return []
        if reports and self.lost:
            reports, self.lost = [*self.lost, *reports], []
        return reports


def test_a_task_of_which_no_word_comes_is_given_up_when_its_lease_ends(tmp_path, monkeypatch):
    clock = iter(range(0, 10**9, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    search(tmp_path, make_plan(budget=2, controllers=("random",), seconds=1), Forgets)
    trials = stored(tmp_path)
    assert [(trial.state, trial.attempt) for trial in trials] == [("done", 1), ("done", 0)]
    with Store.open(tmp_path / FILE, readonly=True) as store:
        message = store.events()[1].message
    assert message == "no word of inline until its lease ran out"


# === Watching ===


def test_one_may_watch(tmp_path):
    seen, said = [], []
    plan = make_plan("Learns", budget=10, finalists=1)
    search(tmp_path, plan, watch=lambda store: seen.append(status(store)), say=said.append)
    assert [sum(one["trials"].values()) for one in seen] == sorted(sum(one["trials"].values()) for one in seen)
    first, last = seen[0], seen[-1]
    assert (first["best"], first["seconds_left"], first["per_minute"]) == (None, None, None)
    assert first["arms"]["random"] == {"budget": 10, "finished": 0, "consumed": 0, "best": None, "mean": None}
    assert last["trials"] == {"waiting": 0, "running": 0, "done": 22, "failed": 0}
    assert last["stages"]["search"] == {"finished": 20, "planned": 20, "hours": 20 * 0.25 / 3600}
    assert last["stages"]["final"] == {"finished": 2, "planned": 2, "hours": 2 * 0.25 / 3600}
    assert last["seconds_left"] == 0
    assert last["per_minute"] > 0
    rewards = [trial.reward for trial in stored(tmp_path, arm="random", stage="search")]
    assert last["arms"]["random"]["best"] == max(rewards)
    assert last["arms"]["random"]["mean"] == pytest.approx(sum(rewards) / 10)
    best = max(stored(tmp_path, stage="search"), key=lambda trial: trial.reward)
    assert last["best"] == {"reward": best.reward, "trial": best.id, "arm": best.arm}
    middle = seen[len(seen) // 2]
    assert middle["seconds_left"] > 0
    assert said == []


def test_faults_are_counted(tmp_path):
    search(tmp_path, make_plan(budget=12, fault="raises", share=0.5))
    with Store.open(tmp_path / FILE, readonly=True) as store:
        found = status(store)
    failed = found["trials"]["failed"]
    assert failed > 0
    assert found["quarantined"] == len({trial.key for trial in stored(tmp_path, state="failed")})
    assert found["faults"] == {"failed": 2 * found["quarantined"] + (failed - found["quarantined"])}


# === Plans ===


@given(
    st.builds(
        make_plan,
        budget=st.integers(1, 99),
        seed=st.integers(0, 2**40),
        seconds=st.floats(0.1, 1e6),
        proposals=st.integers(1, 9),
        rungs=st.lists(st.builds(Fidelity, st.integers(0, 99), warm_start=st.booleans()), max_size=3).map(tuple),
        finalists=st.integers(0, 5),
    )
)
def test_a_plan_goes_through_json_unchanged(plan):
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"arms": ()}, ValueError, "there are no arms"),
        ({"arms": (Arm("magic", 1),)}, ValueError, "controller is 'magic': choose from ppo, reinforce"),
        ({"arms": (Arm("random", 1), Arm("random", 2))}, ValueError, "there are two arms 'random'"),
        ({"arms": (Arm("random", 0),)}, ValueError, "budget of random is 0: it must be from 1 up"),
        ({"space": {"name": "magic"}}, ValueError, "space is 'magic'"),
        ({"fidelities": {}}, ValueError, "fidelities lacks the stage 'search'"),
        ({"evaluators": {}, "rungs": (Fidelity(3),)}, ValueError, "evaluators lacks the stage 'search'"),
        ({"fidelities": {"search": Fidelity(), "last": Fidelity()}}, ValueError, "there is no stage 'last'"),
        ({"rungs": (Fidelity(3),) * 101}, ValueError, "there are 101 rungs: more than 100 is a mistake"),
        ({"arms": tuple(Arm(f"a:b{n}", 1) for n in range(101))}, ValueError, "there are 101 arms: more than 100"),
        ({"proposals": 0}, ValueError, "proposals is 0: it must be from 1 up"),
        ({"eta": 2.5}, TypeError, "eta is 2.5: it must be a whole number"),
        ({"seconds": 0}, ValueError, "seconds is 0: it must be above 0"),
        ({"seconds": "1"}, TypeError, "seconds is '1': it must be a number"),
    ],
)
def test_a_plan_that_cannot_be(change, error, message):
    with pytest.raises(error, match=message):
        make_plan(**change)


def test_plain_data_that_is_no_plan():
    data = make_plan().to_dict()
    with pytest.raises(ValueError, match="a plan has no setting 'budget'"):
        Plan.from_dict({**data, "budget": 3})
    with pytest.raises(ValueError, match="a plan lacks space, arms"):
        Plan.from_dict({name: value for name, value in data.items() if name not in ("space", "arms")})


def test_another_budget_for_all_arms():
    assert [arm.budget for arm in make_plan(budget=3).with_budget(7).arms] == [7, 7]


def test_a_runner_needs_no_folder_before_it_runs(tmp_path):
    Runner(tmp_path / "a" / "b", make_plan(), no_executor)
    assert not list(tmp_path.iterdir())
