"""The controllers that there are, by name. Nothing here imports Keras."""

from collections.abc import Callable
from typing import Any

from keras_nasnet.common.registry import Registry
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.space.contract import SearchSpace

CONTROLLERS: Registry[Callable[..., Controller]] = Registry(
    "controller",
    {
        "ppo": "keras_nasnet.search.controller.policy_gradient:PPO",
        "reinforce": "keras_nasnet.search.controller.policy_gradient:Reinforce",
        "evolution": "keras_nasnet.search.controller.evolution:Evolution",
        "random": "keras_nasnet.search.controller.random_search:RandomSearch",
    },
    importable=True,
)
CONTROL = "random"  # with which every other controller is compared


def make_controller(name: str, space: SearchSpace, seed: int = 0, strategy: Any = None, **options: Any) -> Controller:
    """Return a new controller.

    Args:
        name: one of `CONTROLLERS`, or "module:Class" for a `Controller` of your own.
        space: in which it searches.
        seed: of everything random in it, from 0 up.
        strategy: a `tf.distribute.Strategy` under which a policy samples and learns; controllers without a policy
            take no notice of it.
        **options: of the controller, such as `population` of "evolution".

    Raises:
        ValueError: if there is no such controller, or an option is wrong.
        TypeError: if it has no such option.

    Example:
        >>> controller = make_controller("evolution", get_space("nasbench201"), population=10, sample_size=3)
        >>> child, = controller.ask(1)
        >>> len(child.tokens)
        6
        >>> controller.tell([Observation(child.tokens, child.log_prob, 0.9)])
        {'population_reward': 0.9}
    """
    if uses_strategy(name):
        options["strategy"] = strategy
    return CONTROLLERS.get(name)(space, seed, **options)


def uses_strategy(name: str) -> bool:
    """Return `Controller.uses_strategy` of the controller of a name. Raises ValueError if there is none."""
    return bool(getattr(CONTROLLERS.get(name), "uses_strategy", False))
