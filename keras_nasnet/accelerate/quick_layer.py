"""A layer that is made quicker: a child of a search has hundreds, and may live for less than a second."""

from typing import Any

_PLAIN = (type(None), bool, int, float, str)


class QuickLayer:
    """Mixin, in front of a Keras layer: the same layer, made in less time.

    Keras looks for variables and layers in each of the sixty attributes that a layer sets. Here what
    cannot hold one, and takes the place of none, is just set.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if type(value) in _PLAIN and type(self.__dict__.get(name)) in _PLAIN:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)
