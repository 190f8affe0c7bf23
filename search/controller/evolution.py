"""Regularised evolution: the children of good parents, and the oldest die."""

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from keras_nasnet.common import limits
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.json_state import dump, load
from keras_nasnet.search.space.contract import SearchSpace
from keras_nasnet.search.trial import Observation, Proposal, check_whole


class Evolution(Controller):
    """Regularised ("ageing") evolution.

    The first `population` children are random. After them each is a mutation, in one token,
    of the best of `sample_size` drawn with replacement from the population: the `population`
    children of whom it was told last. Good ones die too, of age, so that luck does not last.
    Children may be asked for while rewards of earlier ones are still out.

    Source: Real et al. 2019, "Regularized evolution for image classifier architecture
    search" (AmoebaNet), algorithm 1 and its default sizes.

    Args:
        space: in which it searches.
        seed: of its random numbers, from 0 up.
        population: P, from 1 up.
        sample_size: S, the size of a tournament, from 1 to P.

    Raises:
        ValueError: if a size is out of range.
    """

    name = "evolution"

    def __init__(self, space: SearchSpace, seed: int = 0, population: int = 100, sample_size: int = 25):
        for option, value in (("population", population), ("sample_size", sample_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{option} is {value!r}: it must be a whole number from 1 up")
            if value > limits.CONTROLLER_POPULATION:
                raise ValueError(f"{option} is {value}: more than {limits.CONTROLLER_POPULATION:,} is a mistake")
        if sample_size > population:
            raise ValueError(f"sample_size is {sample_size}: it must be at most the population, {population}")
        self._space = space
        self._rng = np.random.default_rng([seed, 1])
        self._sample_size = sample_size
        self._asked = 0
        self._population: deque[tuple[tuple[int, ...], float]] = deque(maxlen=population)  # tokens, reward
        options = {"population": population, "sample_size": sample_size}
        self._header = {"controller": self.name, "space": space.to_dict(), "options": options}

    def ask(self, n: int) -> list[Proposal]:
        return [Proposal(self._next_child()) for _ in range(n)]

    def _next_child(self) -> tuple[int, ...]:
        size = self._population.maxlen
        assert size is not None
        self._asked += 1
        if self._asked <= size or not self._population:
            return self._space.sample(self._rng)
        drawn = self._rng.integers(len(self._population), size=self._sample_size)
        parent = max((self._population[index] for index in drawn.tolist()), key=lambda member: member[1])
        return self._space.mutate(parent[0], self._rng)

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        """Add children to the population; return its mean reward as "population_reward"."""
        self._population.extend((self._space.check(one.tokens), float(one.reward)) for one in observations)
        if not self._population:
            return {}
        return {"population_reward": sum(reward for _, reward in self._population) / len(self._population)}

    def get_state(self) -> bytes:
        return dump(self._header, self._rng, asked=self._asked, population=list(self._population))

    def set_state(self, state: bytes) -> None:
        values = load(state, self._header, self._rng)
        try:
            asked = values["asked"]
            check_whole("asked", asked, 0, limits.SEARCH_BUDGET**2)
            population = [(self._space.check(tokens), float(reward)) for tokens, reward in values["population"]]
            if not all(math.isfinite(reward) for _, reward in population):
                raise ValueError("a reward is not finite")
        except (KeyError, TypeError, ValueError, OverflowError):
            raise ValueError("the controller's state holds no population") from None
        self._asked = asked
        self._population.clear()
        self._population.extend(population)
