"""Lets `keras.saving.load_model` find our classes once the package is imported, before or after Keras itself."""

import importlib
import importlib.abc
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# What a saved model may name, and the module that has it.
CLASSES = {
    "BatchNormalization": "batch_norm",
    "Cell": "cell",
    "Convolution": "operations",
    "DropPath": "drop_path",
    "FactorizedReduction": "convolution",
    "Identity": "operations",
    "NASNet": "model",
    "NASNetBackbone": "backbone",
    "NormalizedAdd": "operations",
    "Pool": "operations",
    "Projection": "convolution",
}


def register() -> None:
    """Registers the classes with Keras: now, or as soon as someone imports it."""
    if "keras" in sys.modules:
        _register(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _WhenKerasIsImported())


class _Promise:
    """Stands in Keras' registry for a class, whose module replaces it there when it is imported."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name

    def from_config(self, config: dict[str, Any]) -> Any:
        return getattr(importlib.import_module(f"keras_nasnet.{self.module}"), self.name).from_config(config)


def _register(keras: ModuleType) -> None:
    known = keras.saving.get_custom_objects()
    for name, module in CLASSES.items():
        known.setdefault(f"keras_nasnet>{name}", _Promise(module, name))


class _WhenKerasIsImported(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("keras")
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            _register(module)

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec
