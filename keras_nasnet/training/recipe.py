"""Recipes: all that decides a training run, as data; the paper's by name."""

import dataclasses
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_toml, read_toml
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import shown
from keras_nasnet.common.files import StrPath, write_text
from keras_nasnet.common.names import check_name
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.training.augmentation import AUGMENTATIONS

RECIPE_FILE = "recipe.toml"  # in the folder of a run
OPTIMIZERS = ("sgd", "rmsprop")
SCHEDULES = ("cosine", "exponential", "one_cycle", "constant")
STRATEGIES = ("default", "mirrored", "multiworker", "central")  # no recipe names one: see `devices.Devices`
DTYPES = ("float32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Recipe:
    """All that decides how a network is trained, as data.

    Args:
        name: of the recipe.
        variant: the network, one of `keras_nasnet.variants()`, or a name or file that
            `keras_nasnet.load` takes: then its weights are where training starts.
        network: arguments of `NASNet` that replace the variant's; `genotype` may be a .json file.
        dataset: a name that tensorflow-datasets knows, a folder of class folders, or a .npz file.
        image_size: height and width in pixels of what the network sees.
        held_out: training images that are kept apart for validation.
        augmentation: a name in `AUGMENTATIONS`: "none", "flip", "pad_crop_flip" (CIFAR) or "inception" (ImageNet:
            random area, aspect, colours, flip); or "module:attribute" of an `Augmentation` of your own.
        cutout: side in pixels of the square that is blanked; 0 for none.
        batch: examples of one step, over all devices and machines.
        epochs: passes over the training images.
        optimizer: "sgd" (Nesterov momentum) or "rmsprop".
        learning_rate: the highest of the schedule, for `learning_rate_batch` examples a step.
        learning_rate_batch: scales the learning rate by batch / this; None leaves it as it is.
        schedule: "cosine" to 0, "exponential" (x `decay_rate` each `decay_epochs`),
            "one_cycle" (up over `warm_up_epochs`, then linear to 0) or "constant".
        warm_up_epochs: the learning rate rises linearly from 0 over these.
        decay_rate: of "exponential".
        decay_epochs: of "exponential".
        momentum: of the optimizer.
        rmsprop_decay: decay of RMSProp's mean of squares.
        rmsprop_epsilon: added to that mean.
        weight_decay: factor of the L2 penalty on kernels (half the sum of squares); never on BN or biases.
        clip_norm: gradients are scaled to at most this global norm; 0 for no clipping.
        label_smoothing: from 0 up, below 1.
        auxiliary_weight: weight of the auxiliary head's loss; 0 builds none.
        drop_path_rate: 1 - keep probability of the last cell, reached linearly over all steps.
        dropout: rate in front of the classifier.
        ema: decay of the moving average of the weights that evaluation uses; 0 for none.
        dtype: "float32", "mixed_bfloat16" or "mixed_float16" (with loss scaling).
        batch_norm_momentum: None for the network's own.
        freeze_batch_norm: BN keeps its statistics, as a short fine-tuning should.
        head_epochs: of `epochs`, those at the start that train the classifier alone.
        body_learning_rate: factor on the learning rate of all but the classifier.
        patience: epochs without a better validation accuracy before training stops; 0 for never.
        class_weights: whether rare classes count more, in inverse proportion to their images.
        seed: of everything random.

    Raises:
        ValueError, TypeError: if a setting is wrong; names it.

    Example:
        >>> recipe = Recipe("mine", augmentation="pad_crop_flip", epochs=10, batch=64)
        >>> recipe.with_settings("learning_rate=0.1", "network.num_blocks=2").network
        {'num_blocks': 2}
        >>> recipe.save("mine.toml")
        >>> get_recipe("mine.toml") == recipe
        True
    """

    name: str
    variant: str = "nasnet_a_6_768_cifar"
    network: dict[str, Any] = field(default_factory=dict)
    dataset: str = "cifar10"
    image_size: tuple[int, int] = (32, 32)
    held_out: int = 0
    augmentation: str = "none"
    cutout: int = 0
    batch: int = 32
    epochs: int = 1
    optimizer: str = "sgd"
    learning_rate: float = 0.025
    learning_rate_batch: int | None = None
    schedule: str = "cosine"
    warm_up_epochs: float = 0.0
    decay_rate: float = 0.97
    decay_epochs: float = 2.4
    momentum: float = 0.9
    rmsprop_decay: float = 0.9
    rmsprop_epsilon: float = 1.0
    weight_decay: float = 0.0
    clip_norm: float = 0.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.0
    drop_path_rate: float = 0.0
    dropout: float = 0.0
    ema: float = 0.0
    dtype: str = "float32"
    batch_norm_momentum: float | None = None
    freeze_batch_norm: bool = False
    head_epochs: int = 0
    body_learning_rate: float = 1.0
    patience: int = 0
    class_weights: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            object.__setattr__(self, spec.name, _checked(spec.name, spec.type, getattr(self, spec.name)))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {shown(getattr(self, name))}: choose from {', '.join(choices)}")
        # By name only: a recipe can be read where its augmentation cannot be imported.
        AUGMENTATIONS.check(self.augmentation)
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not (low <= value <= high and math.isfinite(value)):
                limit = f"from {low} up" if high == _INFINITY else f"from {low} to {high}"
                raise ValueError(f"{name} is {shown(value)}: it must be {limit}")
        if self.head_epochs > self.epochs:
            raise ValueError(f"head_epochs is {self.head_epochs}: it must be at most epochs, {self.epochs}")
        if self.optimizer != "sgd" and self.body_learning_rate != 1:
            raise ValueError("body_learning_rate needs optimizer 'sgd': RMSProp takes no notice of a gradient's scale")

    @property
    def scaled_learning_rate(self) -> float:
        """The learning rate at this batch size."""
        return self.learning_rate * (self.batch / self.learning_rate_batch if self.learning_rate_batch else 1)

    def to_dict(self) -> dict[str, Any]:
        data = dataclasses.asdict(self) | {"image_size": list(self.image_size)}
        return {name: value for name, value in data.items() if value is not None}  # TOML has no null

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Recipe":
        unknown = sorted(map(str, data.keys() - {spec.name for spec in dataclasses.fields(cls)}))
        if unknown:
            raise ValueError(f"a recipe has no setting {shown(unknown[0])}: choose from {', '.join(settings())}")
        if "name" not in data:
            raise ValueError("a recipe needs a name")
        return cls(**data)

    def to_toml(self) -> str:
        return tomli_w.dumps(self.to_dict())

    def save(self, path: StrPath) -> None:
        """Write the recipe as a TOML file, which appears when it is whole."""
        write_text(path, self.to_toml())

    def with_settings(self, *assignments: str) -> "Recipe":
        """Return the recipe with settings replaced, each written "name=value" as in TOML.

        Text needs no quotes; `network.num_blocks=2` sets one argument of the network;
        `none` is None.
        """
        data = self.to_dict()
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            name = name.strip()
            if not equals:
                raise ValueError(f"{shown(assignment)} is no setting: write name=value")
            group, dot, key = name.partition(".")
            if dot and group == "network":
                data["network"] = {**data["network"], key: _parsed(text)}
            elif name == "network" or name not in settings():
                raise ValueError(
                    f"a recipe has no setting {shown(name)}: choose from {', '.join(settings())}, network.NAME"
                )
            elif text.strip().lower() == "none":
                data.pop(name, None)
                if _DEFAULTS[name] is not None:
                    raise ValueError(f"{name} cannot be none")
            else:
                data[name] = _parsed(text)
        return Recipe.from_dict(data)


def settings() -> list[str]:
    """Return the names of a recipe's settings."""
    return [spec.name for spec in dataclasses.fields(Recipe)]


def get_recipe(name_or_path: StrPath | Recipe) -> Recipe:
    """Return the recipe of a name in `RECIPES`, or that of a TOML file.

    Raises:
        ValueError: if there is no such recipe, or the file is none; says what is wrong.

    Example:
        >>> get_recipe("cifar10").epochs
        600
    """
    if isinstance(name_or_path, Recipe):
        return name_or_path
    text = os.fspath(name_or_path)
    if text in RECIPES:
        return RECIPES[text]
    path = Path(text)
    if path.suffix != ".toml":
        raise ValueError(f"no recipe is called {shown(text)}: choose from {', '.join(RECIPES)}, or give a .toml file")
    data = read_toml(path)
    try:
        return Recipe.from_dict(data)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {one_line(error)}") from None


def _parsed(text: str) -> Any:
    try:
        return parse_toml(f"value = {text}", "setting")["value"]
    except ValueError:  # text without quotes
        return text.strip()


def _checked(name: str, kind: Any, value: Any) -> Any:
    """Return the value in its field's type, or raise a TypeError or ValueError that names the field."""
    if name == "image_size":
        sides = (value, value) if isinstance(value, int) else value
        if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(_is_int(side) for side in sides):
            raise TypeError(f"image_size is {shown(value)}: it must be height and width in whole pixels")
        if min(sides) < 8 or max(sides) > limits.IMAGE_SIDE:
            raise ValueError(f"image_size is {shown(value)}: its sides must be from 8 to {limits.IMAGE_SIDE} pixels")
        return tuple(sides)
    if name == "network":
        if not isinstance(value, dict):
            raise TypeError(f"network is {shown(value)}: it must be a table of arguments")
        _check_plain(value)
        return _without_files(value)
    if value is None and _is_optional(kind):
        return None
    if _is_int(value) and abs(value) >= 2**63:
        raise ValueError(f"{name} is a number of more than 64 bits")
    if kind in (float, float | None) and _is_number(value):
        return float(value)
    if kind in (int, int | None) and _is_int(value):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str):
        return check_name(value, "a recipe") if name == "name" else _checked_text(name, value)
    wanted = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    plain = next(known for known in wanted if kind in (known, known | None))
    raise TypeError(f"{name} is {shown(value)}: it must be {wanted[plain]}")


def _check_plain(value: Any, depth: int = 0) -> None:
    """Raise an error for anything in the network's arguments that no argument is: it is JSON in a saved network."""
    if depth > limits.DOCUMENT_DEPTH:
        raise ValueError("network: tables lie too deeply within each other")
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            _check_plain(item, depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"network: {value} is no finite number")
    elif value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"network: {shown(value)} is no text, number, list or table")


def _checked_text(name: str, value: str) -> str:
    """Return text that recipe.toml can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is {shown(value)}: not text in UTF-8, so no recipe can name it: rename it") from None
    if "\0" in value:
        raise ValueError(f"{name} is {shown(value)}: a zero byte is in no name")
    if len(value) > limits.NAME_CHARACTERS * 4:  # a path has several names
        raise ValueError(f"{name} has {len(value):,} characters: at most {limits.NAME_CHARACTERS * 4:,}")
    return value


def _without_files(network: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with a genotype's file replaced by its content: a recipe must work on any machine."""
    genotype = network.get("genotype")
    if isinstance(genotype, str) and genotype.endswith(".json"):
        return network | {"genotype": get_genotype(genotype).to_dict()}
    return dict(network)


def _is_optional(kind: Any) -> bool:
    return kind in (int | None, float | None)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_INFINITY = float("inf")
