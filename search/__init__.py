"""Architecture search: spaces, controllers, evaluators, and whole searches. Names are imported when first used."""

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
    from keras_nasnet.search.space.contract import SearchSpace as SearchSpace
    from keras_nasnet.search.space.registry import SPACES as SPACES
    from keras_nasnet.search.space.registry import get_space as get_space
    from keras_nasnet.search.trial import Error as Error
    from keras_nasnet.search.trial import Fidelity as Fidelity
    from keras_nasnet.search.trial import Observation as Observation
    from keras_nasnet.search.trial import Proposal as Proposal
    from keras_nasnet.search.trial import Result as Result
    from keras_nasnet.search.trial import Trial as Trial

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "CONTROLLERS": "controller.registry",
        "Controller": "controller.contract",
        "EVALUATORS": "evaluators.registry",
        "Error": "trial",
        "Evaluator": "evaluators.contract",
        "Fidelity": "trial",
        "Observation": "trial",
        "Proposal": "trial",
        "Result": "trial",
        "SPACES": "space.registry",
        "SearchSpace": "space.contract",
        "Trial": "trial",
        "get_space": "space.registry",
        "make_child": "evaluators.child",
        "make_controller": "controller.registry",
        "make_evaluator": "evaluators.registry",
    },
)
