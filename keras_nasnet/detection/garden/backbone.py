"""The backbone type `nasnet` of the Model Garden: a Keras 3 NASNet inside a tf_keras model."""

import dataclasses
import logging
from typing import Any

import keras
import tensorflow as tf
import tf_keras
from official.modeling import hyperparams
from official.vision.modeling.backbones import factory
from official.vision.ops import preprocess_ops

from keras_nasnet.genotype import Genotype
from keras_nasnet.models.backbone import NASNetBackbone
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.training.network import train_all

TYPE = "nasnet"
_SLOW_MOMENTUM = 0.999  # above it, statistics need thousands of steps to leave their first values


@dataclasses.dataclass
class NASNetBackboneConfig(hyperparams.Config):
    """Config of a NASNet backbone, in a YAML file below `task.model.backbone.nasnet`.

    Args:
        model_id: one of `keras_nasnet.variants()`; what follows replaces its values where it is not None.
        genotype: "nasnet_a", "nasnet_b", "nasnet_c", a .json file, or a genotype's JSON itself.
        num_blocks: N, the normal cells at each of the three resolutions, or three numbers.
        penultimate_filters: P.
        stem: "imagenet" (levels 2 to 5) or "cifar" (levels 0 to 2).
        stem_filters: filters of the stem's convolution.
        skip_reduction: as in the large network.
        pool_padding: "same", "keras" or "timm".
        freeze_batch_norm: BN keeps its statistics, scales and offsets.
        batch_norm_momentum: of the moving statistics. Networks trained for days use 0.9997, with
            which a run of a few thousand steps never sees its own statistics.
        batch_norm_epsilon: 1e-3 is what the published ImageNet weights were trained with.
        mean: what the network subtracts from the pixels' red, green and blue, 0..255.
        std: by which it divides the difference.
    """

    model_id: str = "nasnet_a_4_1056_imagenet"
    genotype: str | None = None
    num_blocks: Any = None
    penultimate_filters: int | None = None
    stem: str | None = None
    stem_filters: int | None = None
    skip_reduction: bool | None = None
    pool_padding: str = "same"
    freeze_batch_norm: bool = False
    batch_norm_momentum: float = 0.99
    batch_norm_epsilon: float = 1e-3
    mean: list[float] = dataclasses.field(default_factory=lambda: [127.5] * 3)
    std: list[float] = dataclasses.field(default_factory=lambda: [127.5] * 3)


_OF_THE_NETWORK = ("genotype", "num_blocks", "penultimate_filters", "stem", "stem_filters", "skip_reduction")
_OF_THE_RUN = ("pool_padding", "batch_norm_momentum", "batch_norm_epsilon")


def network_arguments(config: NASNetBackboneConfig) -> dict[str, Any]:
    """Return the arguments of `NASNetBackbone` that a config means.

    Raises:
        ValueError: if there is no such `model_id`.
    """
    if config.model_id not in VARIANTS:
        raise ValueError(f"model_id is {config.model_id!r}: choose from {', '.join(sorted(VARIANTS))}")
    chosen = {name: VARIANTS[config.model_id][name] for name in _OF_THE_NETWORK if name in VARIANTS[config.model_id]}
    for name in _OF_THE_NETWORK + _OF_THE_RUN:
        if (value := getattr(config, name)) is not None:
            chosen[name] = value
    if str(chosen["genotype"]).startswith("{"):
        chosen["genotype"] = Genotype.from_json(chosen["genotype"])
    if not isinstance(chosen["num_blocks"], int):
        chosen["num_blocks"] = tuple(chosen["num_blocks"])
    return chosen


def config_of(model: NASNet, **replaced: Any) -> NASNetBackboneConfig:
    """Return the config with which the backbone has the architecture of a trained network."""
    config = model.get_config()
    chosen = {name: config[name] for name in (*_OF_THE_NETWORK, "pool_padding", "batch_norm_epsilon") if name in config}
    chosen["genotype"] = Genotype.from_dict(chosen["genotype"]).to_json(indent=None)
    if not isinstance(chosen["num_blocks"], int):
        chosen["num_blocks"] = list(chosen["num_blocks"])
    scaling = {"mean": list(model.preprocessing.mean), "std": list(model.preprocessing.std)}
    return NASNetBackboneConfig(**chosen | scaling | replaced)


