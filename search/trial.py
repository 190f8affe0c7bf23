"""The data of a search: fidelity, proposal, observation, result and trial.

Nothing here imports Keras: the store, the report and the command line read trials without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.escape import shown

# What can go wrong with a child. The first two are the child's own; the rest may be the machine's.
ERROR_KINDS = ("nan", "failed", "out_of_memory", "timeout", "worker_lost")
STATES = ("waiting", "running", "done", "failed")
STAGES = ("proxy", "search", "selection", "final")

FLOOR_REWARD = 0.0  # of a child that failed: no accuracy is lower


def check_whole(name: str, value: Any, low: int, high: int) -> None:
    """Raise TypeError unless a value is a whole number, and ValueError unless it is within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {shown(value)}: it must be a whole number")
    if value < low:
        raise ValueError(f"{name} is {shown(value)}: it must be from {low} up")
    if value > high:
        raise ValueError(f"{name} is {shown(value)}: more than {high:,} is a mistake")


def check_text(name: str, value: Any) -> None:
    """Raise TypeError unless a value is a text, and ValueError if it is longer than a name."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {shown(value)}: it must be a text")
    if len(value) > limits.NAME_CHARACTERS:
        raise ValueError(f"{name} has {len(value):,} characters, more than {limits.NAME_CHARACTERS:,}")


def check_settings(what: str, data: Any, known: Sequence[str], needed: Sequence[str] = ()) -> None:
    """Raise TypeError unless plain data are settings by name, and ValueError if one is unknown or lacks.

    Args:
        what: they are of, such as "a fidelity".
        data: from a file.
        known: names that there are; empty for any.
        needed: of these, those that have no default.
    """
    if not isinstance(data, Mapping) or not all(isinstance(name, str) for name in data):
        raise TypeError(f"{what} is {shown(data)}: it must be a table of settings by name")
    if known and (unknown := sorted(data.keys() - set(known))):
        raise ValueError(f"{what} has no setting {shown(unknown[0])}: choose from {', '.join(known)}")
    if missing := [name for name in needed if name not in data]:
        raise ValueError(f"{what} lacks {', '.join(missing)}")


@dataclass(frozen=True)
class Fidelity:
    """How much is spent on judging a child.

    Args:
        epochs: passes over the training images; 0 for what is judged without training.
        images: training images; None for all.
        filters: F of the child's first cells.
        num_blocks: N, the normal cells at each resolution.
        accumulate: parts in which each batch is taken, their gradients added, to save memory.
        warm_start: whether training goes on from the weights of the same child at the rung below.

    Raises:
        ValueError: if a number is out of range.
        TypeError: if something is of the wrong type.

    Example:
        >>> fidelity = Fidelity(epochs=3, images=10_000, filters=8)
        >>> print(fidelity)
        3 epochs, 10,000 images, N = 2, F = 8
        >>> Fidelity.from_dict(fidelity.to_dict()) == fidelity
        True
    """

    epochs: int = 20
    images: int | None = None
    filters: int = 32
    num_blocks: int = 2
    accumulate: int = 1
    warm_start: bool = False

    def __post_init__(self) -> None:
        bounds = {
            "epochs": (0, limits.SEARCH_EPOCHS),
            "images": (1, limits.SEARCH_IMAGES),
            "filters": (2, limits.NETWORK_FILTERS),
            "num_blocks": (1, limits.NETWORK_CELLS),
            "accumulate": (1, limits.SEARCH_SETTING),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is not None or name != "images":
                check_whole(name, value, low, high)
        if not isinstance(self.warm_start, bool):
            raise TypeError(f"warm_start is {self.warm_start!r}: it must be true or false")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON and TOML; what is None is left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Fidelity":
        """Return the fidelity of which `to_dict` made this data. Raises ValueError or TypeError if it is none."""
        check_settings("a fidelity", data, [spec.name for spec in fields(cls)])
        return cls(**data)

    def __str__(self) -> str:
        """Return a text for people: "3 epochs, 10,000 images, N = 2, F = 8, warm-started"."""
        parts = [
            f"{self.epochs} epoch{'' if self.epochs == 1 else 's'}",
            "all images" if self.images is None else f"{self.images:,} images",
            f"N = {self.num_blocks}",
            f"F = {self.filters}",
        ]
        if self.accumulate > 1:
            parts.append(f"batches in {self.accumulate} parts")
        if self.warm_start:
            parts.append("warm-started")
        return ", ".join(parts)


@dataclass(frozen=True)
class Proposal:
    """A child that a controller asks to be tried.

    Args:
        tokens: one value for each decision of the search space.
        log_prob: their log-probability under the policy that drew them; None where there is no policy.

    Example:
        >>> child, = make_controller("random", get_space("nasbench201")).ask(1)
        >>> isinstance(child, Proposal), len(child.tokens), child.log_prob
        (True, 6, None)
    """

    tokens: tuple[int, ...]
    log_prob: float | None = None


@dataclass(frozen=True)
class Observation:
    """What a controller is told of a child.

    Args:
        tokens: that it proposed.
        log_prob: as it was proposed.
        reward: higher is better; accuracies are from 0 to 1.

    Example:
        >>> controller = make_controller("evolution", get_space("nasbench201"))
        >>> child, = controller.ask(1)
        >>> controller.tell([Observation(child.tokens, child.log_prob, reward=0.75)])
        {'population_reward': 0.75}
    """

    tokens: tuple[int, ...]
    log_prob: float | None
    reward: float


@dataclass(frozen=True)
class Error:
    """Why a child has no reward of its own.

    Args:
        kind: "nan" (a loss that is not finite), "failed", "out_of_memory", "timeout" or "worker_lost".
        message: a line for people.

    Example:
        >>> Result(None, error=Error("nan", "the loss is inf")).error.kind
        'nan'
    """

    kind: str
    message: str


@dataclass(frozen=True)
class Result:
    """What an evaluator says of a child.

    Args:
        reward: higher is better; accuracies are 0 to 1. None where there is an error.
        params: trainable weights of the child that was evaluated; None if it was not built.
        mult_adds: for one image.
        seconds: that the evaluation took.
        device: on which it ran.
        error: None where all went well.
        extra: further numbers by name, such as a proxy's parts.

    Example:
        >>> Result(reward=0.9, params=1_000, extra={"loss": 0.3}).error is None
        True
    """

    reward: float | None
    params: int | None = None
    mult_adds: int | None = None
    seconds: float = 0.0
    device: str = ""
    error: Error | None = None
    extra: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """One evaluation of one child: a row of the store.

    Args:
        id: from 1 up, in the order in which trials were asked for.
        arm: name of the controller that proposed it.
        tokens: of the child.
        key: equal for isomorphic children.
        log_prob: when it was proposed; None where there is no policy.
        stage: one of `STAGES`.
        fidelity: how much was, or is to be, spent on it.
        seed: of everything random in its evaluation.
        parent: id of the trial from which it was promoted.
        state: one of `STATES`; "done" and "failed" are final, and a failed one has `FLOOR_REWARD`.
        attempt: how often it was tried before.
        worker: that ran it, or runs it.
        lease_until: UNIX time at which a running one is given up.
        reward: None until it is final.
        params, mult_adds, seconds, device, extra: see `Result`.
        error: of the last attempt that went wrong; a trial that is done may have one.
        consumed: whether its controller was told.
        asked_at, finished_at: UNIX times.

    Example:
        >>> trial = Trial(1, "random", (0, 0, 0, 3, 3, 3), "key", None, "search", Fidelity(epochs=1), seed=0)
        >>> trial.state, trial.reward
        ('waiting', None)
    """

    id: int
    arm: str
    tokens: tuple[int, ...]
    key: str
    log_prob: float | None
    stage: str
    fidelity: Fidelity
    seed: int
    parent: int | None = None
    state: str = "waiting"
    attempt: int = 0
    worker: str | None = None
    lease_until: float | None = None
    reward: float | None = None
    params: int | None = None
    mult_adds: int | None = None
    seconds: float = 0.0
    device: str = ""
    error: Error | None = None
    extra: dict[str, float] = field(default_factory=dict)
    consumed: bool = False
    asked_at: float = 0.0
    finished_at: float | None = None
