"""Models as Keras saves them, a configuration and weights, from anywhere: nothing but a NASNet is built of them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable, shown
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.models import arguments
from keras_nasnet.zoo.formats import wrapped

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

CONFIG, WEIGHTS = "config.json", "model.weights.h5"  # as Keras calls them
_PER_WEIGHT = 32  # bytes at the most: a float64 with three variables of an optimizer
_OVERHEAD = 2**26  # bytes of a file's own structure, at the most

# Returns the path of the weights, which are refused if they are larger than a number of bytes.
Fetch = Callable[[int], contextlib.AbstractContextManager[Path]]


def check(data: Any, name: str) -> None:
    """Check what can be checked without Keras.

    Args:
        data: content of a model's config.json.
        name: of the model, for messages.

    Raises:
        ValueError: if it is no NASNet, nor a model around one that is understood.
    """
    _network(data, name)


def preprocessing(data: Any, name: str) -> Preprocessing:
    """Return how images become the network's input, but for scaling by layers in front; needs no Keras.

    Raises:
        ValueError: as `check` does.
    """
    found, config = _network(data, name)
    try:
        given = config.get("preprocessing")
        own = Preprocessing(None, None) if given is None else Preprocessing.from_dict(given)
        if found is None:
            return own
        height, width = found.image_size
        return Preprocessing.from_dict(own.to_dict() | {"height": height, "width": width})
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{name}: its preprocessing is none ({one_line(error, 200)})") from None


def describe(data: Any, name: str) -> dict[str, Any]:
    """Return what a saved model says of itself, as plain data; needs no Keras.

    Raises:
        ValueError: as `check` does.
    """
    found, config = _network(data, name)
    shown_of = {key: value for key, value in config.items() if key not in ("genotype", "class_names", "preprocessing")}
    return {
        "holds": wrapped.name_of(data).removeprefix(wrapped.OWN),
        "class_names": config.get("class_names") if found is None else None,
        "preprocessing": preprocessing(data, name).to_dict(),
        "network": shown_of,
    }


def load(data: Any, name: str, size: int, fetch: Fetch) -> "NASNet":
    """Return the network that was saved.

    Args:
        data: content of config.json.
        name: of the model, for messages.
        size: bytes of the weights.
        fetch: returns a context with the path of the weights.

    Raises:
        ValueError: as `check` does, or if the weights are damaged, or not the network's.
    """
    found, config = _network(data, name)
    from keras_nasnet.zoo.formats import keras_weights

    try:
        _check_size(found, config, size)
        with without_random_values():
            model = _build(found, config)
    except Exception as error:  # a config that is none raises anything
        raise ValueError(f"{name}: {CONFIG} is not a NASNet's ({one_line(error, 300)})") from None
    with fetch(_OVERHEAD + _PER_WEIGHT * model.count_params()) as weights:
        try:
            keras_weights.load(weights, model)
        except ValueError as error:  # which names the file, and that may be a temporary one
            raise ValueError(str(error).replace(str(weights), name)) from None
    return model if found is None else convert(model, found, name)


def convert(model: "keras.Model", found: wrapped.Wrapped, name: str) -> "NASNet":
    """Return the NASNet that a model is, see `wrapped.convert`; all that goes wrong is one line."""
    try:
        with without_random_values():
            return wrapped.convert(model, found)
    except Exception as error:  # Keras raises anything
        raise ValueError(f"{name}: {one_line(error, 300)}") from None


def _network(data: Any, name: str) -> tuple[wrapped.Wrapped | None, dict[str, Any]]:
    """Return what is around a network, None for nothing, and the arguments of the network."""
    found = wrapped.name_of(data)
    if not found or not isinstance(data.get("config"), dict):
        raise ValueError(f"{name}: {CONFIG} is not a model's")
    if found == f"{wrapped.OWN}NASNet" and "layers" not in data["config"]:
        _check_name(data["config"], name)
        return None, data["config"]
    if found == f"{wrapped.OWN}FoldedNASNet":
        raise ValueError(f"{name}: is an export, folded for inference: give the model that it was exported from")
    found_around = around(data, name)
    return found_around, found_around.network[0].options


def around(data: Any, name: str) -> wrapped.Wrapped:
    """Return what a model around a network is.

    Raises:
        ValueError: if it is none that is understood.
    """
    try:
        return wrapped.parse(data)
    except RecursionError:
        raise ValueError(f"{name}: {CONFIG} has models too deeply within each other") from None
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        what = wrapped.name_of(data).removeprefix(wrapped.OWN)
        raise ValueError(f"{name}: holds a {printable(what)}, not a NASNet alone: {one_line(error, 400)}") from None


def _check_name(config: dict[str, Any], name: str) -> None:
    given = config.get("name", "")
    if not isinstance(given, str) or len(given) > limits.NAME_CHARACTERS:
        raise ValueError(f"{name}: the model's name is {shown(given)}")


def _check_size(found: wrapped.Wrapped | None, config: dict[str, Any], size: int) -> None:
    """Raise ValueError for a network whose weights a file of this size cannot hold, before they take memory."""
    from keras_nasnet.models.body import Body

    names = ("genotype", "num_blocks", "penultimate_filters", "stem", "stem_filters", "dtype")
    body = Body(**{key: config[key] for key in names if key in config}, data_format="channels_last")
    least = arguments.least_parameters(body.sizes)
    if config.get("auxiliary_head") is True:
        shape = config.get("input_shape") or (None, None, None)
        sides = shape[1:] if config.get("data_format") == "channels_first" else shape[:2]
        least += arguments.auxiliary_parameters([side if isinstance(side, int) else None for side in sides], body.stem)
    spec, width = body.sizes[-1]
    width *= sum(spec.output_multipliers)
    for layer, _ in () if found is None else found.head:
        if layer.kind == "Dense":
            least, width = least + width * layer.options["units"], layer.options["units"]
    if least // 2 > size:  # 4 bits each, at the least
        raise ValueError(f"the network has {least:,} weights or more, the file of its weights {size:,} bytes")


def _build(found: wrapped.Wrapped | None, config: dict[str, Any]) -> "keras.Model":
    from keras_nasnet.models.body import can_compute
    from keras_nasnet.models.classifier import NASNet

    if found is None and config.get("data_format") == "channels_first" and not can_compute("channels_first"):
        # The weights are the same.
        first, *rest = config.get("input_shape") or (3, None, None)
        config = config | {"data_format": "channels_last", "input_shape": [*rest, first]}
    return NASNet.from_config(config) if found is None else wrapped.rebuild(found)
