"""What all weight formats share: check a file's tensors against a model's variables, then assign them."""

import math
import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.genotype import NASNET_A, Genotype

if TYPE_CHECKING:
    import keras

Convert = Callable[[str, np.ndarray], np.ndarray]

_LISTED = 5
_BACKGROUND = 1001  # classes, with the background in front of ImageNet's


@dataclass(frozen=True)
class Report:
    """What a conversion did.

    Args:
        loaded: for each variable of the model, by path, the name of its tensor in the source.
        left_out: names of the source's tensors that the model has no use for, sorted.
    """

    loaded: dict[str, str]
    left_out: tuple[str, ...]


class Unreadable(ValueError):
    """A file that is there, but may not be read: nobody knows whether it is damaged."""


def check_file(path: str | os.PathLike[str]) -> None:
    """Raise ValueError unless `path` is a regular file that can be read; `Unreadable` if it only may not be."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):  # a pipe would be waited for
            raise ValueError(f"{path}: not a file")
        with open(path, "rb"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"{path}: no such file") from None
    except OSError as error:
        raise Unreadable(f"{path}: cannot be read ({error.strerror})") from None


def rename(variable: str, patterns: Iterable[tuple[str, str]]) -> str:
    """Return the variable's name by the first of (regular expression, template) that matches all of it.

    Raises:
        ValueError: if none does: the source has no such variable.
    """
    for pattern, template in patterns:
        if match := re.fullmatch(pattern, variable):
            return match.expand(template)
    raise ValueError(f"{variable} has no counterpart in the source: its networks have no such part")


def network_config(model: "keras.Model") -> dict[str, Any]:
    """Return the arguments that a `NASNet` or `NASNetBackbone` was made with.

    Raises:
        ValueError: if the model is neither.
    """
    from keras_nasnet.models.backbone import NASNetBackbone
    from keras_nasnet.models.classifier import NASNet

    if not isinstance(model, NASNet | NASNetBackbone):
        raise ValueError(
            f"{model.name} is a {type(model).__name__}: only a keras_nasnet.NASNet or NASNetBackbone can be filled"
        )
    return model._config  # `get_config` lists layers instead where some stand in front of the network


def check_counterpart(model: "keras.Model", code: str, **others: Any) -> None:
    """Raise ValueError unless other code has this network.

    Args:
        model: a `NASNet` or `NASNetBackbone`.
        code: the other code's name, for messages.
        **others: what the arguments of `NASNet` must be there, beside those of every public NASNet-A.
    """
    config = network_config(model)
    if Genotype.from_dict(config["genotype"]) != NASNET_A:
        raise ValueError(f"{code} has no such network as {model.name}: it has NASNet-A only")
    needed = {"stem": "imagenet", "auxiliary_head": False, "batch_norm_epsilon": 1e-3} | others
    for argument, value in needed.items():
        if argument in config and config[argument] != value:
            raise ValueError(
                f"{code} has no such network as {model.name}: {argument} is {config[argument]!r}, there it is {value!r}"
            )


def variable_paths(model: "keras.Model") -> list[str]:
    """Return the paths of the model's weights."""
    return [variable.path for variable in model.weights]


def weights_of(model: "keras.Model") -> dict[str, np.ndarray]:
    """Return the values of the model's weights by their paths."""
    import keras

    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}


def same_weights(first: "keras.Model", second: "keras.Model") -> bool:
    """Return whether two models have the same weights, to the last bit, by the same paths."""
    one, other = ({path: value.tobytes() for path, value in weights_of(model).items()} for model in (first, second))
    return one == other


