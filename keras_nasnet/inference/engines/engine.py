"""What an engine is. Importing this imports no runtime and no Keras."""

import abc
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_nasnet.inference.formats.format import is_installed
from keras_nasnet.models.predictor import Runner

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

PRECISIONS = ("float32", "bfloat16")

Report = Callable[[str], None]  # takes a line for the user


@dataclass(frozen=True)
class Network:
    """A network that an engine shall compute.

    Args:
        name: for people.
        identity: checksum of its weights and its configuration, so also of its input's size.
        load: returns it, which may take seconds.
    """

    name: str
    identity: str
    load: "Callable[[], NASNet]"


class CannotCompute(Exception):
    """An engine cannot compute a network; another one may.

    Args:
        reason: for people, one line.
        is_unexpected: whether users are warned where another engine takes its place.
    """

    def __init__(self, reason: str, is_unexpected: bool):
        super().__init__(reason)
        self.is_unexpected = is_unexpected


class Engine(abc.ABC):
    """Something that computes a network's probabilities.

    Attributes:
        name: as `NASNet.predictor` and `--engine` take it.
        title: for people.
        module: its runtime, as it is imported.
        distribution: by which the runtime's version is known.
        extra: of this package that installs the runtime; None for what is no extra.
        precisions: in which it computes, the default first.
        computes_all: whether it computes every network, so that no other engine need be looked for after it.

    Example:
        >>> ENGINES.get("tensorflow").is_installed
        True
    """

    name: str
    title: str
    module: str
    distribution: str
    extra: str | None = None
    precisions: tuple[str, ...] = ("float32",)
    computes_all: bool = False

    @property
    def is_installed(self) -> bool:
        """Whether the runtime can be imported."""
        return is_installed(self.module)

    @property
    def version(self) -> str:
        """Version of the runtime."""
        return importlib.metadata.version(self.distribution)

    @abc.abstractmethod
    def open(self, network: Network, precision: str, report: Report | None = None) -> Runner:
        """Return what computes a network's probabilities; its metadata have the number of "classes".

        Args:
            network: a classifier.
            precision: one of `precisions`.
            report: takes lines that say what is waited for.

        Raises:
            ValueError: if the network has no classifier.
            CannotCompute: if another engine may do.
        """
