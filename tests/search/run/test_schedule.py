"""What follows from the trials of a search, on trials written by hand."""

from keras_nasnet.search.run.schedule import Schedule
from keras_nasnet.search.trial import Error, Fidelity, Trial
from tests.support.small_search import make_plan

RUNGS = (Fidelity(3), Fidelity(9))


class Trials(list):
    """Trials, numbered as they come; one with a parent is of its parent's arm and child."""

    def add(self, reward=None, stage="search", key=None, parent=None, arm="random", error=None):
        number = len(self) + 1
        state = "waiting" if reward is None else "failed" if error else "done"
        error = error and Error(error, "")
        if parent:
            arm, key = self[parent - 1].arm, self[parent - 1].key
        key = key or f"child {number}"
        self.append(
            Trial(number, arm, (number,), key, None, stage, Fidelity(1), 0, parent, state, reward=reward, error=error)
        )
        return self


def schedule(trials, budget=100, controllers=("random",), **options):
    return Schedule(make_plan(budget=budget, controllers=controllers, **options), trials)


def promoted(trials, **options):
    """(parent, rung) of all that go on, one after the other."""
    trials, found = Trials(trials), []
    while promotion := schedule(trials, rungs=RUNGS, **options).promotion():
        found.append((promotion[0].id, promotion[1]))
        trials.add(None, "selection", parent=promotion[0].id)
    return found


def test_one_in_eta_goes_on_the_best_first():
    trials = Trials().add(0.1).add(0.5)
    assert promoted(trials) == []
    assert promoted(trials.add(0.3)) == [(2, 1)]
    assert promoted(trials.add(0.6).add(0.2)) == [(4, 1)]
    assert promoted(trials.add(0.4)) == [(4, 1), (2, 1)]
    assert promoted(trials, eta=2) == [(4, 1), (2, 1), (6, 1)]


def test_the_highest_rung_goes_first():
    trials = Trials()
    for reward in (0.9, 0.8, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.6, 0.1, 0.1):
        trials.add(reward)
    for parent in (1, 2, 3):
        trials.add(0.5 + parent / 10, "selection", parent=parent)
    assert promoted(trials) == [(15, 2), (10, 1)]


def test_isomorphic_children_count_once_and_go_on_once():
    trials = Trials().add(0.9, key="same").add(0.8, key="same").add(0.7, key="same").add(0.2).add(0.1)
    assert promoted(trials) == [(1, 1)]
    assert promoted(trials, eta=2) == [(1, 1)]


def test_a_child_that_failed_never_goes_on():
    trials = Trials().add(0.0, error="nan").add(0.0, error="failed").add(0.0, error="failed")
    assert promoted(trials) == []


def test_each_arm_has_its_own_rungs():
    trials = Trials().add(0.9).add(0.8).add(0.7, arm="evolution").add(0.1, arm="evolution").add(0.6)
    assert promoted(trials, controllers=("evolution", "random"), eta=2) == [(3, 1), (1, 1)]


def test_finalists_are_those_of_the_highest_rung_then_the_best_each_once():
    trials = Trials().add(0.9).add(0.8, key="b").add(0.7, key="b").add(0.6, key="d")
    trials.add(0.3, "selection", parent=2)
    over = schedule(trials, budget=4, rungs=(Fidelity(3),), eta=4, finalists=3)
    assert [trial.id for trial in over.best("random")] == [5, 1, 4]
    over = schedule(trials.add(0.1, "selection", parent=1), budget=4, rungs=(Fidelity(3),), eta=4, finalists=3)
    assert [trial.id for trial in over.finalists()] == [5, 6, 4]
    assert not over.finished
    waiting = schedule(Trials(trials).add(None), budget=5, rungs=(Fidelity(3),), eta=4, finalists=3)
    assert waiting.finalists() == []
    for parent in (5, 6, 4):
        trials.add(0.5, "final", parent=parent)
    over = schedule(trials, budget=4, rungs=(Fidelity(3),), eta=4, finalists=3)
    assert over.finalists() == []
    assert over.finished
    assert over.best_final("random").id == 7


def test_without_a_good_final_the_best_before_it_counts():
    trials = Trials().add(0.2).add(0.4).add(0.0, "final", parent=2, error="worker_lost")
    assert schedule(trials, budget=2, finalists=1).best_final("random").id == 2
    assert schedule([], finalists=1).best_final("random") is None


def test_groups_of_proxies_may_be_judged_in_any_order():
    trials = Trials()
    for reward in (None, 0.2, 0.5, 0.5, 0.0, 0.3):
        trials.add(reward, "proxy")
    both = schedule(trials, proposals=2)
    assert both.chosen_proxy().id == 3, "of equal ones the older"
    trials.add(0.9, "search", parent=3)
    assert schedule(trials, proposals=2).chosen_proxy().id == 6
    trials.add(0.9, "search", parent=6)
    assert schedule(trials, proposals=2).chosen_proxy() is None
    assert schedule(trials, proposals=2, budget=4).next_arm() == "random"
    assert schedule(trials, proposals=2, budget=3).next_arm() is None


def test_quarantine_is_for_children_that_never_ended_well_in_that_stage():
    trials = Trials().add(0.0, key="bad", error="failed").add(0.0, key="unlucky", error="nan")
    trials.add(0.5, key="mixed").add(0.0, key="mixed", error="timeout")
    found = schedule(trials)
    assert found.quarantined(trials[0]) == 1
    assert found.quarantined(trials[1]) is None
    assert found.quarantined(trials[3]) is None
    assert found.quarantined(Trials().add(None, "final", key="bad")[0]) is None


def test_no_decision_depends_on_the_history_of_changes():
    """A schedule that saw every change decides as one that reads the trials afterwards."""
    trials = Trials().add(None).add(None).add(None)
    watched = schedule(trials, rungs=RUNGS, finalists=1, budget=3)
    for number, reward in ((2, 0.4), (1, 0.3), (3, 0.6)):
        done = Trials().add(reward)[0]
        trials[number - 1] = type(done)(**{**vars(done), "id": number, "key": f"child {number}"})
        watched.note(trials[number - 1])
    fresh = schedule(trials, rungs=RUNGS, finalists=1, budget=3)
    assert watched.promotion() == fresh.promotion() == (trials[2], 1)
    assert watched.told_next("random", 3) == fresh.told_next("random", 3) == trials
    assert watched.told_next("random", 4) == []
    assert not watched.waiting and not fresh.waiting
