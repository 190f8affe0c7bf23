"""Evaluators: what a child is worth, and what it cost to find out."""

import importlib
import os
from collections.abc import Mapping
from typing import Any, Protocol

from keras_nasnet.genotype import Genotype
from keras_nasnet.search.trial import Fidelity, Result

EVALUATORS = ("scratch", "shared", "zero_cost", "tabular")


class Evaluator(Protocol):
    """Judges children.

    Attributes:
        max_workers: how many of it may work at once; None for any number.
    """

    max_workers: int | None

    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Judges one child; the same arguments give the same reward on one machine's CPU.

        Args:
            genotype: of the child; a NAS-Bench-201 architecture string for "tabular".
            fidelity: how much to spend.
            seed: of everything random.
            folder: its own, for what it keeps; exists, and may hold what an earlier attempt left.

        Returns:
            A `Result`; one whose `error` is "nan" where the loss was not finite. Other errors are raised.
        """
        ...


def make_evaluator(config: Mapping[str, Any]) -> Evaluator:
    """Returns an evaluator from plain data: {"name": one of `EVALUATORS`, and its options}.

    The name may also be "module:Class", of an evaluator of your own: the module must be
    importable in each worker (installed, or on `PYTHONPATH`).

    Raises:
        ValueError: if there is no such evaluator, or an option is wrong.
        TypeError: if it has no such option.
    """
    options = dict(config)
    name = options.pop("name", None)
    if name == "scratch":
        from keras_nasnet.search.evaluators.scratch import Scratch

        return Scratch(**options)
    if name == "shared":
        from keras_nasnet.search.evaluators.shared import Shared

        return Shared(**options)
    if name == "zero_cost":
        from keras_nasnet.search.evaluators.zero_cost import ZeroCost

        return ZeroCost(**options)
    if name == "tabular":
        from keras_nasnet.search.evaluators.tabular import Tabular

        return Tabular(**options)
    return _imported(name)(**options)


def max_workers(config: Mapping[str, Any]) -> int | None:
    """Returns `Evaluator.max_workers` of what `make_evaluator` would make, without making it or importing Keras.

    Raises:
        ValueError: if there is no such evaluator.
    """
    name = config.get("name")
    if name in EVALUATORS:
        return 1 if name == "shared" else None  # children that share weights are trained one after the other
    return _imported(name).max_workers


def _imported(name: Any) -> Any:
    """Returns the class that "module:Class" names."""
    if not isinstance(name, str) or not all(name.partition(":")):
        raise ValueError(f"evaluator is {name!r}: choose from {', '.join(EVALUATORS)}, or give 'module:Class'")
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"evaluator is {name!r}: {error}") from None
