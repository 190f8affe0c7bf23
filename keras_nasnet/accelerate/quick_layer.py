"""Layers that take less time to make: a child of a search has hundreds, and may live for less than a second."""

from typing import Any

_PLAIN = (type(None), bool, int, float, str)


class QuickLayer:
    """Mixin, in front of a Keras layer, that sets plain attributes the quick way.

    Keras searches each of the sixty attributes that a layer sets for variables and layers to track. A number, a
    string, a truth value or None holds none: where it takes the place of nothing else, it is set without the search.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) in _PLAIN and type(self.__dict__.get(name)) in _PLAIN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
