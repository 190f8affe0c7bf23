"""The searches that come with the package, by name, and plans in TOML files."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from keras_nasnet.common.documents import read_toml
from keras_nasnet.common.errors import one_line
from keras_nasnet.search.controller.registry import CONTROL
from keras_nasnet.search.evaluators.data import PAPER_HELD_OUT
from keras_nasnet.search.run.plan import Arm, Plan
from keras_nasnet.search.trial import Fidelity

_NASNET = {"name": "nasnet"}
_CIFARS = ("cifar10", "cifar100")
_CIFAR = {"name": "scratch", "data": "tfds:cifar10", "held_out": PAPER_HELD_OUT}


def _arms(controller: str, budget: int, **options: Any) -> tuple[Arm, ...]:
    """A controller, and random search with the same budget as its control."""
    return Arm(controller, budget, options), Arm(CONTROL, budget)


def _quick() -> Plan:
    """Minutes on two CPU cores, on scikit-learn's digits: smaller batches of children, larger steps of the policy."""
    digits = {"name": "scratch", "data": "digits", "held_out": 297, "augmentation": "none", "batch": 32}
    return Plan(
        "quick",
        _NASNET,
        _arms("ppo", 24, batch=6, learning_rate=0.005),
        evaluators={"search": digits, "final": digits},
        fidelities={
            "search": Fidelity(epochs=2, filters=4, num_blocks=1),
            "final": Fidelity(epochs=12, filters=8, num_blocks=1),
        },
        finalists=2,
        seconds=300.0,
    )


def _nasnet() -> Plan:
    """The paper's: 20,000 children of 20 epochs, the best 250 trained longer (section 4 and appendix A)."""
    return Plan(
        "nasnet",
        _NASNET,
        _arms("ppo", 20_000),
        evaluators={"search": _CIFAR, "final": _CIFAR},
        fidelities={"search": Fidelity(), "final": Fidelity(epochs=300)},
        finalists=250,
    )


def _enas() -> Plan:
    """Shared weights: each child is a path through one net, trained a few steps; the best are trained anew."""
    return Plan(
        "enas",
        _NASNET,
        _arms("ppo", 5_000),
        evaluators={"search": _CIFAR | {"name": "shared", "steps": 20}, "final": _CIFAR},
        fidelities={
            "search": Fidelity(epochs=1, filters=16, num_blocks=2),
            "final": Fidelity(epochs=100, filters=32),
        },
        finalists=5,
    )


def _cascade() -> Plan:
    """Many by proxy, some by successive halving (1, 3, 9 and 20 epochs, warm-started), few in full."""
    return Plan(
        "cascade",
        _NASNET,
        _arms("evolution", 300),
        evaluators={
            "proxy": {"name": "zero_cost", "data": "tfds:cifar10", "held_out": PAPER_HELD_OUT},
            "search": _CIFAR | {"keep_weights": True},
            "selection": _CIFAR | {"keep_weights": True},
            "final": _CIFAR,
        },
        fidelities={
            "proxy": Fidelity(epochs=0, filters=8),
            "search": Fidelity(epochs=1, filters=16),
            "final": Fidelity(epochs=100, filters=32),
        },
        proposals=10,
        rungs=tuple(Fidelity(epochs=epochs, filters=16, warm_start=True) for epochs in (3, 9, 20)),
        finalists=5,
    )


_PRESETS = {"quick": _quick, "nasnet": _nasnet, "enas": _enas, "cascade": _cascade}
PRESETS = tuple(_PRESETS)


def get_plan(name_or_path: str | os.PathLike[str] | Plan) -> Plan:
    """Return a plan by its name in `PRESETS`, or from a TOML file.

    Raises:
        ValueError: if there is no such plan, or the file holds none; says what is wrong.

    Example:
        >>> plan = get_plan("quick")
        >>> [arm.controller for arm in plan.arms]
        ['ppo', 'random']
        >>> plan.fidelities["search"].epochs
        2
    """
    if isinstance(name_or_path, Plan):
        return name_or_path
    text = os.fspath(name_or_path)
    if text in _PRESETS:
        return _PRESETS[text]()
    path = Path(text)
    if path.suffix != ".toml":
        raise ValueError(f"no preset is called {text!r}: choose from {', '.join(PRESETS)}, or give a .toml file")
    data = read_toml(path)
    try:
        return Plan.from_dict(data)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {one_line(error, 500)}") from None


def to_toml(plan: Plan) -> str:
    """Return a plan as the text of a TOML file, which `get_plan` reads.

    Example:
        >>> with open("plan.toml", "w") as file:
        ...     _ = file.write(to_toml(get_plan("quick")))
        >>> get_plan("plan.toml") == get_plan("quick")
        True
    """
    return tomli_w.dumps(plan.to_dict())


def adapt_plan(
    plan: Plan,
    *,
    data: str | None = None,
    data_dir: str | None = None,
    image_size: int | None = None,
    budget: int | None = None,
    controller: str | None = None,
    seed: int | None = None,
) -> Plan:
    """Return a plan with some of it replaced.

    Args:
        plan: what is replaced in.
        data: the images, see `open_search_data`. Of CIFAR's 5,000 are held out, as in the paper; of others what
            is their own validation split, or a fifth.
        data_dir: where tensorflow-datasets keeps its data.
        image_size: side in pixels to which images are cropped and scaled.
        budget: children of each arm.
        controller: replaces the first arm's; its options are dropped. "random" leaves the control alone.
        seed: of everything random.

    Example:
        >>> plan = adapt_plan(get_plan("quick"), budget=10, controller="evolution")
        >>> [(arm.controller, arm.budget) for arm in plan.arms]
        [('evolution', 10), ('random', 10)]
    """
    if budget is not None:
        plan = plan.with_budget(budget)
    if seed is not None:
        plan = replace(plan, seed=seed)
    if controller is not None and controller != plan.arms[0].controller:
        kept = plan.arms[1:] if controller != CONTROL else ()
        plan = replace(plan, arms=(Arm(controller, plan.arms[0].budget), *kept))
    return replace(
        plan,
        evaluators={stage: _with_data(config, data, data_dir, image_size) for stage, config in plan.evaluators.items()},
    )


def _with_data(
    config: Mapping[str, Any], data: str | None, data_dir: str | None, image_size: int | None
) -> dict[str, Any]:
    config = dict(config)
    if "data" not in config:  # such as "tabular"
        return config
    if data is not None and data != config["data"]:
        config |= {"data": data, "held_out": PAPER_HELD_OUT if data.removeprefix("tfds:") in _CIFARS else 0}
    if data_dir is not None:
        config["data_dir"] = data_dir
    if image_size is not None:
        config["image_size"] = image_size
    return config
