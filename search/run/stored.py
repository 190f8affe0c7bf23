"""What a run's store holds, wherever it comes from: its plan, and the trials that have come of it. Imports no Keras."""

from keras_nasnet.common.errors import one_line
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.run.schedule import Contradiction, Schedule
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import Store


def stored_plan(store: Store) -> Plan:
    """Return the plan that a store was begun with. Raises ValueError if it holds none."""
    try:
        return Plan.from_dict(store.config)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{store.path} holds no plan of a search: {one_line(error, 500)}") from None


def stored_schedule(store: Store, plan: Plan) -> Schedule:
    """Return what a plan has come to. Raises ValueError if the store's trials cannot have come of it."""
    trials, space = store.trials(), get_space(plan.space)
    for trial in trials:
        try:
            space.check(trial.tokens)
        except ValueError as error:
            raise ValueError(f"{store.path} is damaged: trial {trial.id}: {one_line(error, 200)}") from None
    try:
        return Schedule(plan, trials)
    except Contradiction as error:
        raise ValueError(f"{store.path} is damaged: {error}") from None
