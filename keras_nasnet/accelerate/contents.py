"""What layers contain: other layers, and generators of random seeds."""

from collections.abc import Iterator
from typing import Any

import keras


def all_layers(layer: keras.Layer) -> list[keras.Layer]:
    """Return a layer or model and all layers within it, also within cells and operations."""
    if hasattr(layer, "_flatten_layers"):
        return layer._flatten_layers()
    found: dict[int, keras.Layer] = {}

    def visit(current: keras.Layer) -> None:
        if id(current) not in found:
            found[id(current)] = current
            for inner in _held(current, keras.Layer):
                visit(inner)

    visit(layer)
    return list(found.values())


def children(layer: keras.Layer) -> list[keras.Layer]:
    """Return the layers directly within a layer or model, in the order in which they were made."""
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    if hasattr(layer, "_flatten_layers"):
        return layer._flatten_layers(include_self=False, recursive=False)
    return list({id(found): found for found in _held(layer, keras.Layer)}.values())


def seed_generators(layer: keras.Layer) -> list[keras.random.SeedGenerator]:
    """Return a layer's own generators of random seeds, not those of the layers within it."""
    if hasattr(layer, "_seed_generators"):
        return list(layer._seed_generators)
    return list({id(found): found for found in _held(layer, keras.random.SeedGenerator)}.values())


def _held(layer: keras.Layer, kind: type) -> Iterator[Any]:
    """Yield what a layer's attributes are of a kind, or hold in lists, tuples and dicts."""
    values = list(vars(layer).values())
    while values:
        value = values.pop(0)
        if isinstance(value, kind):
            yield value
        elif isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list | tuple):
            values += value
