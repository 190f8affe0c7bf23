"""The plan of a search: all that decides it, as plain data."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.search.controller.registry import CONTROLLERS
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import STAGES, Fidelity, check_settings, check_text, check_whole


@dataclass(frozen=True)
class Arm:
    """A controller with a budget of its own.

    Args:
        controller: one of `CONTROLLERS`, or "module:Class" for one of your own.
        budget: children that it may have evaluated in the stage "search".
        options: of the controller.

    Example:
        >>> Arm("evolution", budget=100, options={"population": 20, "sample_size": 5})
        Arm(controller='evolution', budget=100, options={'population': 20, 'sample_size': 5})
    """

    controller: str
    budget: int
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """All that decides a search, as plain data.

    The same plan, with one worker, gives the same children and the same rewards.

    The stages: each arm's children are evaluated in "search", and their rewards told to its
    controller. With `proposals` above 1 each of them is the best of so many in "proxy". With
    `rungs` the best 1 / `eta` go on in "selection", rung by rung (ASHA, Li et al. 2020). The
    `finalists` best of each arm are evaluated in "final". Many by proxy, some by successive
    halving, few in full: a cascade is a plan with all four.

    Args:
        name: how people call it.
        space: what `get_space` takes, as a dict.
        arms: the controllers, each once; "random" with the same budget is the control.
        evaluators: for each stage that there is, what `make_evaluator` takes.
        fidelities: for each stage that there is but "selection".
        proposals: children that are asked for, and judged by proxy, for each that is trained; 1: no proxy.
        rungs: fidelities of "selection", lowest first. With `warm_start` a child goes on from the
            weights `child.safetensors` that its evaluation on the rung below left.
        eta: one in so many goes on to the next rung.
        finalists: distinct children of each arm that are evaluated in "final".
        seed: of everything random, from 0 up.
        seconds: the longest that one evaluation may take; longer is a hang.
        max_retries: how often a child whose worker died is tried again.

    Raises:
        ValueError: if something is missing or out of range.
        TypeError: if something is of the wrong type.

    Example:
        >>> plan = Plan(
        ...     "small",
        ...     space={"name": "nasnet", "blocks": 2},
        ...     arms=(Arm("evolution", 20, {"population": 5, "sample_size": 2}), Arm("random", 20)),
        ...     evaluators=dict.fromkeys(("search", "final"), {"name": "scratch", "data": "digits", "held_out": 297}),
        ...     fidelities={"search": Fidelity(epochs=1, filters=4), "final": Fidelity(epochs=10, filters=8)},
        ...     finalists=2,
        ... )
        >>> plan.stages
        ('search', 'final')
        >>> Plan.from_dict(plan.to_dict()) == plan
        True
    """

    name: str
    space: Mapping[str, Any]
    arms: tuple[Arm, ...]
    evaluators: Mapping[str, Mapping[str, Any]]
    fidelities: Mapping[str, Fidelity]
    proposals: int = 1
    rungs: tuple[Fidelity, ...] = ()
    eta: int = 3
    finalists: int = 0
    seed: int = 0
    seconds: float = 86_400.0
    max_retries: int = 2

    def __post_init__(self) -> None:
        check_text("name", self.name)
        lowest = {"proposals": 1, "eta": 2, "finalists": 0, "max_retries": 0}
        for name, low in lowest.items():
            check_whole(name, getattr(self, name), low, limits.SEARCH_SETTING)
        check_whole("seed", self.seed, 0, 2**63 - 1)
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float):
            raise TypeError(f"seconds is {self.seconds!r}: it must be a number")
        if not self.seconds > 0:
            raise ValueError(f"seconds is {self.seconds}: it must be above 0")
        if self.seconds > limits.SEARCH_SECONDS:
            raise ValueError(f"seconds is {self.seconds}: more than {limits.SEARCH_SECONDS:,} is a mistake")
        for name, parts in {"arms": self.arms, "rungs": self.rungs}.items():
            if len(parts) > limits.SEARCH_PARTS:
                raise ValueError(f"there are {len(parts):,} {name}: more than {limits.SEARCH_PARTS} is a mistake")
        check_settings("space", self.space, ())
        get_space(self.space)
        names = [arm.controller for arm in self.arms]
        if not names:
            raise ValueError("there are no arms: a search needs a controller")
        for arm in self.arms:
            CONTROLLERS.check(arm.controller)
            if names.count(arm.controller) > 1:
                raise ValueError(f"there are two arms {arm.controller!r}: each controller has one")
            check_whole(f"budget of {arm.controller}", arm.budget, 1, limits.SEARCH_BUDGET)
        for stage in {*self.evaluators, *self.fidelities} - set(STAGES):
            raise ValueError(f"there is no stage {stage!r}: choose from {', '.join(STAGES)}")
        for stage in self.stages:
            if stage not in self.evaluators:
                raise ValueError(f"evaluators lacks the stage {stage!r}")
            if stage != "selection" and stage not in self.fidelities:
                raise ValueError(f"fidelities lacks the stage {stage!r}")

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that this search has."""
        there = {"proxy": self.proposals > 1, "search": True, "selection": self.rungs, "final": self.finalists}
        return tuple(stage for stage in STAGES if there[stage])

    def trial_seed(self, trial: int) -> int:
        """Return the seed of a trial's evaluation, below 2^31: it follows from `seed` and the trial's id."""
        return int.from_bytes(hashlib.sha256(f"{self.seed} {trial}".encode()).digest()[:4], "big") >> 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return values | {
            "space": dict(self.space),
            "arms": [asdict(arm) | {"options": dict(arm.options)} for arm in self.arms],
            "evaluators": {stage: dict(config) for stage, config in self.evaluators.items()},
            "fidelities": {stage: fidelity.to_dict() for stage, fidelity in self.fidelities.items()},
            "rungs": [fidelity.to_dict() for fidelity in self.rungs],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Plan":
        """Inverse of `to_dict`. Raises ValueError or TypeError if `data` is no plan."""
        known = [spec.name for spec in fields(cls)]
        check_settings("a plan", data, known, known[:5])
        for name in ("evaluators", "fidelities"):
            check_settings(name, data[name], ())
        for stage, config in data["evaluators"].items():
            check_settings(f"the evaluator of stage {stage!r}", config, ())
        for name in ("arms", "rungs"):
            if not isinstance(data.get(name, ()), list | tuple):
                raise TypeError(f"{name} must be a list of tables")
        return cls(
            **{
                **data,
                "arms": tuple(_arm(arm) for arm in data["arms"]),
                "fidelities": {stage: Fidelity.from_dict(one) for stage, one in data["fidelities"].items()},
                "rungs": tuple(Fidelity.from_dict(one) for one in data.get("rungs", ())),
            }
        )

    def with_budget(self, budget: int) -> "Plan":
        """Return the plan with another budget for each arm."""
        return replace(self, arms=tuple(replace(arm, budget=budget) for arm in self.arms))


def _arm(data: Any) -> Arm:
    check_settings("an arm", data, [spec.name for spec in fields(Arm)], ("controller", "budget"))
    check_settings(f"options of {data['controller']!r}", data.get("options", {}), ())
    return Arm(**data)
