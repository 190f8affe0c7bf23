"""What is done to the layers within a layer once it is built is saved with it: frozen, quantized, with LoRA.

Keras saves the trainable flag and the dtype policy of each layer that a model lists. Cells, operations and networks
are made of layers that no configuration lists; theirs says which of these are no longer as they were built.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_nasnet.accelerate.contents import children

_KEY = "inner_layers"
_SETTINGS = ("trainable", "dtype", "quantization_config", "lora_rank", "lora_alpha", "trainable_weights")
_QUANTIZERS = "keras.quantizers"  # the module of all that a quantization's configuration may hold


class InnerLayers:
    """Mixin, in front of a Keras layer or model, whose configuration says what was done to the layers within it.

    A subclass builds its layers as it likes, in `build` or, if it is a model, in `__init__`; what its configuration
    says is done to them then. A model puts `inner_config()` into its configuration, layers need not do anything.

    Args:
        inner_layers: what `get_config` says of the layers within: settings by the layer's path, such as
            {"block_0_left/batch_norm_1": {"trainable": False}}. Default: they are as they were built.
        **kwargs: of the Keras layer.

    Raises:
        ValueError: if a setting is none, or there is no such layer.
    """

    inner_settings: Mapping[str, Any]

    def __init__(self, *args: Any, inner_layers: Mapping[str, Any] | None = None, **kwargs: Any):
        settings = _checked({} if inner_layers is None else inner_layers)
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "inner_settings", settings)  # as it is: Keras would track what is in it
        object.__setattr__(self, "given_policies", {})
        if isinstance(self, keras.Model):
            object.__setattr__(self, "given_policies", {name: layer.dtype_policy for name, layer in _named(self)})
            self._restore_inner()

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = _then_restore(cls.build)  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self.inner_config()  # type: ignore[misc]

    def inner_config(self) -> dict[str, Any]:
        """Return the part of the configuration that says what was done to the layers within; often none."""
        settings = dict(_differences(self)) if self.built else self.inner_settings  # type: ignore[attr-defined]
        return {_KEY: settings} if settings else {}

    def _restore_inner(self) -> None:
        if not self.trainable:  # type: ignore[attr-defined]
            for layer in children(self):  # they were built since
                layer.trainable = False
        if not self.inner_settings:
            return
        layers = dict(_walk(self))
        for path, setting in sorted(self.inner_settings.items(), key=lambda item: item[0].count("/")):
            if path not in layers:
                raise ValueError(f"{_KEY} names {path!r}: there is no such layer in {self.name!r}")  # type: ignore
            _apply(layers[path], setting, f"{_KEY}[{path!r}]")
        object.__setattr__(self, "inner_settings", {})


def without_inner_config(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration for another layer or network of the same kind, with layers as they are built."""
    return {name: value for name, value in config.items() if name not in (_KEY, "trainable")}


