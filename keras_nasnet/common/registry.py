"""Registries: named implementations of one thing, the package's own and those of others.

Everything of which people may add one goes through a `Registry`: operations, genotypes, weight formats, engines,
controllers, evaluators and augmentations. A row is a name and "module:attribute", imported when it is first used, so
that a list of names costs nothing and a package may name what stands above it.
"""

import importlib
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Named implementations of one thing.

    A name is looked up among the package's rows, then among what `register` added, then among the entry points of
    installed packages in the group "keras_nasnet.KIND".

    Args:
        kind: what the names stand for, for messages: "controller".
        rows: the package's own: names, each with "module:attribute" or the thing itself.
        importable: whether a name may also be "module:attribute". Only for names that the user gives: whoever can
            choose such a name can run code, so it is False for names that come with a model's file.

    Example:
        >>> shapes = Registry("shape", {"fraction": "fractions:Fraction"}, importable=True)
        >>> shapes.names()
        ['fraction']
        >>> shapes.get("fraction")(1, 2)
        Fraction(1, 2)
        >>> shapes.get("decimal:Decimal")("0.5")
        Decimal('0.5')
        >>> shapes.get("circle")
        Traceback (most recent call last):
        ValueError: shape is 'circle': choose from fraction, or give 'module:attribute'
    """

    def __init__(self, kind: str, rows: Mapping[str, "str | Item"], importable: bool = False):
        self.kind = kind
        self.importable = importable
        self._rows: dict[str, str | Item] = dict(rows)

    def register(self, name: str, item: "str | Item") -> None:
        """Adds a row for this process.

        Other processes (the workers of a search, say) do not see it: for them install an entry point of the group
        "keras_nasnet.KIND", or name "module:attribute" where that is allowed.

        Args:
            name: by which it is asked for.
            item: the thing, or "module:attribute".

        Raises:
            ValueError: if the name is taken.
        """
        if name in self._rows and self._rows[name] != item:
            raise ValueError(f"{self.kind} {name!r} is there already: choose another name")
        self._rows[name] = item

    def names(self) -> list[str]:
        """Returns the names of all rows, the package's own first, in their order."""
        return [*self._rows, *(name for name in self._installed() if name not in self._rows)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._rows or name in self._installed())

    def get(self, name: Any) -> Item:
        """Returns the thing of this name.

        Raises:
            ValueError: if there is none; lists those there are.
        """
        if isinstance(name, str):
            if name in self._rows:
                return self._loaded(name, self._rows[name])
            if name in (installed := self._installed()):
                return self._loaded(name, installed[name])
            if self._is_path(name):
                return self._loaded(name, name)
        raise ValueError(self.unknown(name))

    def check(self, name: Any) -> None:
        """Raises ValueError if `get` would not know where to look for this name. Imports nothing."""
        if name not in self and not self._is_path(name):
            raise ValueError(self.unknown(name))

    def _is_path(self, name: Any) -> bool:
        return self.importable and isinstance(name, str) and re.fullmatch(r"[\w.]+:\w+", name) is not None

    def unknown(self, name: Any) -> str:
        """Returns the message for a name that is not there."""
        hint = ", or give 'module:attribute'" if self.importable else ""
        return f"{self.kind} is {name!r}: choose from {', '.join(self.names())}{hint}"

    def _loaded(self, name: str, row: "str | Item") -> Item:
        if not isinstance(row, str):
            return row
        module, _, attribute = row.partition(":")
        try:
            return cast(Item, getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError) as error:
            if row == self._rows.get(name):
                raise
            raise ValueError(f"{self.kind} is {name!r}: {error}") from None

    def _installed(self) -> dict[str, str]:
        points = importlib.metadata.entry_points(group=f"keras_nasnet.{self.kind.replace(' ', '_')}")
        return {point.name: point.value for point in points}