def assign(
    path: str | os.PathLike[str],
    model: "keras.Model",
    names: dict[str, str],
    available: Iterable[str],
    shape: Callable[[str], tuple[int, ...]],
    read: Callable[[str], np.ndarray],
    is_known_extra: Callable[[str], bool],
    convert: Convert = lambda variable, tensor: tensor,
) -> Report:
    """Fill a model's variables from a source's tensors.

    A head of 1001 classes fills one of 1000: its first, the background, is dropped.

    Args:
        path: of the source, for messages.
        model: a built model.
        names: for the path of each variable, the name of its tensor.
        available: names of all tensors in the source.
        shape: returns the shape of the tensor of a name, without reading it.
        read: returns the tensor of a name.
        is_known_extra: whether a tensor that no variable takes may be left out.
        convert: returns a tensor in the layout of the variable of this path.

    Raises:
        ValueError: if a tensor is missing, unexpected, of another shape or not finite; the message lists
            the difference, and the model is left as it was.
    """
    available = set(available)
    needed = set(names.values())
    extra = available - needed
    left_out = sorted(name for name in extra if is_known_extra(name))
    differences = [f"missing {name} (for {variable})" for variable, name in names.items() if name not in available]
    differences += [f"unexpected {name}" for name in sorted(extra.difference(left_out))]
    variables = {variable.path: variable for variable in model.weights}
    values = {}
    for variable, name in names.items():
        if name not in available:
            continue
        expected, found = tuple(variables[variable].shape), shape(name)
        if math.prod(found) not in (math.prod(expected), _with_background(variable, expected)):
            differences.append(_other_shape(name, found, variable, expected))  # what is too large is not read
            continue
        tensor = np.asarray(convert(variable, read(name)))
        if math.prod(found) != math.prod(expected):
            tensor = tensor[..., 1:]
        if tensor.shape != expected:
            differences.append(_other_shape(name, tensor.shape, variable, expected))
        elif not _is_number(tensor):
            differences.append(f"{name} holds {tensor.dtype}, not numbers")
        else:
            values[variable] = as_weights(f"{path}: {name}", tensor)
    if len(needed) != len(names):
        raise ValueError(f"{path}: two variables of the model have the same source")
    if differences:
        more = f"; and {len(differences) - _LISTED} more" if len(differences) > _LISTED else ""
        raise ValueError(f"{path} is not for this model: {'; '.join(differences[:_LISTED])}{more}")
    for variable, tensor in values.items():
        variables[variable].assign(tensor)
    return Report(dict(names), tuple(left_out))


def as_weights(what: str, tensor: np.ndarray) -> np.ndarray:
    """Return a tensor as float32.

    Args:
        what: the file and the tensor's name, for messages.
        tensor: of any numbers.

    Raises:
        ValueError: if it holds something else, NaN, infinity, or what float32 cannot hold.

    Example:
        >>> as_weights("net.pth: conv0.weight", np.array([1, np.nan]))
        Traceback (most recent call last):
            ...
        ValueError: net.pth: conv0.weight has values that are not finite (NaN or infinite)...
    """
    if not _is_number(tensor):
        raise ValueError(f"{what} holds {tensor.dtype}, not numbers")
    with np.errstate(over="ignore"):
        values = tensor.astype("float32", copy=False)
    if not np.isfinite(values).all():
        raise ValueError(f"{what} has values that are not finite (NaN or infinite): no network computes with them")
    return values


def _is_number(tensor: np.ndarray) -> bool:
    return tensor.dtype.kind in "fiu" or tensor.dtype.name == "bfloat16"


def check_finite(path: str | os.PathLike[str], model: "keras.Model") -> None:
    """Raise ValueError if a model that was filled from a file has a weight that is not finite; names both."""
    for name, value in weights_of(model).items():
        as_weights(f"{path}: {name}", value)


def _with_background(variable: str, shape: tuple[int, ...]) -> int | None:
    """The size of a head of ImageNet's classes with one more in front, the background, which other code has."""
    is_head = variable.startswith(("predictions/", "auxiliary_predictions/"))
    return math.prod(shape[:-1]) * _BACKGROUND if is_head and shape[-1] == _BACKGROUND - 1 else None


def _other_shape(name: str, found: tuple[int, ...], variable: str, expected: tuple[int, ...]) -> str:
    return f"{name} has the shape {found}, {variable} has {expected}"
