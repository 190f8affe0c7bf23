"""Body: stem and cells, what a classifier and a backbone have in common."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.common import limits
from keras_nasnet.common.escape import shown
from keras_nasnet.genotype import Genotype
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.layers.convolution import channel_axis
from keras_nasnet.layers.pooling import POOL_PADDINGS
from keras_nasnet.layers.relu import ReLU
from keras_nasnet.models import arguments
from keras_nasnet.models.arguments import one_of, stage_sizes
from keras_nasnet.models.assembly import STEMS, Features, apply_stem, make_cells, plan_cells, run_cells

MIN_SIZE = 32  # pixels, as in keras.applications
_MIN_SIZES = {"imagenet": MIN_SIZE, "cifar": 8}  # the CIFAR stem keeps the resolution: 8, 4 and 2 pixels remain

# What the stem decides where nothing else is said (TF-slim's arg scopes and hparams).
_STEM_FILTERS = {"imagenet": lambda filters: 32, "cifar": lambda filters: 3 * filters}
_BATCH_NORM_MOMENTUM = {"imagenet": 0.9997, "cifar": 0.9}
_BATCH_NORM_EPSILON = {"imagenet": 1e-3, "cifar": 1e-5}


def check_data_format(data_format: str) -> None:
    """Raise ValueError where the data format is unknown or the backend cannot compute it."""
    one_of("data_format", data_format, ("channels_last", "channels_first"))
    if not can_compute(data_format):
        raise ValueError(
            "TensorFlow has no channels_first convolutions on CPUs: use data_format='channels_last', "
            "a GPU, or the JAX or PyTorch backend"
        )


def can_compute(data_format: str) -> bool:
    """Return whether the backend has convolutions of a data format."""
    on_tensorflow = keras.backend.backend() == "tensorflow"
    return data_format == "channels_last" or not on_tensorflow or bool(keras.distribution.list_devices("gpu"))


def dtype_policy(dtype: Any) -> keras.DTypePolicy:
    """Return a dtype policy; default: as Keras is configured.

    Args:
        dtype: a policy, its name, or what a file says of it: plain data of Keras' own policies alone, for Keras
            would build anything that it names.

    Raises:
        ValueError: if there is no such policy.
    """
    if dtype is None:
        return keras.config.dtype_policy()
    try:
        if isinstance(dtype, dict):
            _check_policy(dtype)
        policy = keras.dtype_policies.get(dtype)
    except Exception:  # Keras raises anything
        policy = None
    if not isinstance(policy, keras.DTypePolicy | keras.dtype_policies.DTypePolicyMap):
        raise ValueError(f"dtype is {shown(dtype)}: give a dtype policy of Keras, such as float32 or mixed_bfloat16")
    return policy


def _check_policy(data: Any) -> None:
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            named = str(value.get("class_name", "DTypePolicy"))
            if "DTypePolicy" not in named or value.get("registered_name") or "compile_config" in value:
                raise ValueError("no dtype policy of Keras")
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value


class Body:
    """Stem and cells of a network: the checked arguments, the cells, and the graph they make.

    Args: those of `keras_nasnet.NASNet` with the same names.
    """

    def __init__(
        self,
        genotype: str | Genotype | dict[str, Any],
        num_blocks: int | Sequence[int],
        penultimate_filters: int,
        stem: str = "imagenet",
        stem_filters: int | None = None,
        skip_reduction: bool = False,
        pool_padding: str = "same",
        drop_path_rate: float = 0.0,
        batch_norm_momentum: float | None = None,
        batch_norm_epsilon: float | None = None,
        data_format: str | None = None,
        dtype: Any = None,
    ):
        one_of("stem", stem, STEMS)
        one_of("pool_padding", pool_padding, POOL_PADDINGS)
        self.genotype = Genotype.from_dict(genotype) if isinstance(genotype, dict) else get_genotype(genotype)
        self.stages = stage_sizes(num_blocks)
        # The largest ratio leaves one filter.
        most = limits.NETWORK_FILTERS * (self.genotype.penultimate_ratio or 1)
        self.penultimate_filters = arguments.whole("penultimate_filters", penultimate_filters, 1, most)
        self.filters = self.genotype.filters(self.penultimate_filters)
        smallest = 8 if stem == "imagenet" else 2  # each path of a factorized reduction needs a filter
        if self.filters < smallest:
            raise ValueError(
                f"penultimate_filters is {penultimate_filters!r}, which makes F = {self.filters}: with the {stem} "
                f"stem F must be at least {smallest}"
            )
        self.stem = stem
        if stem_filters is None:
            stem_filters = _STEM_FILTERS[stem](self.filters)
        self.stem_filters = arguments.whole("stem_filters", stem_filters, 1, limits.NETWORK_FILTERS)
        self.skip_reduction = arguments.truth("skip_reduction", skip_reduction)
        self.pool_padding = pool_padding
        self.drop_path_rate = arguments.number("drop_path_rate", drop_path_rate, 0, 1)
        momentum = _BATCH_NORM_MOMENTUM[stem] if batch_norm_momentum is None else batch_norm_momentum
        self.batch_norm_momentum = arguments.number("batch_norm_momentum", momentum, 0, 1 + 1e-9)
        epsilon = _BATCH_NORM_EPSILON[stem] if batch_norm_epsilon is None else batch_norm_epsilon
        self.batch_norm_epsilon = arguments.number("batch_norm_epsilon", epsilon, 0, 1)
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        check_data_format(self.data_format)
        self.channel_axis = channel_axis(self.data_format)
        self.dtype = dtype_policy(dtype)
        self.plans = plan_cells(self.stages, self.filters, stem, skip_reduction)
        self.sizes = [(self.genotype.reduction if p.reduction else self.genotype.normal, p.filters) for p in self.plans]
        arguments.check_size(self.sizes)

    def get_config(self) -> dict[str, Any]:
        return {
            "genotype": self.genotype.to_dict(),
            "num_blocks": self.stages[0] if len(set(self.stages)) == 1 else list(self.stages),
            "penultimate_filters": self.penultimate_filters,
            "stem": self.stem,
            "stem_filters": self.stem_filters,
            "skip_reduction": self.skip_reduction,
            "pool_padding": self.pool_padding,
            "drop_path_rate": self.drop_path_rate,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "data_format": self.data_format,
            "dtype": keras.saving.serialize_keras_object(self.dtype),
        }

    def input_shape(self, input_shape: Sequence[int | None] | None, default: int | None) -> tuple[int | None, ...]:
        """Return the checked shape of an image; `default` is its side where none is given."""
        first = self.data_format == "channels_first"
        if input_shape is None:
            return (3, default, default) if first else (default, default, 3)
        return arguments.image_shape(input_shape, first, _MIN_SIZES[self.stem])

    def apply(self, inputs: Any) -> Features:
        """Make stem and cells and apply them to an image tensor."""
        state = apply_stem(
            inputs,
            self.stem,
            self.stem_filters,
            self.batch_norm_momentum,
            self.batch_norm_epsilon,
            self.data_format,
            self.dtype,
        )
        self.cells = make_cells(
            self.genotype,
            self.plans,
            state,
            self.drop_path_rate,
            pool_padding=self.pool_padding,
            batch_norm_momentum=self.batch_norm_momentum,
            batch_norm_epsilon=self.batch_norm_epsilon,
            data_format=self.data_format,
            dtype=self.dtype,
        )
        return run_cells(self.plans, self.cells, state)

    def join(self, outputs: Sequence[Any], name: str | None = None) -> Any:
        """Return a cell's outputs as one tensor."""
        if len(outputs) == 1:
            return outputs[0]
        return keras.layers.Concatenate(axis=self.channel_axis, dtype=self.dtype, name=name)(list(outputs))

    def rectify(self, outputs: Sequence[Any], name: str) -> Any:
        """Return the ReLU of a cell's joined outputs, as a layer of this name."""
        return ReLU(dtype=self.dtype, name=name)(self.join(outputs, name=f"{name}_join"))
