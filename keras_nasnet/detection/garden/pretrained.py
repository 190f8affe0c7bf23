"""Trained NASNets as the backbones from which the Garden's detectors start, and back."""

import os
from pathlib import Path

import tensorflow as tf
import tf_keras
import yaml

from keras_nasnet.common.files import temporary_folder
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.detection.detector_folder import is_detector
from keras_nasnet.detection.garden import checkpoints
from keras_nasnet.detection.garden.backbone import (
    TYPE,
    NASNetBackboneConfig,
    NASNetFeatures,
    config_of,
    network_arguments,
)
from keras_nasnet.detection.garden.params import read_params
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.weights import copy_weights
from keras_nasnet.zoo.loading import load

PREFIX, YAML = "backbone", "backbone.yaml"


def write_checkpoint(
    source: str | os.PathLike[str], folder: str | os.PathLike[str]
) -> tuple[str, NASNetBackboneConfig]:
    """Write the checkpoint of a trained network's stem and cells, and the YAML that goes with it.

    Args:
        source: anything that `keras_nasnet.load` takes: a catalog name, an address, a file or folder;
            or the folder of a detector, whose backbone it is then.
        folder: to hold backbone.index, backbone.data-*, and backbone.yaml, which the Garden's
            `--config_file` takes; made if it is missing.

    Returns:
        The checkpoint's prefix, for `task.init_checkpoint`, and the backbone's config.

    Raises:
        ValueError: as `load` does, or if the folder cannot be written.

    Example:
        >>> prefix, config = write_checkpoint("nasnet_a_cifar10", "start")
        >>> prefix
        '/.../start/backbone'
        >>> config.stem, config.penultimate_filters
        ('cifar', 384)
    """
    model = network(source)
    config = config_of(model)
    folder = Path(folder)
    prefix = folder.absolute() / PREFIX
    settings = {
        "task": {
            "init_checkpoint": str(prefix),
            "init_checkpoint_modules": "backbone",
            "model": {"backbone": {"type": TYPE, TYPE: config.as_dict()}},
        }
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder / PREFIX) as temporary:
            tf.train.Checkpoint(backbone=backbone_of(model, config)).write(str(temporary / PREFIX))
            (temporary / YAML).write_text(yaml.safe_dump(settings), encoding="utf-8")
            # The index, which makes it a checkpoint, comes last.
            for file in sorted(temporary.iterdir(), key=lambda file: file.suffix == ".index"):
                os.replace(file, folder / file.name)
    except (OSError, tf.errors.OpError) as error:
        raise ValueError(f"{folder} cannot be written ({error})") from None
    return str(prefix), config


def backbone_of(model: NASNet, config: NASNetBackboneConfig) -> NASNetFeatures:
    """Return the Garden's backbone with the weights of a network."""
    features = _features(config)
    copy_weights(model, features.pyramid)
    return features


def network(source: str | os.PathLike[str]) -> NASNet:
    """Return a trained network; that of a detector has no classifier.

    Args:
        source: anything that `keras_nasnet.load` takes, or the folder of a detector.

    Raises:
        ValueError: as `keras_nasnet.load` does, or if the detector is damaged.

    Example:
        >>> network("nasnet_a_cifar10").class_names[:3]
        ('airplane', 'automobile', 'bird')
    """
    if not is_detector(source):
        return load(source)
    folder = Path(source)
    config = read_params(folder).task.model.backbone.get()
    features = _features(config)
    checkpoints.restore(tf.train.Checkpoint(backbone=features), folder)
    preprocessing = Preprocessing(None, None, mean=tuple(config.mean), std=tuple(config.std))
    model = NASNet(**network_arguments(config), include_top=False, preprocessing=preprocessing)
    copy_weights(features.pyramid, model)
    return model


def _features(config: NASNetBackboneConfig) -> NASNetFeatures:
    return NASNetFeatures(tf_keras.layers.InputSpec(shape=[None, None, None, 3]), config, policy="float32")
