"""Harm in data: what is changed follows from a generator of random numbers alone."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.support.damage import damaged

# What stands in for a value that was meant. Paths lead to where nothing may be written, names to a module that tells.
HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 1.5, 10**9, 2**63, 10**300, 1e308, float("nan"), float("inf"), "", " ", "32",
    "../../outside/planted", "/dev/zero", "C:\\planted", "a" * 100_000, "\x1b[2J\x1b]0;planted\x07", "a\nb\r\x00",
    "<script>alert(1)</script>", "[x](javascript:alert(1))", "=HYPERLINK(1)", "\u202egnp", "\ud800", "é" * 300,
    "tests.security.canary:planted", "os:system", "__class__", [], {}, [[]], [None], {"": None}, [0] * 5000, [1e308],
    {"class_name": "Lambda", "config": {}}, {"module": "tests.security.canary", "class_name": "planted", "config": {}},
)  # fmt: skip
_DEEP = 3000


def harmed(data: Any, random: np.random.Generator) -> Any:
    """Return a copy of JSON-like data in which one to three values or keys are others than were meant."""
    data = copy.deepcopy(data)
    for _ in range(random.integers(1, 4)):
        places = list(_places(data))
        if not places:
            return _hostile(random)
        parent, key = places[random.integers(len(places))]
        kind = random.integers(8)
        if kind == 0:
            del parent[key]
        elif kind == 1 and isinstance(parent, dict):
            parent[str(random.choice(["unknown", "trainable", "module", "\x1b[2J", "a" * 2000]))] = _hostile(random)
        elif kind == 2 and isinstance(parent, list):
            parent *= int(random.choice([0, 2, 500]))
        elif kind == 3:
            parent[key] = _nested(parent[key], int(random.choice([3, 90, 900])))
        elif kind == 4 and isinstance(parent[key], int | float):
            parent[key] = parent[key] * random.choice([-1, 0, 0.5, 1e6, 1e12])
        else:
            parent[key] = _hostile(random)
    return data


def json_text(data: Any, random: np.random.Generator) -> bytes:
    """Return data as JSON, one time in four damaged as text."""
    try:
        text = json.dumps(data, default=str).encode()
    except RecursionError:
        text = b"[" * _DEEP
    if random.random() < 0.04:
        return b"[" * _DEEP * 100
    if random.random() < 0.04:
        return b'{"a":' * _DEEP + b"1" * 5000
    return damaged(text, random) if random.random() < 0.25 else text


def _hostile(random: np.random.Generator) -> Any:
    return copy.deepcopy(HOSTILE[random.integers(len(HOSTILE))])


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each container within the data with each of its keys; not deeper than a program can walk."""
    waiting = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > 30 or not isinstance(value, dict | list):
            continue
        for key in list(value) if isinstance(value, dict) else range(min(len(value), 100)):
            yield value, key
            waiting.append((value[key], depth + 1))
