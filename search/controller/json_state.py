"""The state of a controller without weights, as JSON."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_nasnet.common.errors import one_line


def dump(header: Mapping[str, Any], rng: np.random.Generator, **values: Any) -> bytes:
    """Return a state.

    Args:
        header: what has to be the same in the controller that takes the state up: name, space and options.
        rng: whose position is kept.
        **values: further plain data.
    """
    return json.dumps({**header, "rng": rng.bit_generator.state, **values}).encode()


def load(state: bytes, header: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Put `rng` in the position that `dump` kept, and return the values.

    Raises:
        ValueError: if it is no state, or one with another header; `rng` is left as it was.
    """
    try:
        data = json.loads(state)  # its integers may have 128 bits
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the controller's state is not JSON: {one_line(error, 200)}") from None
    if not isinstance(data, dict):
        raise ValueError("the controller's state is no JSON object")
    for name, expected in header.items():
        if data.get(name) != expected:
            raise ValueError(f"the state is of a controller with {name} {repr(data.get(name))[:200]}, not {expected!r}")
    try:
        rng.bit_generator.state = data["rng"]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ValueError("the controller's state holds no position of its random numbers") from None
    return {name: value for name, value in data.items() if name not in {*header, "rng"}}
