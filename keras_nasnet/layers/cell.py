"""Cell: one CellSpec as one Keras layer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.genotype import CellSpec
from keras_nasnet.layers.convolution import ConvolutionalLayer, FactorizedReduction, Projection
from keras_nasnet.layers.drop_path import DropPath
from keras_nasnet.layers.operations import make_combine, make_operation
from keras_nasnet.layers.relu import rectify

Shape = tuple[int | None, ...]


class _HiddenState:
    """A tensor and, once somebody asked for it, its ReLU."""

    def __init__(self, value: Any):
        self.value = value
        self._rectified: Any = None

    @property
    def rectified(self) -> Any:
        if self._rectified is None:
            self._rectified = rectify(self.value)
        return self._rectified


@keras.saving.register_keras_serializable("keras_nasnet")
class Cell(ConvolutionalLayer):
    """Any cell: normal or reduction, of NASNet-A, B, C or of a search.

    Called on a list of hidden states `[h, h_prev, ...]`, newest first, or on one tensor.
    It fits them first: `h` by ReLU, 1x1 convolution, BN; each other by a factorized
    reduction where its resolution is twice that of `h`, by ReLU, 1x1 convolution, BN
    where only its channels differ, else not at all (`CellSpec.fit_inputs`). Where fewer are given than the spec
    has inputs (the first cell of a network), `h` as it is stands for the missing ones.

    Inputs are floats of shape (batch, height, width, channels); each output has the shape
    (batch, ceil(height / stride), ceil(width / stride), k * filters), where k counts the
    hidden states that the output concatenates. A spec with one output returns a tensor, one
    with several a list.

    Args:
        spec: the wiring.
        filters: channels of each hidden state inside the cell.
        stride: 1, or 2 for a reduction: operations on the cell's inputs have it.
        input_strides: for each input, the resolution of the input over that of `h`: 1 or 2.
            Default: 1 for all. The graph itself never compares sizes.
        drop_path_rate: probability that a branch other than an identity is dropped for an
            example while training.
        pool_padding: "same", "keras" or "timm", see `pooling.POOL_PADDINGS`.
        batch_norm_momentum: momentum of the moving statistics.
        batch_norm_epsilon: added to variances, in batch and other normalisations.
        data_format: "channels_last" or "channels_first"; default as Keras is configured.

    Example:
        >>> cell = Cell(NASNET_A.normal, filters=32)
        >>> cell(keras.ops.ones((1, 8, 8, 16))).shape
        (1, 8, 8, 192)
    """

    def __init__(
        self,
        spec: CellSpec,
        filters: int,
        stride: int = 1,
        input_strides: Sequence[int] | None = None,
        drop_path_rate: float = 0.0,
        pool_padding: str = "same",
        **kwargs: Any,
    ):
        super().__init__(filters, stride, **kwargs)
        self.spec = spec
        self.input_strides = (1,) * spec.num_inputs if input_strides is None else tuple(input_strides)
        if len(self.input_strides) != spec.num_inputs:
            raise ValueError(f"input_strides is {input_strides!r}: give one for each of the {spec.num_inputs} inputs")
        if self.input_strides[0] != 1 or not set(self.input_strides) <= {1, 2}:
            raise ValueError(f"input_strides is {input_strides!r}: the first must be 1, the others 1 or 2")
        self.drop_path_rate = drop_path_rate
        self.pool_padding = pool_padding

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "spec": self.spec.to_dict(),
            "input_strides": list(self.input_strides),
            "drop_path_rate": self.drop_path_rate,
            "pool_padding": self.pool_padding,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Cell":
        return cls(**(config | {"spec": CellSpec.from_dict(config["spec"])}))

    def build(self, input_shape: Shape | list[Shape]) -> None:
        shapes = self._input_shapes(input_shape)
        states = self._build_fits(shapes)
        self.branches = []
        self.drop_paths = []
        self.combines = []
        for number, block in enumerate(self.spec.blocks):
            pair = []
            for side, index, name in zip(("left", "right"), block.inputs, block.operations, strict=True):
                config = self.common_config() | {"stride": self.stride if index < self.spec.num_inputs else 1}
                operation = make_operation(
                    name,
                    **config,
                    pool_padding=self.pool_padding,
                    dtype=self.dtype_policy,
                    name=f"block_{number}_{side}",
                )
                operation.build(states[index])
                pair.append(operation)
            self.branches.append(pair)
            drops = self.drop_path_rate > 0
            self.drop_paths.append(
                [
                    DropPath(self.drop_path_rate, dtype=self.dtype_policy) if drops and name != "identity" else None
                    for name in block.operations
                ]
            )
            combine = make_combine(
                block.combine,
                axis=self.channel_axis,
                epsilon=self.batch_norm_epsilon,
                dtype=self.dtype_policy,
                name=f"block_{number}_{block.combine}",
            )
            shape = self._with_channels(shapes[0], self.filters)
            combine.build([shape, shape])
            self.combines.append(combine)
            states.append(self._with_channels(shapes[0], self.filters * (2 if block.combine == "concat" else 1)))
        self._build_output_fits(states)
        self.built = True

    def _build_fits(self, shapes: list[Shape]) -> list[Shape]:
        """Makes a layer for each given input that needs one; returns the shapes of all inputs' states."""
        self.fits: list[keras.layers.Layer | None] = []
        states = []
        config = self.common_config() | {"dtype": self.dtype_policy}
        for index, shape in enumerate(shapes):
            fit: keras.layers.Layer | None = None
            if self.input_strides[index] == 2:
                fit = FactorizedReduction(**config | {"stride": 2}, name=f"fit_{index}")
            elif self.spec.fit_inputs and (index == 0 or shape[self.channel_axis] != self.filters):
                fit = Projection(**config | {"stride": 1}, name=f"fit_{index}")
            if fit is not None:
                fit.build(shape)
            self.fits.append(fit)
            states.append(shape if fit is None else self._with_channels(shapes[0], self.filters))
        return states + [shapes[0]] * (self.spec.num_inputs - len(shapes))

    def _build_output_fits(self, states: list[Shape]) -> None:
        """Makes a layer for each cell input that an output concatenates and whose shape is not the cell's."""
        self.output_fits: dict[str, keras.layers.Layer] = {}
        config = self.common_config() | {"dtype": self.dtype_policy}
        for index in sorted({index for group in self.spec.outputs for index in group if index < self.spec.num_inputs}):
            name = f"output_fit_{index}"
            if self.stride == 2:
                self.output_fits[str(index)] = FactorizedReduction(**config, name=name)
            elif states[index][self.channel_axis] != self.filters:
                self.output_fits[str(index)] = Projection(**config, name=name)
        for key, fit in self.output_fits.items():
            fit.build(states[int(key)])

    def call(self, inputs: Any) -> Any:
        given = [_HiddenState(tensor) for tensor in (inputs if isinstance(inputs, list | tuple) else [inputs])]
        states = [
            state if fit is None else _HiddenState(fit(state.rectified))
            for state, fit in zip(given, self.fits, strict=True)
        ]
        states += [given[0]] * (self.spec.num_inputs - len(given))
        for block, pair, drops, combine in zip(
            self.spec.blocks, self.branches, self.drop_paths, self.combines, strict=True
        ):
            tensors = []
            for index, operation, drop in zip(block.inputs, pair, drops, strict=True):
                state = states[index]
                tensor = operation(state.rectified if operation.reads_rectified else state.value)
                tensors.append(tensor if drop is None else drop(tensor))
            states.append(_HiddenState(combine(tensors)))
        # The concatenation reads cell inputs without a ReLU (TF-slim, _combine_unused_states).
        fitted = {int(key): fit(states[int(key)].value) for key, fit in self.output_fits.items()}
        outputs = []
        for group in self.spec.outputs:
            members = [fitted[index] if index in fitted else states[index].value for index in group]
            outputs.append(members[0] if len(members) == 1 else ops.concatenate(members, axis=self.channel_axis))
        return outputs[0] if len(outputs) == 1 else outputs

    def compute_output_shape(self, input_shape: Shape | list[Shape]) -> Shape | list[Shape]:
        first = super().compute_output_shape(self._input_shapes(input_shape)[0])
        shapes = [self._with_channels(first, self.filters * width) for width in self.spec.output_multipliers]
        return shapes[0] if len(shapes) == 1 else shapes

    def _with_channels(self, shape: Shape, channels: int) -> Shape:
        axis = self.channel_axis % 4
        return (*shape[:axis], channels, *shape[axis + 1 :])

    def _input_shapes(self, input_shape: Shape | list[Shape]) -> list[Shape]:
        single = input_shape[0] is None or isinstance(input_shape[0], int)
        shapes: list[Shape] = [tuple(input_shape)] if single else [tuple(shape) for shape in input_shape]  # type: ignore
        if len(shapes) > self.spec.num_inputs:
            raise ValueError(f"the cell has {self.spec.num_inputs} inputs, {len(shapes)} were given")
        return shapes
