"""Lets `keras.saving.load_model` find our classes once the package is imported, before or after Keras itself."""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# What a saved model may name, and the module that has it.
CLASSES = {
    "Add": "layers.operations",
    "BatchNormalization": "layers.batch_norm",
    "Cell": "layers.cell",
    "Concatenate": "layers.operations",
    "Conv2D": "accelerate.cpu_convolution",
    "Convolution": "layers.operations",
    "DropPath": "layers.drop_path",
    "FactorizedReduction": "layers.convolution",
    "FoldedNASNet": "inference.folding",
    "Identity": "layers.operations",
    "NASNet": "models.classifier",
    "NASNetBackbone": "models.backbone",
    "NormalizedAdd": "layers.operations",
    "Pool": "layers.operations",
    "Projection": "layers.convolution",
    "ReLU": "layers.relu",
    "SeparateReLU": "accelerate.separate_relu",
    "Zero": "layers.operations",
}


def register() -> None:
    """Register the classes with Keras: now, or as soon as someone imports it."""
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


class _WhenKerasIsImported(MetaPathFinder):
    def __init__(self) -> None:
        self.asks_others = False

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "keras" or self.asks_others:
            return None
        self.asks_others = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.asks_others = False
        # To find it is not to import it: whoever only asks whether Keras is there must not end our waiting.
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader, self)
        return spec


class _ThenRegister(Loader):
    """Loads Keras as its own loader does, and registers the classes."""

    def __init__(self, own: Loader, finder: _WhenKerasIsImported):
        self.own, self.finder = own, finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        sys.meta_path.remove(self.finder)
        module.__loader__ = self.own
        if module.__spec__ is not None:
            module.__spec__.loader = self.own
        self.own.exec_module(module)
        _register(module)
