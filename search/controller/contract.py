"""What a controller is."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from keras_nasnet.search.trial import Observation, Proposal


class Controller(Protocol):
    """A search algorithm: it proposes children and learns from their rewards.

    One of your own is a class that `make_controller` calls as `Class(space, seed, **options)`; name it in a plan as
    "module:Class", register it in `CONTROLLERS`, or install it as an entry point of the group
    "keras_nasnet.controller". It may inherit from this class, which gives it the attributes below.

    Attributes:
        batch: how many observations it wants in one `tell`, 1 by default.
        uses_strategy: whether the class takes the option `strategy`, a `tf.distribute.Strategy` under which it
            samples and learns (or None). Under a multi-worker strategy all workers then do all that it does, so that
            what it does must follow from its arguments alone. False by default.

    Example:
        >>> class InOrder(Controller):
        ...     def __init__(self, space, seed=0):
        ...         self.space, self.next = space, seed
        ...     def ask(self, n):
        ...         self.next += n
        ...         numbers = range(self.next - n, self.next)
        ...         return [Proposal(self.space.check(np.unravel_index(i, self.space.sizes))) for i in numbers]
        ...     def tell(self, observations):
        ...         return {}
        ...     def get_state(self):
        ...         return str(self.next).encode()
        ...     def set_state(self, state):
        ...         self.next = int(state)
        >>> controller = InOrder(get_space("nasbench201"))
        >>> [child.tokens for child in controller.ask(2)]
        [(0, 0, 0, 0, 0, 0), (0, 0, 0, 0, 0, 1)]
        >>> controller.get_state()
        b'2'
    """

    batch: int = 1
    uses_strategy: bool = False

    @abstractmethod
    def ask(self, n: int) -> list[Proposal]:
        """Return n children to try. Asking for 2 and then 3 gives the same five as asking for 5."""
        ...

    @abstractmethod
    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        """Learn from rewards, each of which is told once; return numbers to plot, such as "entropy"."""
        ...

    @abstractmethod
    def get_state(self) -> bytes:
        """Return all that decides what comes next: weights, optimizer, baseline, population, random numbers."""
        ...

    @abstractmethod
    def set_state(self, state: bytes) -> None:
        """Go on from what `get_state` returned.

        Raises:
            ValueError: if it is no state of this controller in this space.
        """
        ...
