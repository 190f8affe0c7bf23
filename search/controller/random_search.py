"""Random search: the control that every search is compared with."""

from collections.abc import Sequence

import numpy as np

from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.json_state import dump, load
from keras_nasnet.search.space.contract import SearchSpace
from keras_nasnet.search.trial import Observation, Proposal


class RandomSearch(Controller):
    """Random search, which draws each child uniformly and learns nothing.

    Args:
        space: in which it searches.
        seed: of its random numbers, from 0 up.
    """

    name = "random"

    def __init__(self, space: SearchSpace, seed: int = 0):
        self._space = space
        self._rng = np.random.default_rng([seed, 0])  # evolution's second number is 1: not the same children
        self._header = {"controller": self.name, "space": space.to_dict()}

    def ask(self, n: int) -> list[Proposal]:
        return [Proposal(self._space.sample(self._rng)) for _ in range(n)]

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        return {}

    def get_state(self) -> bytes:
        return dump(self._header, self._rng)

    def set_state(self, state: bytes) -> None:
        load(state, self._header, self._rng)
