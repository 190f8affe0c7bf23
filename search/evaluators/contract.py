"""What an evaluator is."""

import os
from abc import abstractmethod
from typing import Protocol

from keras_nasnet.genotype import Genotype
from keras_nasnet.search.trial import Fidelity, Result


class Evaluator(Protocol):
    """A judge of children.

    One of your own is a class that `make_evaluator` calls with the options of a plan; name it there as
    "module:Class", or install it as an entry point of the group "keras_nasnet.evaluator". Its module must be
    importable in each worker: installed, or on `PYTHONPATH`. It may inherit from this class.

    Attributes:
        max_workers: how many of it may work at once; None, as by default, for any number.

    Example:
        >>> class Smallest(Evaluator):
        ...     def __init__(self, most=6):
        ...         self.most = most
        ...     def evaluate(self, genotype, fidelity, seed, folder):
        ...         return Result(reward=genotype.count("none") / self.most)
        >>> child = get_space("nasbench201").genotype((0, 0, 0, 3, 3, 3))
        >>> Smallest().evaluate(child, Fidelity(epochs=0), seed=0, folder=".").reward
        0.5
    """

    max_workers: int | None = None

    @abstractmethod
    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Judge one child; the same arguments give the same reward on one machine's CPU.

        Args:
            genotype: of the child; an architecture string in the space "nasbench201".
            fidelity: how much to spend.
            seed: of everything random.
            folder: its own, for what it keeps; exists, and may hold what an earlier attempt left.

        Returns:
            A `Result`; one whose `error` is "nan" where the loss was not finite. Other errors are raised.
        """
        ...