class NASNetFeatures(tf_keras.Model):
    """A NASNet as the Garden's detectors want their backbones.

    The Garden runs on tf_keras, NASNet on Keras 3. tf_keras never sees the Keras 3 model, only
    its TensorFlow variables, by their paths: these are the keys of checkpoints.

    Args:
        input_specs: `tf_keras.layers.InputSpec` of shape (None, height, width, 3); height and
            width are multiples of the deepest level's stride, or None.
        config: which network.
        l2_regularizer: `tf_keras.regularizers.L2` for convolutions' kernels; None for none.
        policy: name of the dtype policy; default: that of tf_keras.

    Input: float images as the Garden normalizes them, (RGB / 255 - mean) / std with
    `official.vision.ops.preprocess_ops.MEAN_NORM` and STDDEV_NORM.
    Output: {"2": features at 1/4 of the image's resolution, "3": at 1/8, ...}.

    Raises:
        ValueError: for a size that the levels cannot halve evenly, or an impossible network.
    """

    def __init__(
        self,
        input_specs: Any,
        config: NASNetBackboneConfig,
        l2_regularizer: Any = None,
        policy: str | None = None,
        name: str = TYPE,
    ):
        super().__init__(name=name)
        policy = policy or tf_keras.mixed_precision.global_policy().name
        backbone = NASNetBackbone(**network_arguments(config), dtype=policy)
        if config.batch_norm_momentum > _SLOW_MOMENTUM and not config.freeze_batch_norm:
            steps = round(3 / (1 - config.batch_norm_momentum))
            logging.warning(
                f"batch_norm_momentum is {config.batch_norm_momentum}: in a run of fewer than {steps:,} steps "
                "evaluation sees statistics that training has left behind; 0.99 suits short runs"
            )
        height, width = input_specs.shape[1:3]
        deepest = max(backbone.strides.values())
        if any(side is not None and side % deepest for side in (height, width)):
            raise ValueError(f"input_size is {height} x {width}: both must be multiples of {deepest}")
        train_all(backbone, freeze_batch_norm=config.freeze_batch_norm)
        # The ImageNet stem's own convolution pads nothing: its level is a pixel short of half the image.
        outputs = dict(backbone.pyramid_outputs)
        if backbone.get_config()["stem"] == "imagenet":
            del outputs["P1"]
        pyramid = keras.Model(backbone.inputs, outputs, name="pyramid")
        # In a function tf_keras does not look: as an attribute the model would be taken for a layer of its own.
        self._pyramid = lambda: pyramid
        self._config = lambda: config
        self.nasnet = {variable.path: variable.value for variable in pyramid.weights}
        self._trained = lambda: [variable.value for variable in pyramid.trainable_weights]
        self._fixed = lambda: [variable.value for variable in pyramid.non_trainable_weights]
        if l2_regularizer is not None:
            kernels = [v.value for v in pyramid.trainable_weights if v.name.endswith("kernel")]
            nothing = tf.zeros([])
            self.add_loss(lambda: tf.add_n([l2_regularizer(k) for k in kernels]) if self.trainable else nothing)
        self.output_specs = {
            level.removeprefix("P"): tf.TensorShape(
                [None, *(side and side // stride for side in (height, width)), backbone.channels[level]]
            )
            for level, stride in backbone.strides.items()
            if level in outputs
        }

    def call(self, inputs: Any, training: Any = None) -> dict[str, Any]:
        config = self._config()
        # (pixel - mean) / std of the network, from what the Garden made of the pixel.
        theirs_mean, theirs_std = (255 * tf.constant(v) for v in (preprocess_ops.MEAN_NORM, preprocess_ops.STDDEV_NORM))
        pixels = tf.cast(inputs, tf.float32) * theirs_std + theirs_mean
        images = (pixels - tf.constant(config.mean)) / tf.constant(config.std)
        features = self._pyramid()(images, training=bool(training and self.trainable))
        return {level.removeprefix("P"): tensor for level, tensor in features.items()}

    @property
    def trainable_weights(self) -> list[Any]:
        return self._trained() if self.trainable else []

    @property
    def non_trainable_weights(self) -> list[Any]:
        return self._fixed() if self.trainable else self._trained() + self._fixed()

    @property
    def pyramid(self) -> keras.Model:
        """The Keras 3 model, whose variables these are."""
        return self._pyramid()


@factory.register_backbone_builder(TYPE)
def build_nasnet(
    input_specs: Any, backbone_config: Any, norm_activation_config: Any, l2_regularizer: Any = None
) -> NASNetFeatures:
    """Build the backbone as the Garden asks for it; `norm_activation_config`, which is of the heads, is ignored."""
    return NASNetFeatures(input_specs, backbone_config.get(), l2_regularizer)
