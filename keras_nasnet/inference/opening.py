"""Opens a network's predictor by the fastest engine; without Keras where the network is compiled already."""

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_nasnet.common.escape import printable
from keras_nasnet.inference.engines.engine import CannotCompute, Network, Report
from keras_nasnet.inference.engines.registry import candidates
from keras_nasnet.models.predictor import Predictor

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet


def open_predictor(
    name: str,
    identity: str,
    load: "Callable[[], NASNet]",
    engine: str | None = None,
    precision: str = "float32",
    report: Report | None = None,
) -> Predictor:
    """Return a network's predictor; compiles the network the first time that this machine sees it.

    Args:
        name: of the network, for people.
        identity: checksum of its weights and its configuration, so also of its input's size.
        load: returns the network; it is called only if there is no compiled one.
        engine: name of an engine, see `candidates`; default: the first that is installed.
        precision: in which it computes.
        report: takes a line that says that the network is being compiled, which may take a minute.

    Raises:
        ValueError: as `candidates` and `load` do, or if the network has no classifier, or cannot be compiled
            for an engine that was asked for; of those that were not, the next one is taken.
    """
    network = Network(name, identity, functools.cache(load))
    *others, last = candidates(engine, precision)
    for chosen in others:
        try:
            return Predictor(chosen.open(network, precision, report), chosen.name)
        except CannotCompute as error:
            if error.is_unexpected:
                why = printable(f"{chosen.title} cannot compute {name} ({error}): a slower engine does")
                warnings.warn(why, stacklevel=2)
    try:
        return Predictor(last.open(network, precision, report), last.name)
    except CannotCompute as error:
        raise ValueError(f"{last.title} cannot compute {name}: {error}") from None