_BELOW_ONE = 1 - 1e-9
_CHOICES = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "dtype": DTYPES}
_RANGES: dict[str, tuple[float, float]] = {
    "held_out": (0, _INFINITY),
    "cutout": (0, _INFINITY),
    "batch": (1, _INFINITY),
    "epochs": (1, _INFINITY),
    "learning_rate": (0, _INFINITY),
    "learning_rate_batch": (1, _INFINITY),
    "warm_up_epochs": (0, _INFINITY),
    "decay_rate": (0, 1),
    "decay_epochs": (1e-9, _INFINITY),
    "momentum": (0, 1),
    "rmsprop_decay": (0, 1),
    "rmsprop_epsilon": (0, _INFINITY),
    "weight_decay": (0, _INFINITY),
    "clip_norm": (0, _INFINITY),
    "label_smoothing": (0, _BELOW_ONE),
    "auxiliary_weight": (0, _INFINITY),
    "drop_path_rate": (0, _BELOW_ONE),
    "dropout": (0, _BELOW_ONE),
    "ema": (0, _BELOW_ONE),
    "batch_norm_momentum": (0, 1),
    "head_epochs": (0, _INFINITY),
    "body_learning_rate": (0, _INFINITY),
    "patience": (0, _INFINITY),
    "seed": (0, 2**31 - 1),
}
_DEFAULTS = {spec.name: spec.default for spec in dataclasses.fields(Recipe)}