def _then_restore(build: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(build)
    def then_restore(self: Any, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        if type(self).build is then_restore:  # not where a subclass goes on building
            self._restore_inner()

    return then_restore


def _named(parent: keras.Layer) -> Iterator[tuple[str, keras.Layer]]:
    """Yield the layers directly within one, with names that are the same in each process."""
    names: dict[str, int] = {}
    for layer in children(parent):
        name = layer.name
        number = re.fullmatch(r"(.+?)(_\d+)?", name)
        if number and not isinstance(parent, keras.Model):
            kind = type(layer).__name__.lower()
            if number[1].replace("_", "") == kind:  # Keras' own name, with the number of such layers so far
                name = number[1]
        names[name] = names.get(name, 0) + 1
        yield name if names[name] == 1 else f"{name}#{names[name]}", layer


def _walk(parent: keras.Layer, prefix: str = "") -> Iterator[tuple[str, keras.Layer]]:
    for name, layer in _named(parent):
        yield prefix + name, layer
        yield from _walk(layer, f"{prefix}{name}/")


def _differences(parent: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the layers that are not as they were built: trainable as the layer around them, and with its policy."""
    policies = getattr(parent, "given_policies", {})
    for name, layer in _named(parent):
        setting = {}
        if layer.trainable != parent.trainable:
            setting["trainable"] = layer.trainable
        if not _same(layer.dtype_policy, policies.get(name, parent.dtype_policy)):
            setting["dtype"] = keras.dtype_policies.serialize(layer.dtype_policy)
            if getattr(layer, "quantization_config", None) is not None:
                setting["quantization_config"] = keras.saving.serialize_keras_object(layer.quantization_config)
        if getattr(layer, "lora_enabled", False):
            setting |= {"lora_rank": layer.lora_rank, "lora_alpha": layer.lora_alpha}
            setting["trainable_weights"] = [weight.name for weight in layer.weights if weight.trainable]
        if setting:
            yield prefix + name, setting
        yield from _differences(layer, f"{prefix}{name}/")


def _same(policy: Any, other: Any) -> bool:
    return policy is other or (type(policy), policy.name) == (type(other), other.name)


def _apply(layer: Any, setting: Mapping[str, Any], what: str) -> None:
    if "trainable" in setting:
        layer.trainable = setting["trainable"]
    if "dtype" in setting:
        policy = _policy(setting["dtype"], what)
        if not _same(layer.dtype_policy, policy):
            if policy.quantization_mode is not None:
                config = keras.saving.deserialize_keras_object(setting.get("quantization_config"))
                layer.quantize(policy.quantization_mode, config=config)
            layer.dtype_policy = policy
    if "lora_rank" in setting:
        layer.enable_lora(setting["lora_rank"], lora_alpha=setting.get("lora_alpha"))
    if "trainable_weights" in setting:
        for weight in layer.weights:
            weight.trainable = weight.name in setting["trainable_weights"]


def _policy(value: Any, what: str) -> Any:
    try:
        policy = keras.dtype_policies.get(value)
    except (TypeError, ValueError, KeyError):
        policy = None
    if not isinstance(policy, keras.dtype_policies.DTypePolicy | keras.dtype_policies.DTypePolicyMap):
        raise ValueError(f"{what}: dtype is {value!r}: it must be a dtype policy")
    return policy


def _checked(settings: Any) -> dict[str, Any]:
    """Return settings that may come from a file, checked; only layers and policies of Keras can come of them."""
    if not isinstance(settings, Mapping):
        raise ValueError(f"{_KEY} is {settings!r}: it must be a table of settings by the layers' paths")
    for path, setting in settings.items():
        what = f"{_KEY}[{path!r}]"
        if not isinstance(setting, Mapping) or not setting or not setting.keys() <= set(_SETTINGS):
            raise ValueError(f"{what} is {setting!r}: it may hold {', '.join(_SETTINGS)}")
        if not isinstance(setting.get("trainable", True), bool):
            raise ValueError(f"{what}: trainable is {setting['trainable']!r}: it must be true or false")
        for name in ("lora_rank", "lora_alpha"):
            number = setting.get(name, 1)
            if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < 2**31:
                raise ValueError(f"{what}: {name} is {number!r}: it must be a number above 0")
        if not _only_quantizers(setting.get("quantization_config")):
            raise ValueError(f"{what}: quantization_config may hold nothing but what {_QUANTIZERS} has")
    return dict(settings)


def _only_quantizers(config: Any) -> bool:
    if isinstance(config, Mapping):
        if {"class_name", "module", "registered_name"} & config.keys():
            ours = config.get("module") == _QUANTIZERS and config.get("registered_name") is None
            if not ours or not hasattr(keras.quantizers, str(config.get("class_name"))):
                return False
        return all(_only_quantizers(value) for value in config.values())
    return not isinstance(config, list | tuple) or all(_only_quantizers(value) for value in config)
