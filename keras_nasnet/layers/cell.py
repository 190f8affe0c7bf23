"""Cell: one CellSpec as one Keras layer."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import keras
from keras import ops

from keras_nasnet.genotype import CellSpec
from keras_nasnet.genotype.vocabulary import combine_width
from keras_nasnet.genotype.wiring import SIDES, walk
from keras_nasnet.layers.convolution import RECTIFIED, ConvolutionalLayer, FactorizedReduction, Projection, Shape
from keras_nasnet.layers.drop_path import DropPath
from keras_nasnet.layers.folder import Folder
from keras_nasnet.layers.operations import Combine, Operation, make_combine, make_operation
from keras_nasnet.layers.relu import rectify


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
        >>> cell = Cell(keras_nasnet.NASNET_A.normal, filters=4)
        >>> keras.ops.shape(cell(np.ones((1, 8, 8, 3))))
        (1, 8, 8, 24)
        >>> cell.mult_adds((1, 8, 8, 3))
        49984
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

    # Mean squares of the inputs with initial weights, set before it is built, and of the outputs: see `input_square`.
    input_squares: Sequence[float] = ()
    output_squares: Sequence[float] = ()

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
        self.fits: list[ConvolutionalLayer | None] = []
        self.branches: list[list[Operation]] = []
        self.drop_paths: list[list[DropPath | None]] = []
        self.combines: list[Combine] = []
        self.output_fits: dict[str, ConvolutionalLayer] = {}
        shapes = self._input_shapes(input_shape)
        squares = self.input_squares or (1.0,) * len(shapes)
        states = [_Built(shape, square) for shape, square in zip(shapes, squares, strict=False)]
        self.output_squares = walk(self.spec, states, _Building(self))
        self.built = True

    def call(self, inputs: Any) -> Any:
        return self._walk([_HiddenState(tensor) for tensor in _as_list(inputs)], _Calling(self))

    def fold(self, folder: Folder, inputs: Any) -> Any:
        """Return what `call` returns, in the network that a folder makes."""
        return self._walk(_as_list(inputs), _Folding(self, folder))

    def mult_adds(self, input_shape: Shape | list[Shape]) -> int:
        """Return the multiply-adds for one example.

        Raises:
            ValueError: if height or width is not known.
        """
        counting = _Counting(self)
        self._walk(self._input_shapes(input_shape), counting)
        return counting.total

    def _walk(self, inputs: Sequence[Any], visitor: "_Visitor[Any, Any, Any]") -> Any:
        if len(inputs) != len(self.fits):
            raise ValueError(f"the cell was built for {len(self.fits)} inputs, {len(inputs)} were given")
        outputs = walk(self.spec, inputs, visitor)
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


def _as_list(inputs: Any) -> list[Any]:
    return list(inputs) if isinstance(inputs, list | tuple) else [inputs]


class _Built(NamedTuple):
    """A hidden state, or a branch, in a cell that is being built.

    Args:
        shape: of the tensor.
        square: mean square of its values, as it is expected with initial weights.
        source: number of the hidden state that a branch without weights reads, else None.
    """

    shape: Shape
    square: float
    source: int | None = None


class _Building:
    """Make a cell's layers, for the shapes and mean squares of its hidden states."""

    def __init__(self, cell: Cell):
        self.cell = cell
        self.config = cell.common_config() | {"dtype": cell.dtype_policy}
        self.pair: list[Operation] = []  # of the block that is being made

    def fit_input(self, index: int, given: _Built) -> _Built:
        cell, name = self.cell, f"fit_{index}"
        fit: ConvolutionalLayer | None = None
        if cell.input_strides[index] == 2:
            fit = FactorizedReduction(**self.config | {"stride": 2}, name=name)
        elif cell.spec.fit_inputs and (index == 0 or given.shape[cell.channel_axis] != cell.filters):
            fit = Projection(**self.config | {"stride": 1}, name=name)
        cell.fits.append(fit)
        return given if fit is None else self._fitted(fit, given.shape, given.square * RECTIFIED)

    def _fitted(self, fit: ConvolutionalLayer, shape: Shape, square: float) -> _Built:
        fit.input_square = square
        fit.build(shape)
        return _Built(fit.compute_output_shape(shape), 1.0)

    def missing_input(self, newest: _Built) -> _Built:
        return newest

    def operation(self, block: int, side: int, name: str, index: int, state: _Built) -> _Built:
        cell = self.cell
        config = self.config | {"stride": cell.stride if index < cell.spec.num_inputs else 1}
        operation = make_operation(name, **config, pool_padding=cell.pool_padding, name=f"block_{block}_{SIDES[side]}")
        operation.input_square = state.square
        operation.build(state.shape)
        self.pair.append(operation)
        shape = operation.compute_output_shape(state.shape)
        return _Built(shape, operation.output_square(), None if operation.weights else index)

    def combine(self, block: int, name: str, branches: Sequence[_Built]) -> _Built:
        cell = self.cell
        cell.branches.append(self.pair)
        drops = cell.drop_path_rate > 0
        cell.drop_paths.append(
            [
                DropPath(cell.drop_path_rate, dtype=cell.dtype_policy, name=f"{operation.name}_drop_path")
                if drops and operation.is_dropped
                else None
                for operation in self.pair
            ]
        )
        self.pair = []
        combine = make_combine(
            name,
            axis=cell.channel_axis,
            epsilon=cell.batch_norm_epsilon,
            dtype=cell.dtype_policy,
            name=f"block_{block}_{name}",
        )
        shapes = [branch.shape for branch in branches]
        combine.build(shapes)
        cell.combines.append(combine)
        shape = combine.compute_output_shape(shapes)
        if shape[cell.channel_axis] != cell.filters * combine_width(name):
            raise ValueError(
                f"block {block}: {name!r} makes {shape[cell.channel_axis]} channels of twice {cell.filters}: a "
                "combination of one's own must keep them"
            )
        same = branches[0].source is not None and branches[0].source == branches[1].source
        return _Built(shape, combine.output_square([branch.square for branch in branches], same))

    def fit_output(self, index: int, state: _Built) -> _Built:
        """Make a layer where the shape of a cell input is not that of the cell's outputs."""
        cell, name = self.cell, f"output_fit_{index}"
        fit: ConvolutionalLayer
        if cell.stride == 2:
            fit = FactorizedReduction(**self.config, name=name)
        elif state.shape[cell.channel_axis] != cell.filters:
            fit = Projection(**self.config, name=name)
        else:
            return state
        cell.output_fits[str(index)] = fit
        return self._fitted(fit, state.shape, state.square)

    def join(self, number: int, members: Sequence[tuple[int, _Built]]) -> float:
        return sum(state.square for _, state in members) / len(members)


