"""Faces of packages: the names that users are meant to call, each imported when it is first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

Face = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def lazy_face(package: str, rows: Mapping[str, str]) -> Face:
    """Returns the `__getattr__`, `__dir__` and `__all__` of a package whose names are imported when they are used.

    A name must not be that of a module of the package: the module would hide it once it is imported.

    Args:
        package: its `__name__`.
        rows: the public names, each with its module below the package, as in "training.finetuning"; with
            "module:attribute" where it is called otherwise there.

    Example:
        In `__init__.py` of the package `shapes`, which has a module `round`:

        >>> __getattr__, __dir__, __all__ = lazy_face("shapes", {"Circle": "round", "ball": "round:Sphere"})
        >>> __all__
        ['Circle', 'ball']
    """

    def get(name: str) -> Any:
        if name not in rows:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, attribute = rows[name].partition(":")
        return getattr(importlib.import_module(f"{package}.{module}"), attribute or name)

    names = sorted(rows)
    return get, lambda: sorted([*importlib.import_module(package).__dict__, *names]), names