# Source: TF-slim's nasnet.py (cifar_config, mobile_imagenet_config, large_imagenet_config) and appendix A.2 of
# the paper. The ImageNet learning rates are written for one worker's batch and scale with the global one.
_CIFAR10 = Recipe(
    "cifar10",
    variant="nasnet_a_6_768_cifar",
    dataset="cifar10",
    augmentation="pad_crop_flip",
    batch=32,
    epochs=600,
    learning_rate=0.025,
    schedule="cosine",
    weight_decay=5e-4,
    clip_norm=5.0,
    auxiliary_weight=0.4,
    drop_path_rate=0.4,
)
_IMAGENET_MOBILE = Recipe(
    "imagenet_mobile",
    variant="nasnet_a_4_1056_imagenet",
    dataset="imagenet2012",
    image_size=(224, 224),
    augmentation="inception",
    batch=32 * 50,
    epochs=250,
    optimizer="rmsprop",
    learning_rate=0.04,
    learning_rate_batch=32,
    schedule="exponential",
    decay_rate=0.97,
    decay_epochs=2.4,
    weight_decay=4e-5,
    clip_norm=10.0,
    label_smoothing=0.1,
    auxiliary_weight=0.4,
    dropout=0.5,
    ema=0.9999,
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        _CIFAR10,
        dataclasses.replace(_CIFAR10, name="cifar10_cutout", cutout=16),
        # A tenth of the epochs: less regularisation, larger steps, a rate that falls linearly.
        dataclasses.replace(
            _CIFAR10,
            name="cifar10_short",
            epochs=60,
            batch=128,
            learning_rate=0.2,
            schedule="one_cycle",
            warm_up_epochs=5.0,
            cutout=16,
            drop_path_rate=0.2,
            ema=0.999,
            dtype="mixed_bfloat16",
        ),
        _IMAGENET_MOBILE,
        dataclasses.replace(
            _IMAGENET_MOBILE,
            name="imagenet_large",
            variant="nasnet_a_6_4032_imagenet",
            image_size=(331, 331),
            batch=16 * 100,
            learning_rate=0.015,
            learning_rate_batch=16,
            weight_decay=5e-5,
            drop_path_rate=0.3,
        ),
        Recipe(
            "finetune",
            variant="nasnet_a_cifar10",
            dataset=".",
            image_size=(48, 48),
            augmentation="inception",
            batch=32,
            epochs=20,
            learning_rate=0.05,
            learning_rate_batch=32,
            schedule="one_cycle",
            warm_up_epochs=1.0,
            weight_decay=1e-4,
            clip_norm=5.0,
            label_smoothing=0.1,
            batch_norm_momentum=0.9,
            freeze_batch_norm=True,
            head_epochs=2,
            body_learning_rate=0.5,
            patience=8,
            class_weights=True,
        ),
    )
}
