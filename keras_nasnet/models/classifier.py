"""NASNet: the image classifier, from any genotype at any size."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_nasnet.common import limits
from keras_nasnet.common.escape import shown
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.genotype import Genotype
from keras_nasnet.layers.batch_norm import BatchNormalization
from keras_nasnet.layers.convolution import RECTIFIED, Projection, initial_variance, kernel_initializer
from keras_nasnet.layers.inner_layers import InnerLayers, without_inner_config
from keras_nasnet.layers.relu import ReLU
from keras_nasnet.models import arguments
from keras_nasnet.models.body import Body
from keras_nasnet.models.fingerprint import fingerprint
from keras_nasnet.models.freezing import Freezing
from keras_nasnet.models.predictor import OPENERS, Predictor


@keras.saving.register_keras_serializable("keras_nasnet")
class NASNet(InnerLayers, Freezing, keras.Model):
    """A NASNet image classifier, or its features.

    Input: float images (batch, height, width, 3), at least 32x32, preprocessed as
    `preprocess` does. Output: (batch, classes) probabilities in float32 whatever the dtype
    policy; with `auxiliary_head`, a dict of "predictions" and "auxiliary_predictions";
    without top, the rectified last features, (batch, height, width, channels) or pooled.

    Args:
        genotype: "nasnet_a", "nasnet_b", "nasnet_c" or any `Genotype`.
        num_blocks: N of the paper's "N @ P": normal cells at each of the three
            resolutions; or three numbers.
        penultimate_filters: P of "N @ P". The first cells have F = P // ratio filters; the
            ratio is 24 for NASNet-A and B, 20 for C (`Genotype.penultimate_ratio`).
        stem: "imagenet" (the image is reduced by 8 before the first normal cell) or "cifar"
            (not at all).
        stem_filters: filters of the first convolution. Default: 32 for imagenet, 3F for cifar.
        skip_reduction: the cell behind a reduction takes the reduction's own previous input
            (NASNet-A Large).
        pool_padding: border of strided pools: "same" (TF-slim), "keras" (keras.applications) or
            "timm". The same weights give other features with each, by about 1e-2.
        drop_path_rate: 1 - keep probability of the last cell's branches while training.
        auxiliary_head: adds the second classifier behind cell 2N - 1, which only training
            uses. Needs a fixed input size; its full-size kernel belongs to that size.
        dropout: rate in front of the classifier.
        batch_norm_momentum: default 0.9997 for the imagenet stem, 0.9 for cifar.
        batch_norm_epsilon: default 1e-3 for the imagenet stem, 1e-5 for cifar.
        include_top: whether the classifier is there.
        pooling: without top, None, "avg" or "max" over height and width.
        classes: number of classes.
        classifier_activation: "softmax", or None for logits.
        input_shape: (height, width, 3), each from 32 up or None. Default: any size for the
            imagenet stem (224 with `auxiliary_head`), 32 for cifar.
        input_tensor: a Keras tensor to build on instead of a new input.
        class_names: names of the classes in order; saved with the model.
        preprocessing: how images are made into inputs; saved with the model. Default: scaled
            to [-1, 1], as all public weights want.
        data_format: "channels_last" or "channels_first"; default as Keras is configured.
        **kwargs: `trainable`, and `inner_layers`: what `get_config` says of layers that were frozen, quantized or
            given LoRA since the network was made.

    Source: arXiv 1707.07012; wiring and constants of TF-slim's nasnet.py.

    Raises:
        ValueError: if an argument is out of range; the message says what may be.

    Example:
        >>> network = NASNet("nasnet_a", num_blocks=1, penultimate_filters=48, stem="cifar", classes=10)
        >>> keras.ops.shape(network(np.zeros((2, 32, 32, 3))))
        (2, 10)
        >>> network.preprocess(np.full((1, 32, 32, 3), 255, "uint8")).max()
        np.float32(1.0)
    """

    def __init__(
        self,
        genotype: str | Genotype | dict[str, Any] = "nasnet_a",
        num_blocks: int | Sequence[int] = 4,
        penultimate_filters: int = 1056,
        stem: str = "imagenet",
        stem_filters: int | None = None,
        skip_reduction: bool = False,
        pool_padding: str = "same",
        drop_path_rate: float = 0.0,
        auxiliary_head: bool = False,
        dropout: float = 0.0,
        batch_norm_momentum: float | None = None,
        batch_norm_epsilon: float | None = None,
        include_top: bool = True,
        pooling: str | None = None,
        classes: int = 1000,
        classifier_activation: Any = "softmax",
        input_shape: Sequence[int | None] | None = None,
        input_tensor: Any = None,
        class_names: Sequence[str] | None = None,
        preprocessing: "Preprocessing | dict[str, Any] | None" = None,
        data_format: str | None = None,
        dtype: Any = None,
        name: str = "nasnet",
        **kwargs: Any,
    ):
        body = Body(
            genotype,
            num_blocks,
            penultimate_filters,
            stem=stem,
            stem_filters=stem_filters,
            skip_reduction=skip_reduction,
            pool_padding=pool_padding,
            drop_path_rate=drop_path_rate,
            batch_norm_momentum=batch_norm_momentum,
            batch_norm_epsilon=batch_norm_epsilon,
            data_format=data_format,
            dtype=dtype,
        )
        arguments.one_of("pooling", pooling, (None, "avg", "max"))
        include_top = arguments.truth("include_top", include_top)
        auxiliary_head = arguments.truth("auxiliary_head", auxiliary_head)
        if auxiliary_head and not include_top:
            raise ValueError("auxiliary_head is a classifier: it needs include_top=True")
        dropout = arguments.number("dropout", dropout, 0, 1)
        if include_top:
            classes = arguments.whole("classes", classes, 1, limits.NETWORK_CLASSES)
            more = 0
            if auxiliary_head and input_tensor is None and input_shape is not None:
                shape = body.input_shape(input_shape, None)
                sides = shape[1:] if body.data_format == "channels_first" else shape[:2]
                more = arguments.auxiliary_parameters(sides, stem)
            arguments.check_size(body.sizes, classes, more)
        class_names = arguments.class_names(class_names, classes if include_top else None)
        classifier_activation = activation_name(classifier_activation)
        if isinstance(preprocessing, dict):
            preprocessing = Preprocessing.from_dict(preprocessing)
        elif preprocessing is not None and not isinstance(preprocessing, Preprocessing):
            raise ValueError(f"preprocessing is {shown(preprocessing)}: give a Preprocessing, or its dict")

        # === Functional Model ===
        if input_tensor is None:
            default = 32 if stem == "cifar" else 224 if auxiliary_head else None
            image_shape = body.input_shape(input_shape, default)
            inputs = keras.Input(image_shape, name="image")
        else:
            image_shape = body.input_shape(input_tensor.shape[1:], None)
            inputs = input_tensor
        features = body.apply(inputs)
        outputs = body.rectify(list(features.outputs.values())[-1], name="features")
        # The head computes in the variables' dtype: float32 under mixed precision.
        dtype = body.dtype.variable_dtype
        pool = "avg" if include_top else pooling
        if pool is not None:
            layer = keras.layers.GlobalAveragePooling2D if pool == "avg" else keras.layers.GlobalMaxPooling2D
            outputs = layer(data_format=body.data_format, dtype=dtype, name=f"{pool}_pool")(outputs)
        if include_top:
            if dropout:
                outputs = keras.layers.Dropout(dropout, dtype=dtype, name="dropout")(outputs)
            outputs = _classifier(outputs, classes, classifier_activation, dtype, "predictions")
        if auxiliary_head:
            behind = features.outputs[f"cell_{sum(body.stages[:2]) - 1}"]
            auxiliary = _auxiliary_head(body, behind, classes, classifier_activation, dtype)
            outputs = {"predictions": outputs, "auxiliary_predictions": auxiliary}
        if input_tensor is not None:
            inputs = keras.utils.get_source_inputs(input_tensor)
        super().__init__(inputs=inputs, outputs=outputs, name=name, **kwargs)

        # === Config ===
        self.preprocessing = preprocessing or _default_preprocessing(body, image_shape)
        self.class_names = class_names
        self._policy = body.dtype
        self.cell_names = tuple(plan.name for plan in body.plans)
        self._channels_first = body.data_format == "channels_first"
        self.has_layers_before = input_tensor is not None and not any(input_tensor is source for source in inputs)
        self._config = body.get_config() | {
            "auxiliary_head": auxiliary_head,
            "dropout": dropout,
            "include_top": include_top,
            "pooling": pooling,
            "classes": classes,
            "classifier_activation": classifier_activation,
            "input_shape": list(image_shape),
        }

    def preprocess(self, images: Any) -> Any:
        """Return the model's input for images: paths, PIL images or arrays of pixels 0..255.

        See `Preprocessing.__call__`; float32, in the model's data format.
        """
        batch = self.preprocessing(images)
        return batch.transpose(0, 3, 1, 2) if self._channels_first else batch

    def predict_images(
        self, images: Any, engine: str | None = None, batch: int | None = None, precision: str = "float32"
    ) -> np.ndarray:
        """Return the probabilities of the classes, float32 (n, classes), by the fastest engine that is installed.

        The network is compiled the first time that this machine sees its weights, which takes seconds. They are
        read anew at each call, in case they have changed: for many calls with few images keep a `predictor`.

        Args:
            images: one image or any number of them, as `Predictor.predict_images` takes them: paths, PIL images, or
                arrays of pixels 0..255.
            engine: "openvino", "onnxruntime", "litert", or "tensorflow" for the Keras model itself; or one that was
                added to `keras_nasnet.inference.ENGINES`. Default: the first of these that is installed.
            batch: images of a batch; by default 64 up to 200 pixels, else 8.
            precision: "float32", or "bfloat16", which is faster where the processor has instructions for it and
                moves probabilities a little; OpenVINO alone knows it.

        Raises:
            ValueError: if the network has no classifier, the engine is not installed or does not know the precision,
                there is no image, or one cannot be read.
        """
        return self.predictor(engine, precision).predict_images(images, batch)

    def predictor(self, engine: str | None = None, precision: str = "float32") -> Predictor:
        """Return the `Predictor` that `predict_images` uses: it keeps the weights that the model has now.

        Args:
            engine: as in `predict_images`.
            precision: likewise.
        """
        identity = fingerprint(self)
        wanted = (identity, engine, precision)
        known: tuple[Any, Predictor] | None = getattr(self, "_last_predictor", None)
        if known is None or known[0] != wanted:
            known = wanted, OPENERS.get("engines")(self.name, identity, lambda: self, engine, precision)
            self._last_predictor = known
        return known[1]

    def get_config(self) -> dict[str, Any]:
        if self.has_layers_before:  # they belong to the model, so all layers are listed
            config = keras.Model(self.inputs, self.output, name=self.name).get_config()
            return config | {"trainable": self.trainable}
        config = self._config | {
            "dtype": keras.saving.serialize_keras_object(self._policy),  # a map of policies may have changed
            "class_names": None if self.class_names is None else list(self.class_names),
            "preprocessing": self.preprocessing.to_dict(),
            "name": self.name,
        }
        return config | ({} if self.trainable else {"trainable": False}) | self.inner_config()

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make another network of this kind, whose layers are as they are made.

        `get_config` also says which layers are frozen, quantized or have LoRA.

        Example:
            >>> network = NASNet(num_blocks=1, penultimate_filters=48, stem="cifar", trainable=False)
            >>> NASNet(**network.arguments() | {"classes": 3}).trainable
            True
        """
        return without_inner_config(self.get_config())

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> keras.Model:
        if "layers" in config:
            return keras.Model.from_config(config, custom_objects)
        return cls(**config)


