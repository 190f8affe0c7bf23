"""Body: stem and cells, what a classifier and a backbone have in common."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_nasnet.genotype import Genotype
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.layers.convolution import channel_axis
from keras_nasnet.layers.pooling import POOL_PADDINGS
from keras_nasnet.layers.relu import ReLU
from keras_nasnet.models.assembly import STEMS, Features, apply_stem, make_cells, plan_cells, run_cells

MIN_SIZE = 32  # pixels, as in keras.applications
_MIN_SIZES = {"imagenet": MIN_SIZE, "cifar": 8}  # the CIFAR stem keeps the resolution: 8, 4 and 2 pixels remain

# What the stem decides where nothing else is said (TF-slim's arg scopes and hparams).
_STEM_FILTERS = {"imagenet": lambda filters: 32, "cifar": lambda filters: 3 * filters}
_BATCH_NORM_MOMENTUM = {"imagenet": 0.9997, "cifar": 0.9}
_BATCH_NORM_EPSILON = {"imagenet": 1e-3, "cifar": 1e-5}


def stage_sizes(num_blocks: int | Sequence[int]) -> tuple[int, ...]:
    """Return the normal cells at each of the three resolutions, from the paper's N or from three numbers."""
    stages = (num_blocks,) * 3 if isinstance(num_blocks, int) else tuple(num_blocks)
    if len(stages) != 3 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in stages):
        raise ValueError(f"num_blocks is {num_blocks!r}: give N, or three numbers, each from 1 up")
    return stages


def check_data_format(data_format: str) -> None:
    """Raise ValueError where the data format is unknown or the backend cannot compute it."""
    if data_format not in ("channels_last", "channels_first"):
        raise ValueError(f"data_format is {data_format!r}: choose from channels_last, channels_first")
    on_tensorflow = keras.backend.backend() == "tensorflow"
    if data_format == "channels_first" and on_tensorflow and not keras.distribution.list_devices("gpu"):
        raise ValueError(
            "TensorFlow has no channels_first convolutions on CPUs: use data_format='channels_last', "
            "a GPU, or the JAX or PyTorch backend"
        )


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
        if stem not in STEMS:
            raise ValueError(f"stem is {stem!r}: choose from {', '.join(STEMS)}")
        if pool_padding not in POOL_PADDINGS:
            raise ValueError(f"pool_padding is {pool_padding!r}: choose from {', '.join(POOL_PADDINGS)}")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate is {drop_path_rate!r}: it must be from 0 up, below 1")
        self.genotype = Genotype.from_dict(genotype) if isinstance(genotype, dict) else get_genotype(genotype)
        self.stages = stage_sizes(num_blocks)
        self.penultimate_filters = penultimate_filters
        self.filters = self.genotype.filters(penultimate_filters)
        smallest = 8 if stem == "imagenet" else 2  # each path of a factorized reduction needs a filter
        if self.filters < smallest:
            raise ValueError(
                f"penultimate_filters is {penultimate_filters!r}, which makes F = {self.filters}: with the {stem} "
                f"stem F must be at least {smallest}"
            )
        self.stem = stem
        self.stem_filters = _STEM_FILTERS[stem](self.filters) if stem_filters is None else stem_filters
        self.skip_reduction = skip_reduction
        self.pool_padding = pool_padding
        self.drop_path_rate = drop_path_rate
        self.batch_norm_momentum = _BATCH_NORM_MOMENTUM[stem] if batch_norm_momentum is None else batch_norm_momentum
        self.batch_norm_epsilon = _BATCH_NORM_EPSILON[stem] if batch_norm_epsilon is None else batch_norm_epsilon
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        check_data_format(self.data_format)
        self.channel_axis = channel_axis(self.data_format)
        self.dtype = keras.dtype_policies.get(keras.config.dtype_policy() if dtype is None else dtype)
        self.plans = plan_cells(self.stages, self.filters, stem, skip_reduction)

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
        shape = tuple(input_shape)
        if len(shape) != 3:
            raise ValueError(f"input_shape is {shape}: it must have three entries")
        smallest = _MIN_SIZES[self.stem]
        for length in shape[1:] if first else shape[:2]:
            if length is not None and length < smallest:
                raise ValueError(f"input_shape is {shape}: images must be at least {smallest}x{smallest}")
        return shape

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
