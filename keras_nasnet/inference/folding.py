"""An equal network for inference alone: fewer and plainer layers."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import keras
import numpy as np

from keras_nasnet.common.images import Preprocessing
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.convolution import FactorizedReduction, Projection, channel_axis
from keras_nasnet.layers.drop_path import DropPath
from keras_nasnet.layers.operations import Convolution, Identity, NormalizedAdd, Pool
from keras_nasnet.layers.relu import ReLU
from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.models.classifier import NASNet


@keras.saving.register_keras_serializable("keras_nasnet")
class FoldedNASNet(keras.Model):
    """A network for inference alone, which `fold` returns: a functional model of Keras' own layers.

    It cannot be trained: its batch normalization is part of its convolutions. `keras.saving.load_model` loads it
    where this package is imported.

    Args:
        inputs: Keras tensors of the graph.
        outputs: likewise.
        class_names: of the classifier, or None.
        preprocessing: how images are made into its input, or None.

    Example:
        >>> model = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=3)
        >>> fold(model).save("folded.keras")
        >>> isinstance(keras.saving.load_model("folded.keras"), FoldedNASNet)
        True
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        class_names: Sequence[str] | None = None,
        preprocessing: Preprocessing | None = None,
        **kwargs: Any,
    ):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self.class_names = None if class_names is None else tuple(class_names)
        self.preprocessing = preprocessing
        self.trainable = False

    def preprocess(self, images: Any) -> np.ndarray:
        """Return the network's input for images, see `Preprocessing`."""
        if self.preprocessing is None:
            raise ValueError("this network was folded from one that has no preprocessing")
        return self.preprocessing(images)

    def get_config(self) -> dict[str, Any]:
        graph = keras.Model(self.inputs, self.outputs[0] if len(self.outputs) == 1 else self.outputs, name=self.name)
        return {
            "graph": graph.get_config(),
            "class_names": None if self.class_names is None else list(self.class_names),
            "preprocessing": None if self.preprocessing is None else self.preprocessing.to_dict(),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "FoldedNASNet":
        graph = keras.Model.from_config(config["graph"], custom_objects=custom_objects)
        scaling = config["preprocessing"]
        return cls(
            graph.inputs,
            graph.outputs[0] if len(graph.outputs) == 1 else graph.outputs,
            config["class_names"],
            None if scaling is None else Preprocessing.from_dict(scaling),
            name=config["name"],
        )

    def compile(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ValueError(
            "a folded network is for inference alone: train the one that it was folded from, and fold again"
        )


def fold(model: NASNet | NASNetBackbone) -> FoldedNASNet:
    """Return an equal network for inference.

    Batch normalization becomes part of the convolutions in front of it; DropPath, dropout and the auxiliary
    head are gone; each ReLU and each pool of a tensor is computed once, whoever reads it.

    Args:
        model: any genotype, any size, fixed or not; its weights are copied.

    Returns:
        A model of the same inputs and outputs, equal but for rounding (1e-4 relative). For a backbone:
        its last features.

    Raises:
        TypeError: for another model.
        ValueError: for one that was built on the output of other layers (`input_tensor`).

    Example:
        >>> model = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=3)
        >>> images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
        >>> bool(np.allclose(fold(model)(images), model(images), atol=1e-5))
        True
    """
    if not isinstance(model, NASNet | NASNetBackbone):
        raise TypeError(f"model is a {type(model).__name__}: only a NASNet or a NASNetBackbone can be folded")
    check_is_whole(model)
    outputs = model.outputs[0]  # the auxiliary head's comes second
    if isinstance(model, NASNet) and model.get_config()["auxiliary_head"]:
        outputs = model.get_layer("predictions").output
    folder = _Folder(model)
    graph = keras.models.clone_model(
        keras.Model(model.inputs, outputs), clone_function=lambda layer: layer, call_function=folder.call
    )
    folder.fill()
    folded = FoldedNASNet(
        graph.inputs,
        graph.outputs[0],
        getattr(model, "class_names", None),
        getattr(model, "preprocessing", None),
        name=f"{model.name}_folded",
    )
    return folded


def check_is_whole(model: keras.Model) -> None:
    """Raise ValueError for a network behind other layers, whose configuration is not that of a network."""
    if isinstance(model, NASNet) and model.has_layers_before:
        raise ValueError(f"{model.name} has layers before the network, from its input_tensor: build it without them")


class _Linear:
    """A convolution that is being made: its layer, and the kernel and bias that it will get."""

    def __init__(self, layer: keras.layers.Layer, kernels: list[np.ndarray]):
        self.layer = layer
        self.kernels = kernels  # the last one makes the output's channels, its last axis
        self.bias = np.zeros(kernels[-1].shape[-1], np.float32)

    def scale(self, factor: np.ndarray, offset: np.ndarray) -> None:
        self.kernels[-1] = self.kernels[-1] * factor
        self.bias = self.bias * factor + offset


class _Folder:
    """Makes the folded graph, layer by layer of the original."""

    def __init__(self, model: keras.Model):
        self.data_format = model.get_config()["data_format"]
        self.axis = channel_axis(self.data_format)
        self.spatial_axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        self.dtype = keras.dtype_policies.get(model.dtype_policy)
        self.linear: list[_Linear] = []
        self._makers: dict[int, list[_Linear]] = {}  # of a tensor's channels, in order, by the tensor's id
        self._zeros: set[int] = set()  # ids of tensors
        self._computed: dict[tuple[Any, ...], Any] = {}
        self._counts: dict[str, int] = {}
        self._tensors: list[Any] = []  # kept, so that ids stay theirs

    # --- the graph

    def call(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        """What becomes of a layer of the original's graph."""
        if isinstance(layer, Cell):
            return self.cell(layer, args[0])
        if isinstance(layer, keras.layers.Dropout | DropPath):
            return args[0]
        if isinstance(layer, ReLU):
            return self.relu(args[0])
        return self.leaf(layer, args[0]) if self.is_leaf(layer) else layer(*args, **kwargs)

    def is_leaf(self, layer: keras.layers.Layer) -> bool:
        kinds = (keras.layers.Conv2D, keras.layers.SeparableConv2D, BatchNormalization, Projection, FactorizedReduction)
        return isinstance(layer, kinds)

    def leaf(self, layer: keras.layers.Layer, inputs: Any) -> Any:
        if isinstance(layer, BatchNormalization):
            return self.batch_norm(layer, inputs)
        if isinstance(layer, Projection):
            return self.batch_norm(layer.batch_norm, self.convolution(layer.convolution, inputs))
        if isinstance(layer, FactorizedReduction):
            paths = [
                self.convolution(layer.path_1, inputs, strides=2),
                self.convolution(layer.path_2, self.every_other(inputs)),
            ]
            joined = self.join(paths)
            self._makers[id(joined)] = [maker for path in paths for maker in self._makers[id(path)]]
            return self.batch_norm(layer.batch_norm, joined)
        return self.convolution(layer, inputs)

    def cell(self, cell: Cell, inputs: Any) -> Any:
        given = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        states = [
            state if fit is None else self.leaf(fit, self.relu(state))
            for state, fit in zip(given, cell.fits, strict=True)
        ]
        states += [given[0]] * (cell.spec.num_inputs - len(given))
        for block, pair, combine in zip(cell.spec.blocks, cell.branches, cell.combines, strict=True):
            branches = [self.operation(op, states[index]) for index, op in zip(block.inputs, pair, strict=True)]
            states.append(self.combine(combine, branches))
        fitted = {int(key): self.leaf(fit, states[int(key)]) for key, fit in cell.output_fits.items()}
        outputs = []
        for group in cell.spec.outputs:
            members = [fitted.get(index, states[index]) for index in group]
            outputs.append(members[0] if len(members) == 1 else self.join(members))
        return outputs[0] if len(outputs) == 1 else outputs

    def operation(self, operation: keras.layers.Layer, state: Any) -> Any:
        if isinstance(operation, Identity):
            return state if operation.projection is None else self.leaf(operation.projection, self.relu(state))
        if isinstance(operation, Pool):
            pooled = self.pool(operation, state)
            return pooled if operation.projection is None else self.leaf(operation.projection, pooled)
        if isinstance(operation, Convolution):
            tensor = state
            layers = zip(operation.steps, operation.convolutions, operation.batch_norms, strict=True)
            for step, convolution, batch_norm in layers:
                tensor = self.relu(tensor)
                if step.dilation == 2 and operation.stride == 2:
                    tensor = self.every_second(tensor)
                tensor = self.batch_norm(batch_norm, self.convolution(convolution, tensor))
            return tensor
        zeros = operation.from_config(operation.get_config() | {"name": self.options("zero")["name"]})
        outputs = self.new(zeros(state))
        self._zeros.add(id(outputs))
        return outputs

    def combine(self, combine: keras.layers.Layer, branches: list[Any]) -> Any:
        if isinstance(combine, keras.layers.Concatenate):
            return self.join(branches)
        summands = [branch for branch in branches if id(branch) not in self._zeros] or branches[:1]
        total = summands[0]
        if len(summands) > 1:
            total = self.new(keras.layers.Add(**self.options("add"))(summands))
        if not isinstance(combine, NormalizedAdd):
            return total
        layer = combine.normalization
        made = keras.layers.GroupNormalization.from_config(layer.get_config() | {"name": self.options("norm")["name"]})
        outputs = self.new(made(total))
        made.set_weights(layer.get_weights())
        return outputs

    def join(self, tensors: list[Any]) -> Any:
        return self.new(keras.layers.Concatenate(axis=self.axis, **self.options("concat"))(tensors))

    def options(self, kind: str) -> dict[str, Any]:
        """Dtype and name of a new layer: the names are the same each time a network is folded."""
        number = self._counts[kind] = self._counts.get(kind, -1) + 1
        return {"dtype": self.dtype, "name": f"{kind}_{number}"}

    # --- its parts

    def relu(self, tensor: Any) -> Any:
        return self.once("relu", tensor, None, lambda: keras.layers.ReLU(**self.options("relu"))(tensor))

    def pool(self, operation: Pool, tensor: Any) -> Any:
        kind, size, stride = operation.kind, operation.pool_size, operation.stride
        zeros_count = stride == 2 and (
            operation.pool_padding == "keras" or (operation.pool_padding == "timm" and kind == "average")
        )

        def make() -> Any:
            lengths = [tensor.shape[axis] for axis in self.spatial_axes]
            if not zeros_count:
                return self.plain_pool(kind, size, stride, "same", tensor)
            if None not in lengths:
                totals = [max((-(-length // stride) - 1) * stride + size - length, 0) for length in lengths]
                padding = [(total // 2, total - total // 2) for total in totals]
                return self.plain_pool(kind, size, stride, "valid", self.zero_pad(tensor, padding))
            # How many zeros there are is known when it runs: to no plain layer, but to ours.
            plain = {"filters": tensor.shape[self.axis], "name": self.options("pool")["name"]}
            return Pool.from_config(operation.get_config() | plain)(tensor)

        return self.once("pool", tensor, (kind, size, stride, zeros_count), make)

    def plain_pool(self, kind: str, size: int, stride: int, padding: str, tensor: Any) -> Any:
        make = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}[kind]
        layer = make(size, stride, padding, data_format=self.data_format, **self.options(f"{kind}_pool"))
        return layer(tensor)

    def zero_pad(self, tensor: Any, padding: Any) -> Any:
        return keras.layers.ZeroPadding2D(padding, data_format=self.data_format, **self.options("pad"))(tensor)

    def every_second(self, tensor: Any) -> Any:
        return self.once("every_second", tensor, None, lambda: self.plain_pool("max", 1, 2, "valid", tensor))

    def every_other(self, tensor: Any) -> Any:
        """Every second pixel from the second one on; a zero stands in past an odd border, see `subsample`."""
        channels = tensor.shape[self.axis]
        kernel = np.zeros((2, 2, channels, 1), np.float32)
        kernel[1, 1] = 1

        def make() -> Any:
            # Runtimes know a convolution of any size; a slice that starts at 1 costs them transpositions.
            layer = keras.layers.DepthwiseConv2D(
                2, 2, "same", use_bias=False, data_format=self.data_format, **self.options("every_other")
            )
            outputs = layer(tensor)
            layer.set_weights([kernel])
            return outputs

        return self.once("every_other", tensor, None, make)

    def convolution(self, layer: keras.layers.Layer, tensor: Any, **changes: Any) -> Any:
        kind = keras.layers.SeparableConv2D if isinstance(layer, keras.layers.SeparableConv2D) else keras.layers.Conv2D
        config = layer.get_config() | {"use_bias": True} | changes
        made = kind.from_config(config | {"name": self.options("convolution")["name"]})
        outputs = self.new(made(tensor))
        separable = kind is keras.layers.SeparableConv2D
        variables = [layer.depthwise_kernel, layer.pointwise_kernel] if separable else [layer.kernel]
        maker = _Linear(made, [keras.ops.convert_to_numpy(variable).astype(np.float32) for variable in variables])
        if layer.use_bias:
            maker.bias = keras.ops.convert_to_numpy(layer.bias)
        self.linear.append(maker)
        self._makers[id(outputs)] = [maker]
        return outputs

    def batch_norm(self, layer: BatchNormalization, tensor: Any) -> Any:
        """Puts the layer into the convolutions that made the tensor, which nobody else reads."""
        mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
        gamma = keras.ops.convert_to_numpy(layer.gamma) if layer.scale else 1.0
        beta = keras.ops.convert_to_numpy(layer.beta) if layer.center else 0.0
        factor = gamma / np.sqrt(variance.astype(np.float64) + layer.epsilon)
        offset = beta - mean * factor
        start = 0
        for maker in self._makers[id(tensor)]:
            end = start + len(maker.bias)
            maker.scale(factor[start:end], offset[start:end])
            start = end
        return tensor

    def fill(self) -> None:
        """Gives each convolution its kernel and bias."""
        for maker in self.linear:
            maker.layer.set_weights([array.astype(np.float32) for array in (*maker.kernels, maker.bias)])

    def once(self, kind: str, tensor: Any, options: Any, make: Callable[[], Any]) -> Any:
        key = (kind, id(tensor), options)
        if key not in self._computed:
            self._computed[key] = self.new(make())
            self.new(tensor)
        return self._computed[key]

    def new(self, tensor: Any) -> Any:
        self._tensors.append(tensor)
        return tensor