def activation_name(activation: Any) -> str:
    """Return the name of one of Keras' activations.

    Args:
        activation: the name, None for "linear", or the function.

    Raises:
        ValueError: if it is none of those: a layer or a function of one's own would be code in a configuration.
    """
    name: Any = "linear" if activation is None else activation
    if inspect.isfunction(activation):
        own_name: str = activation.__name__
        name = own_name if getattr(keras.activations, own_name, None) is activation else activation
    if not isinstance(name, str) or name in ("deserialize", "get", "serialize") or not hasattr(keras.activations, name):
        raise ValueError(
            f"classifier_activation is {shown(activation)}: give 'softmax', None for logits, or another name in "
            "keras.activations"
        )
    return name


def _default_preprocessing(body: Body, image_shape: Sequence[int | None]) -> Preprocessing:
    height, width = image_shape[1:] if body.data_format == "channels_first" else image_shape[:2]
    return Preprocessing(height, width) if height and width else Preprocessing(None, None)


def _classifier(inputs: Any, classes: int, activation: Any, dtype: Any, name: str) -> Any:
    return keras.layers.Dense(
        classes, activation=activation, kernel_initializer=kernel_initializer(), dtype=dtype, name=name
    )(inputs)


def _auxiliary_head(body: Body, hidden_states: Sequence[Any], classes: int, activation: Any, dtype: Any) -> Any:
    """The second classifier of the released code (nasnet.py, _build_aux_head)."""
    options = {"data_format": body.data_format, "dtype": body.dtype}
    batch_norm: dict[str, Any] = {
        "batch_norm_momentum": body.batch_norm_momentum,
        "batch_norm_epsilon": body.batch_norm_epsilon,
    }
    tensor = body.rectify(hidden_states, name="auxiliary_rectified")
    shape = tensor.shape[2:] if body.channel_axis == 1 else tensor.shape[1:3]
    if None in shape:
        raise ValueError("auxiliary_head needs a fixed input size: give input_shape in whole numbers")
    if min(shape) < 5:
        raise ValueError(
            f"auxiliary_head pools 5x5 pixels, but behind cell 2N - 1 are only {shape[0]}x{shape[1]}: use larger images"
        )
    tensor = keras.layers.AveragePooling2D(5, strides=3, padding="valid", name="auxiliary_pool", **options)(tensor)
    projection = Projection(128, name="auxiliary_projection", **batch_norm, **options)
    projection.input_square = RECTIFIED
    tensor = projection(tensor)
    tensor = ReLU(dtype=body.dtype, name="auxiliary_projection_rectified")(tensor)
    size = tensor.shape[2:] if body.channel_axis == 1 else tensor.shape[1:3]
    tensor = keras.layers.Conv2D(
        768,
        size,
        use_bias=False,
        kernel_initializer=kernel_initializer(),
        name="auxiliary_convolution",
        **options,
    )(tensor)
    tensor = BatchNormalization(
        axis=body.channel_axis,
        momentum=body.batch_norm_momentum,
        epsilon=body.batch_norm_epsilon,
        moving_variance_initializer=keras.initializers.Constant(initial_variance(RECTIFIED, 128, 768)),
        dtype=body.dtype,
        name="auxiliary_batch_norm",
    )(tensor)
    tensor = ReLU(dtype=body.dtype, name="auxiliary_convolution_rectified")(tensor)
    tensor = keras.layers.Flatten(dtype=dtype, name="auxiliary_flatten")(tensor)
    return _classifier(tensor, classes, activation, dtype, "auxiliary_predictions")
