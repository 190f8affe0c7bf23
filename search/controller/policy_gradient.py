"""The paper's controllers: a recurrent policy, trained by its children's rewards with PPO or REINFORCE."""

import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from keras import ops
from safetensors import SafetensorError
from safetensors.numpy import load, save

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.controller.learner import make_learner
from keras_nasnet.search.controller.policy import Policy
from keras_nasnet.search.space.contract import SearchSpace
from keras_nasnet.search.trial import Observation, Proposal, check_whole

INIT_RANGE = 0.1  # weights begin uniform in [-INIT_RANGE, INIT_RANGE)
_HEADER = "header"  # in a state: JSON, as uint8
_NO_STATE = (SafetensorError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)

SomeOptions = TypeVar("SomeOptions", bound="Options")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every controller with a policy.

    Args:
        batch: children of one update.
        learning_rate: of Adam.
        entropy: weight of the policy's entropy, which is added to what is maximised.
        baseline_decay: of the moving average of rewards.
        units: of the LSTM.
        rank: whether rewards count by their rank among all so far; the paper's do not.

    Raises:
        ValueError: if an option is out of range.
    """

    batch: int = 20
    learning_rate: float = 3.5e-4
    entropy: float = 1e-5
    baseline_decay: float = 0.95
    units: int = 100
    rank: bool = False

    def __post_init__(self) -> None:
        _check_count("batch", self.batch, limits.CONTROLLER_BATCH)
        _check_count("units", self.units, limits.CONTROLLER_UNITS)
        _check_number("learning_rate", self.learning_rate, above=0.0)
        _check_number("entropy", self.entropy, least=0.0)
        _check_number("baseline_decay", self.baseline_decay, least=0.0, below=1.0)
        if not isinstance(self.rank, bool):
            raise ValueError(f"rank is {self.rank!r}: it must be true or false")


@dataclass(frozen=True, kw_only=True)
class PPOOptions(Options):
    """Options of PPO.

    Args:
        epochs: steps on each batch.
        clip: how far the ratio of new to old probability counts, around 1.

    Raises:
        ValueError: if an option is out of range.
    """

    epochs: int = 4
    clip: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("epochs", self.epochs, limits.SEARCH_SETTING)
        _check_number("clip", self.clip, above=0.0)


class PolicyGradient(Controller, Generic[SomeOptions]):
    """What controllers with a policy have in common.

    Child number i of a controller is decided by uniform numbers that follow from the seed and i
    alone, and by the policy at the time. Children are drawn in blocks of `batch`, whole ones
    also where fewer are asked for, so that the last digits do not depend on how many are.

    The baseline is an exponential moving average of the batches' mean rewards; it begins at the first.
    With `rank` a reward counts as the share of all rewards so far that are below it (ties half), from
    0 to 1: one outlier then teaches no more than its place, and small differences among good children count.

    Args:
        space: in which it searches.
        seed: of its random numbers, from 0 up.
        strategy: a `tf.distribute.Strategy` within whose `run` it samples and learns.
        **options: see `options_class`.

    Raises:
        ValueError: if an option is out of range, or there is a strategy and the backend is not TensorFlow.
        TypeError: if there is no such option.
    """

    name: str
    options_class: type[SomeOptions]
    uses_strategy = True

    def __init__(self, space: SearchSpace, seed: int = 0, strategy: Any = None, **options: Any):
        self._options = self.options_class(**options)
        self.batch = self._options.batch
        self._space = space
        self._learner = make_learner(
            lambda: Policy(space, self._options.units), self._options.learning_rate, self._loss, strategy
        )
        self._initial = [np.array(ops.convert_to_numpy(variable)) for variable in self._learner.variables]
        self.restart(seed)

    @property
    def _steps(self) -> int:
        """The number of steps on each batch."""
        return 1

    def restart(self, seed: int) -> None:
        """Begin anew, as if just made with this seed; what is compiled stays."""
        self._seed = seed
        self._asked = 0
        self._baseline: float | None = None
        self._rewards: list[float] = []  # all so far, where they are ranked
        self._block: tuple[int, np.ndarray, np.ndarray] | None = None  # its number, tokens, log-probabilities
        rng = np.random.default_rng([seed, 2])
        weights = [
            rng.uniform(-INIT_RANGE, INIT_RANGE, value.shape).astype(np.float32)
            for value in self._initial[: self._learner.weights]
        ]
        self._assign([*weights, *self._initial[self._learner.weights :]])

    def ask(self, n: int) -> list[Proposal]:
        return [self._next_child() for _ in range(n)]

    def _next_child(self) -> Proposal:
        number, place = divmod(self._asked, self.batch)
        self._asked += 1
        if self._block is None or self._block[0] != number:
            children = range(number * self.batch, (number + 1) * self.batch)
            uniforms = [
                np.random.default_rng([self._seed, 3, child]).random(self._space.length, np.float32)
                for child in children
            ]
            self._block = (number, *self._learner.sample(np.stack(uniforms)))
        _, tokens, log_probs = self._block
        return Proposal(tuple(tokens[place].tolist()), float(log_probs[place]))

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        """Learn from rewards.

        Returns:
            "baseline" and mean "reward" of the batch; "entropy" of the policy, in nats a child;
            "loss", and what else the algorithm has to say; all of the last epoch.
        """
        if not observations:
            return {}
        tokens = np.array([self._space.check(one.tokens) for one in observations], np.int32)
        rewards = np.array([one.reward for one in observations], np.float32)
        if any(one.log_prob is None for one in observations):
            raise ValueError("an observation has no log_prob: a policy learns only from children that it drew itself")
        log_probs = np.array([one.log_prob for one in observations], np.float32)
        numbers: dict[str, float] = {"reward": float(rewards.mean())}
        if self._options.rank:
            rewards = self._ranked(rewards)
        mean = float(rewards.mean())
        baseline = mean if self._baseline is None else self._baseline
        weights = np.full(len(rewards), 1 / len(rewards), np.float32)
        for _ in range(self._steps):
            numbers |= self._learner.update(tokens, log_probs, rewards - np.float32(baseline), weights)
        decay = self._options.baseline_decay
        self._baseline = decay * baseline + (1 - decay) * mean
        self._block = None
        return {**numbers, "baseline": self._baseline}

    def _ranked(self, rewards: np.ndarray) -> np.ndarray:
        self._rewards += rewards.tolist()
        ordered = np.sort(self._rewards)
        below, not_above = (np.searchsorted(ordered, rewards, side) for side in ("left", "right"))
        return ((below + not_above) / (2 * len(ordered))).astype(np.float32)

    def _loss(
        self, policy: Policy, tokens: Any, old_log_probs: Any, advantages: Any, weights: Any
    ) -> tuple[Any, dict[str, Any]]:
        log_probs, entropies = policy(tokens)
        objective, numbers = self._objective(log_probs, old_log_probs, advantages)
        entropy = ops.sum(weights * entropies)
        loss = -ops.sum(weights * objective) - self._options.entropy * entropy
        return loss, {
            "loss": loss,
            "entropy": entropy,
            **{name: ops.sum(weights * values) for name, values in numbers.items()},
        }

    @abstractmethod
    def _objective(self, log_probs: Any, old_log_probs: Any, advantages: Any) -> tuple[Any, dict[str, Any]]:
        """Return what is to be maximised, and numbers to plot, of each child: (batch,)."""

    def _assign(self, values: Sequence[np.ndarray]) -> None:
        for variable, value in zip(self._learner.variables, values, strict=True):
            variable.assign(value)

    def get_state(self) -> bytes:
        values = {f"{place:02}": np.array(ops.convert_to_numpy(v)) for place, v in enumerate(self._learner.variables)}
        header = self._header() | {"seed": self._seed, "asked": self._asked, "baseline": self._baseline}
        header |= {"rewards": self._rewards}
        return save(values | {_HEADER: np.frombuffer(json.dumps(header).encode(), np.uint8)})

    def _header(self) -> dict[str, Any]:
        return {"controller": self.name, "space": self._space.to_dict(), "options": asdict(self._options)}

    def set_state(self, state: bytes) -> None:
        try:
            values = load(state)
            header = json.loads(values.pop(_HEADER).tobytes())
            position = header["seed"], header["asked"]
            for name, number in zip(("seed", "asked"), position, strict=True):
                check_whole(name, number, 0, 2**63 - 1)
            baseline = None if header["baseline"] is None else float(header["baseline"])
            rewards = [float(reward) for reward in header["rewards"]]
            if not all(map(math.isfinite, (baseline or 0.0, *rewards))):
                raise ValueError("a reward is not finite")
        except _NO_STATE as error:
            raise ValueError(f"this is no state of a controller with a policy: {one_line(error, 200)}") from None
        for name, expected in self._header().items():
            if header.get(name) != expected:
                shown = repr(header.get(name))[:200]
                raise ValueError(f"the state is of a controller with {name} {shown}, not {expected!r}")
        arrays = [values[key] for key in sorted(values)]
        if not all(array.dtype.kind in "fiu" and np.isfinite(array).all() for array in arrays):
            raise ValueError("the controller's state has weights that are no finite numbers")
        if [array.shape for array in arrays] != [tuple(variable.shape) for variable in self._learner.variables]:
            raise ValueError("the controller's state has weights of other shapes")
        self._assign(arrays)
        (self._seed, self._asked), self._baseline, self._rewards, self._block = position, baseline, rewards, None


class PPO(PolicyGradient[PPOOptions]):
    """Proximal policy optimization, the paper's choice: several steps on each batch, whose ratio is clipped.

    Args:
        space: in which it searches.
        seed: of its random numbers, from 0 up.
        strategy: a `tf.distribute.Strategy` within whose `run` it samples and learns.
        **options: those of `Options` and `PPOOptions`.

    Source: arXiv 1707.07012, appendix A, for all numbers but `epochs`, which it does not give; Schulman et al.
    2017, equation 7.
    """

    name = "ppo"
    options_class = PPOOptions

    @property
    def _steps(self) -> int:
        return self._options.epochs

    def _objective(self, log_probs: Any, old_log_probs: Any, advantages: Any) -> tuple[Any, dict[str, Any]]:
        ratio = ops.exp(log_probs - old_log_probs)
        clipped = ops.clip(ratio, 1 - self._options.clip, 1 + self._options.clip)
        objective = ops.minimum(ratio * advantages, clipped * advantages)
        return objective, {"clipped": ops.cast(ratio != clipped, "float32"), "kl": old_log_probs - log_probs}


class Reinforce(PolicyGradient[Options]):
    """REINFORCE: one step up the log-probabilities of children, by how much their rewards are above the baseline.

    Args:
        space: in which it searches.
        seed: of its random numbers, from 0 up.
        strategy: a `tf.distribute.Strategy` within whose `run` it samples and learns.
        **options: those of `Options`.

    Source: Williams 1992; Zoph and Le 2017, section 3.2.
    """

    name = "reinforce"
    options_class = Options

    def _objective(self, log_probs: Any, old_log_probs: Any, advantages: Any) -> tuple[Any, dict[str, Any]]:
        return advantages * log_probs, {}


def _check_count(name: str, value: Any, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}: it must be a whole number from 1 up")
    if value > most:
        raise ValueError(f"{name} is {value}: more than {most:,} is a mistake")


def _check_number(
    name: str, value: Any, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> None:
    """Raise ValueError unless least <= value, above < value < below."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not (least <= value and above < value < below):
        bounds = [f"{least:g} or more"] * (least > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
        bounds += [f"below {below:g}"] * (below < math.inf)
        raise ValueError(f"{name} is {value!r}: it must be {' and '.join(bounds)}")
