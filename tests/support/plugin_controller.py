"""A controller of one's own: "tests.support.plugin_controller:InOrder" in a plan."""

import numpy as np

from keras_nasnet.search import Controller, Proposal


class InOrder(Controller):
    """Proposes the children of a small space in the order of their tokens."""

    batch = 2

    def __init__(self, space, seed=0, step=1):
        self.space, self.next, self.step, self.best = space, seed, step, 0.0

    def ask(self, n):
        numbers = range(self.next, self.next + n * self.step, self.step)
        self.next += n * self.step
        return [Proposal(self.space.check(np.unravel_index(number, self.space.sizes))) for number in numbers]

    def tell(self, observations):
        self.best = max(self.best, *(one.reward for one in observations))
        return {"best_told": self.best}

    def get_state(self):
        return f"{self.next} {self.best}".encode()

    def set_state(self, state):
        following, best = state.split()
        self.next, self.best = int(following), float(best)
