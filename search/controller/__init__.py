"""Controllers: they ask for children and are told rewards; they know nothing of training, storage or machines."""

from collections.abc import Sequence
from typing import Any, Protocol

from keras_nasnet.search.space.cells import SearchSpace
from keras_nasnet.search.trial import Observation, Proposal

CONTROLLERS = ("ppo", "reinforce", "evolution", "random")


class Controller(Protocol):
    """A search algorithm.

    Attributes:
        name: one of `CONTROLLERS`.
        batch: how many observations it wants in one `tell`.
    """

    name: str
    batch: int

    def ask(self, n: int) -> list[Proposal]:
        """Returns n children to try. Asking for 2 and then 3 gives the same five as asking for 5."""
        ...

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        """Learns from rewards, each of which is told once; returns numbers to plot, such as "entropy"."""
        ...

    def get_state(self) -> bytes:
        """Returns all that decides what comes next: weights, optimizer, baseline, population, random numbers."""
        ...

    def set_state(self, state: bytes) -> None:
        """Inverse of `get_state`. Raises ValueError if the state is none of this controller in this space."""
        ...


def make_controller(name: str, space: SearchSpace, seed: int = 0, strategy: Any = None, **options: Any) -> Controller:
    """Returns a new controller.

    Args:
        name: one of `CONTROLLERS`.
        space: in which it searches.
        seed: of everything random in it, from 0 up.
        strategy: a `tf.distribute.Strategy` under which a policy samples and learns; the
            controllers without a policy need none.
        **options: of the controller, such as `population` of evolution.

    Raises:
        ValueError: if there is no such controller, or an option is wrong.
        TypeError: if it has no such option.
    """
    if name == "random":
        from keras_nasnet.search.controller.random_search import RandomSearch

        return RandomSearch(space, seed, **options)
    if name == "evolution":
        from keras_nasnet.search.controller.evolution import Evolution

        return Evolution(space, seed, **options)
    if name in ("ppo", "reinforce"):
        from keras_nasnet.search.controller.policy_gradient import PPO, Reinforce

        return {"ppo": PPO, "reinforce": Reinforce}[name](space, seed, strategy=strategy, **options)
    raise ValueError(f"controller is {name!r}: choose from {', '.join(CONTROLLERS)}")