State = TypeVar("State")
Branch = TypeVar("Branch")
Output = TypeVar("Output")


class _Visitor(ABC, Generic[State, Branch, Output]):
    """Visits a cell that is built: finds the layer of each step."""

    def __init__(self, cell: Cell):
        self.cell = cell

    def fit_input(self, index: int, given: State) -> State:
        fit = self.cell.fits[index]
        return given if fit is None else self.fit(fit, given, rectified=True)

    def missing_input(self, newest: State) -> State:
        return newest

    def operation(self, block: int, side: int, name: str, index: int, state: State) -> Branch:
        return self.operate(self.cell.branches[block][side], self.cell.drop_paths[block][side], state)

    def combine(self, block: int, name: str, branches: Sequence[Branch]) -> State:
        return self.combine_by(self.cell.combines[block], branches)

    def fit_output(self, index: int, state: State) -> State:
        # Outputs read cell inputs without a ReLU (TF-slim, _combine_unused_states).
        fit = self.cell.output_fits.get(str(index))
        return state if fit is None else self.fit(fit, state, rectified=False)

    def join(self, number: int, members: Sequence[tuple[int, State]]) -> Output:
        return self.concatenate([state for _, state in members])

    @abstractmethod
    def fit(self, layer: Any, state: State, rectified: bool) -> State: ...

    @abstractmethod
    def operate(self, operation: Operation, drop_path: DropPath | None, state: State) -> Branch: ...

    @abstractmethod
    def combine_by(self, combine: Combine, branches: Sequence[Branch]) -> State: ...

    @abstractmethod
    def concatenate(self, states: Sequence[State]) -> Output: ...


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


class _Calling(_Visitor[_HiddenState, Any, Any]):
    """Visits a built cell and computes tensors."""

    def fit(self, layer: Any, state: _HiddenState, rectified: bool) -> _HiddenState:
        return _HiddenState(layer(state.rectified if rectified else state.value))

    def operate(self, operation: Operation, drop_path: DropPath | None, state: _HiddenState) -> Any:
        tensor = operation(state.rectified if operation.reads_rectified else state.value)
        return tensor if drop_path is None else drop_path(tensor)

    def combine_by(self, combine: Combine, branches: Sequence[Any]) -> _HiddenState:
        return _HiddenState(combine(list(branches)))

    def concatenate(self, states: Sequence[_HiddenState]) -> Any:
        tensors = [state.value for state in states]
        return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors, axis=self.cell.channel_axis)


class _Folding(_Visitor[Any, Any, Any]):
    """Make an equal cell of plain layers."""

    def __init__(self, cell: Cell, folder: Folder):
        super().__init__(cell)
        self.folder = folder

    def fit(self, layer: Any, state: Any, rectified: bool) -> Any:
        return layer.fold(self.folder, self.folder.relu(state) if rectified else state)

    def operate(self, operation: Operation, drop_path: DropPath | None, state: Any) -> Any:
        return operation.fold(self.folder, state)

    def combine_by(self, combine: Combine, branches: Sequence[Any]) -> Any:
        return combine.fold(self.folder, branches)

    def concatenate(self, states: Sequence[Any]) -> Any:
        return states[0] if len(states) == 1 else self.folder.concatenate(states)


class _Counting(_Visitor[Shape, Shape, None]):
    """Add up multiply-adds, from the shapes of the hidden states."""

    total = 0

    def fit(self, layer: Any, state: Shape, rectified: bool) -> Shape:
        return self._count(layer, state)

    def operate(self, operation: Operation, drop_path: DropPath | None, state: Shape) -> Shape:
        return self._count(operation, state)

    def combine_by(self, combine: Combine, branches: Sequence[Shape]) -> Shape:
        return self._count(combine, branches)

    def concatenate(self, states: Sequence[Shape]) -> None:
        pass

    def _count(self, layer: Any, shape: Any) -> Shape:
        self.total += layer.mult_adds(shape)
        found: Shape = layer.compute_output_shape(shape)
        return found
