"""The evaluators that there are, by name. Nothing here imports Keras."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_nasnet.common.registry import Registry
from keras_nasnet.search.evaluators.contract import Evaluator

EVALUATORS: Registry[Callable[..., Evaluator]] = Registry(
    "evaluator",
    {
        "scratch": "keras_nasnet.search.evaluators.scratch:Scratch",
        "shared": "keras_nasnet.search.evaluators.shared:Shared",
        "zero_cost": "keras_nasnet.search.evaluators.zero_cost:ZeroCost",
        "tabular": "keras_nasnet.search.evaluators.tabular:Tabular",
    },
    importable=True,
)
# What their classes say, for who must not import Keras to ask; of others the class is asked.
_MAX_WORKERS = {"scratch": None, "shared": 1, "zero_cost": None, "tabular": None}

_DATA = ("data", "held_out", "batch", "seed", "data_dir", "image_size")
_TRAINING = ("learning_rate", "weight_decay", "clip_norm", "augmentation")
_OPTIONS = {
    "scratch": (*_DATA, *_TRAINING, "strategy", "dtype", "keep_weights"),
    "shared": (*_DATA, *_TRAINING, "schedule", "steps", "eval_batches"),
    "zero_cost": (*_DATA, "score"),
    "tabular": ("path", "dataset"),
}
OWN = tuple(_OPTIONS)  # of this package


def make_evaluator(config: Mapping[str, Any]) -> Evaluator:
    """Return an evaluator from plain data.

    Args:
        config: {"name": one of `EVALUATORS`, or "module:Class" for an `Evaluator` of your own; and its options}.

    Raises:
        ValueError: if there is no such evaluator, or an option is wrong.
        TypeError: if it has no such option.

    Example:
        >>> evaluator = make_evaluator({"name": "zero_cost", "data": "digits", "held_out": 300, "batch": 2})
        >>> child = get_space({"name": "nasnet", "blocks": 1}).genotype((0, 1, 0, 0, 0) * 2)
        >>> result = evaluator.evaluate(child, Fidelity(epochs=0, filters=2, num_blocks=1), seed=0, folder=".")
        >>> result.params
        816
    """
    options = dict(config)
    return EVALUATORS.get(options.pop("name", None))(**options)


def check_evaluator(config: Mapping[str, Any]) -> None:
    """Raise ValueError if `make_evaluator` would know no such evaluator or option; makes none, and imports no Keras."""
    name = config.get("name")
    EVALUATORS.check(name)
    if name not in _OPTIONS:
        return
    known = _OPTIONS[name]
    if unknown := sorted(config.keys() - {"name", *known}):
        raise ValueError(f"the evaluator {name} has no option {unknown[0]!r}: choose from {', '.join(known)}")
    if known[0] not in config:
        raise ValueError(f"the evaluator {name} lacks the option {known[0]!r}")


def max_workers(config: Mapping[str, Any]) -> int | None:
    """Return `Evaluator.max_workers` of what `make_evaluator` would make, without making it or importing Keras.

    Raises:
        ValueError: if there is no such evaluator.
    """
    name = config.get("name")
    EVALUATORS.check(name)
    if name in _MAX_WORKERS:
        return _MAX_WORKERS[name]
    limit: int | None = getattr(EVALUATORS.get(name), "max_workers", None)
    return limit
