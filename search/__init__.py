"""Architecture search: spaces, controllers, evaluators, and whole searches. Names are imported when first used.

What is named first below may import what is named after it, and never the other way round:

- `launch`: a whole search in one call.
- `view`: what a search came to or how far it is: status, progress, scalars, report, export.
- `run`: a search from its plan to its end: plan, presets, schedule, runner.
- `executors`: where children are evaluated.
- `store`: the record of all trials.
- `controller`, `evaluators`: what proposes children, and what judges them.
- `supernet`: the net whose weights children share.
- `space`: children as tokens and as genotypes.
- `trial`: the words that all of these have in common.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.search.controller.contract import Controller as Controller
    from keras_nasnet.search.controller.registry import CONTROLLERS as CONTROLLERS
    from keras_nasnet.search.controller.registry import make_controller as make_controller
    from keras_nasnet.search.evaluators.child import make_child as make_child
    from keras_nasnet.search.evaluators.contract import Evaluator as Evaluator
    from keras_nasnet.search.evaluators.registry import EVALUATORS as EVALUATORS
    from keras_nasnet.search.evaluators.registry import make_evaluator as make_evaluator
    from keras_nasnet.search.executors.contract import Executor as Executor
    from keras_nasnet.search.executors.contract import Job as Job
    from keras_nasnet.search.executors.contract import Report as Report
    from keras_nasnet.search.executors.contract import Task as Task
    from keras_nasnet.search.executors.registry import EXECUTORS as EXECUTORS
    from keras_nasnet.search.executors.registry import make_executor as make_executor
    from keras_nasnet.search.launch import search as search
    from keras_nasnet.search.run.plan import Arm as Arm
    from keras_nasnet.search.run.plan import Plan as Plan
    from keras_nasnet.search.run.presets import PRESETS as PRESETS
    from keras_nasnet.search.run.presets import adapt_plan as adapt_plan
    from keras_nasnet.search.run.presets import get_plan as get_plan
    from keras_nasnet.search.run.presets import to_toml as to_toml
    from keras_nasnet.search.space.contract import SearchSpace as SearchSpace
    from keras_nasnet.search.space.registry import SPACES as SPACES
    from keras_nasnet.search.space.registry import get_space as get_space
    from keras_nasnet.search.store.store import Store as Store
    from keras_nasnet.search.trial import Error as Error
    from keras_nasnet.search.trial import Fidelity as Fidelity
    from keras_nasnet.search.trial import Observation as Observation
    from keras_nasnet.search.trial import Proposal as Proposal
    from keras_nasnet.search.trial import Result as Result
    from keras_nasnet.search.trial import Trial as Trial
    from keras_nasnet.search.view.export import export_best as export_best
    from keras_nasnet.search.view.export import export_trials as export_trials
    from keras_nasnet.search.view.report.page import write_report as write_report
    from keras_nasnet.search.view.status import status as status

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "Arm": "run.plan",
        "CONTROLLERS": "controller.registry",
        "Controller": "controller.contract",
        "EVALUATORS": "evaluators.registry",
        "EXECUTORS": "executors.registry",
        "Error": "trial",
        "Evaluator": "evaluators.contract",
        "Executor": "executors.contract",
        "Fidelity": "trial",
        "Job": "executors.contract",
        "Observation": "trial",
        "PRESETS": "run.presets",
        "Plan": "run.plan",
        "Proposal": "trial",
        "Report": "executors.contract",
        "Result": "trial",
        "SPACES": "space.registry",
        "SearchSpace": "space.contract",
        "Store": "store.store",
        "Task": "executors.contract",
        "Trial": "trial",
        "adapt_plan": "run.presets",
        "export_best": "view.export",
        "export_trials": "view.export",
        "get_plan": "run.presets",
        "get_space": "space.registry",
        "make_child": "evaluators.child",
        "make_controller": "controller.registry",
        "make_evaluator": "evaluators.registry",
        "make_executor": "executors.registry",
        "search": "launch",
        "status": "view.status",
        "to_toml": "run.presets",
        "write_report": "view.report.page",
    },
)
