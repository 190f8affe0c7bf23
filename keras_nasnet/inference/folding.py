"""An equal network for inference alone: fewer and plainer layers."""

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, NoReturn

import keras
import numpy as np

from keras_nasnet.accelerate import separate_relu
from keras_nasnet.accelerate.cpu_convolution import Conv2D
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.layers.convolution import channel_axis
from keras_nasnet.layers.drop_path import DropPath
from keras_nasnet.layers.relu import ReLU
from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.models.classifier import NASNet


@keras.saving.register_keras_serializable("keras_nasnet")
class FoldedNASNet(keras.Model):
    """A network for inference alone, which `fold` returns: a functional model of plain layers.

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
        NotImplementedError: if it has an operation of one's own that does not say how it is folded.

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
    """Make the folded graph, layer by layer of the original; see `layers.folder.Folder`."""

    def __init__(self, model: keras.Model):
        self.data_format = model.get_config()["data_format"]
        self.axis = channel_axis(self.data_format)
        self.dtype = keras.dtype_policies.get(model.dtype_policy)
        self.linear: list[_Linear] = []
        self._makers: dict[int, list[_Linear]] = {}  # of a tensor's channels, in order, by the tensor's id
        self._zeros: set[int] = set()  # ids of tensors
        self._computed: dict[tuple[Hashable, int], Any] = {}
        self._counts: dict[str, int] = {}
        self._tensors: list[Any] = []  # kept, so that ids stay theirs

    def call(self, layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        """Return what becomes of a layer of the original's graph."""
        if isinstance(layer, keras.layers.Dropout | DropPath):
            return args[0]
        if isinstance(layer, ReLU):
            return self.relu(args[0])
        if isinstance(layer, keras.layers.Conv2D):
            return self.convolution(layer, args[0])
        if isinstance(layer, BatchNormalization):
            return self.batch_norm(layer, args[0])
        return layer.fold(self, args[0]) if hasattr(layer, "fold") else layer(*args, **kwargs)

    def fill(self) -> None:
        """Give each convolution its kernel and bias."""
        for maker in self.linear:
            maker.layer.set_weights([array.astype(np.float32) for array in (*maker.kernels, maker.bias)])

    # --- what layers fold themselves with

    def relu(self, tensor: Any) -> Any:
        return self.once("relu", tensor, lambda: self.layer("relu", separate_relu.SeparateReLU, tensor))

    def convolution(self, layer: Any, tensor: Any, **changes: Any) -> Any:
        separable = isinstance(layer, keras.layers.SeparableConv2D)
        adapted = ("lora_rank", "lora_alpha")  # the kernel has it
        config = {name: value for name, value in layer.get_config().items() if name not in adapted}
        config |= {"use_bias": True} | changes
        kind = keras.layers.SeparableConv2D if separable else keras.layers.Conv2D
        if not separable and np.max(config["kernel_size"]) == 1 < np.max(config["strides"]):
            kind = Conv2D  # the same, with a gradient that TensorFlow computes safely
        made = kind.from_config(config | {"name": self._options("convolution")["name"]})
        outputs = self._new(made(tensor))
        variables = [layer.depthwise_kernel, layer.pointwise_kernel] if separable else [layer.kernel]
        maker = _Linear(made, [keras.ops.convert_to_numpy(variable).astype(np.float32) for variable in variables])
        if layer.use_bias:
            maker.bias = keras.ops.convert_to_numpy(layer.bias)
        self.linear.append(maker)
        self._makers[id(outputs)] = [maker]
        return outputs

    def batch_norm(self, layer: Any, tensor: Any) -> Any:
        if id(tensor) not in self._makers:
            raise NotImplementedError(f"{layer.name}: only batch normalization behind a convolution can be folded")
        mean, variance = (keras.ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance))
        gamma = keras.ops.convert_to_numpy(layer.gamma) if layer.scale else 1.0
        beta = keras.ops.convert_to_numpy(layer.beta) if layer.center else 0.0
        factor = gamma / np.sqrt(variance.astype(np.float64) + layer.epsilon)
        offset = beta - mean * factor
        start = 0
        for maker in self._makers.pop(id(tensor)):  # from here on others may read the tensor
            end = start + len(maker.bias)
            maker.scale(factor[start:end], offset[start:end])
            start = end
        return tensor

    def add(self, tensors: Sequence[Any]) -> Any:
        summands = [tensor for tensor in tensors if id(tensor) not in self._zeros] or tensors[:1]
        return summands[0] if len(summands) == 1 else self.layer("add", keras.layers.Add, list(summands))

    def concatenate(self, tensors: Sequence[Any]) -> Any:
        joined = self.layer("concat", partial(keras.layers.Concatenate, axis=self.axis), list(tensors))
        makers = [self._makers.pop(id(tensor), None) for tensor in tensors]
        if None not in makers:
            self._makers[id(joined)] = [maker for makers_of_one in makers for maker in makers_of_one or ()]
        return joined

    def pool(self, kind: str, size: int, stride: int, padding: str, tensor: Any) -> Any:
        make = {"average": keras.layers.AveragePooling2D, "max": keras.layers.MaxPooling2D}[kind]
        return self.layer(f"{kind}_pool", partial(make, size, stride, padding, data_format=self.data_format), tensor)

    def subsample_even(self, tensor: Any) -> Any:
        return self.once("subsample_even", tensor, lambda: self.pool("max", 1, 2, "valid", tensor))

    def subsample_odd(self, tensor: Any) -> Any:
        kernel = np.zeros((2, 2, tensor.shape[self.axis], 1), np.float32)
        kernel[1, 1] = 1
        # Runtimes know a convolution of any size; a slice that starts at 1 costs them transpositions.
        make = partial(
            keras.layers.DepthwiseConv2D, 2, 2, "same", use_bias=False, data_format=self.data_format
        )  # called "every_other" in networks that are saved
        return self.once("subsample_odd", tensor, lambda: self.layer("every_other", make, tensor, [kernel]))

    def zeros(self, layer: keras.layers.Layer, tensor: Any) -> Any:
        config = layer.get_config()
        outputs = self.layer("zero", lambda name, dtype: type(layer).from_config(config | {"name": name}), tensor)
        self._zeros.add(id(outputs))
        return outputs

    def layer(
        self, kind: str, make: Callable[..., keras.layers.Layer], tensor: Any, weights: Sequence[Any] = ()
    ) -> Any:
        made = make(**self._options(kind))
        outputs = self._new(made(tensor))
        if weights:
            made.set_weights(weights)
        return outputs

    def once(self, key: Hashable, tensor: Any, make: Callable[[], Any]) -> Any:
        if (key, id(tensor)) not in self._computed:
            self._computed[key, id(tensor)] = make()
            self._new(tensor)
        return self._computed[key, id(tensor)]

    # --- its parts

    def _options(self, kind: str) -> dict[str, Any]:
        """Return dtype and name of a new layer: the names are the same each time a network is folded."""
        number = self._counts[kind] = self._counts.get(kind, -1) + 1
        return {"dtype": self.dtype, "name": f"{kind}_{number}"}

    def _new(self, tensor: Any) -> Any:
        self._tensors.append(tensor)
        return tensor
