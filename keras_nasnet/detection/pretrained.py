"""Trained NASNets as the checkpoints from which the Garden's detectors start."""

import os
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
import tf_keras

from keras_nasnet.detection.backbone import NASNet, NASNetFeatures, config_of
from keras_nasnet.training.network import copy_weights
from keras_nasnet.zoo.loading import load

PREFIX = "backbone"  # of the checkpoint's files


def write_checkpoint(source: str | os.PathLike[str], folder: str | os.PathLike[str]) -> tuple[str, NASNet]:
    """Writes the checkpoint of a trained network's stem and cells, for `task.init_checkpoint`.

    Args:
        source: anything that `keras_nasnet.load` takes: a catalog name, an address, a file or folder.
        folder: to hold the checkpoint; made if it is missing.

    Returns:
        The checkpoint's prefix, and the config of a backbone of the same architecture and scaling
        of pixels. With both, `init_checkpoint_modules` is "backbone".

    Raises:
        ValueError: as `load` does, or if the folder cannot be written.
    """
    model = load(source)
    config = config_of(model)
    features = backbone_of(model, config)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{PREFIX}.", dir=folder) as temporary:
            tf.train.Checkpoint(backbone=features).write(os.path.join(temporary, PREFIX))
            for file in sorted(Path(temporary).iterdir()):  # the index, which makes it a checkpoint, comes last
                if file.suffix != ".index":
                    os.replace(file, folder / file.name)
            os.replace(Path(temporary, f"{PREFIX}.index"), folder / f"{PREFIX}.index")
    except (OSError, tf.errors.OpError) as error:
        raise ValueError(f"{folder} cannot be written ({error})") from None
    return str(folder / PREFIX), config


def backbone_of(model: Any, config: NASNet) -> NASNetFeatures:
    """Returns the Garden's backbone with the weights of a `NASNet`."""
    features = NASNetFeatures(tf_keras.layers.InputSpec(shape=[None, None, None, 3]), config, policy="float32")
    copy_weights(model, features.pyramid)
    return features
