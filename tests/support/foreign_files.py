"""Writes small nets in the formats of the public files; the package's own writers insist on the public sizes."""

import tarfile

import h5py
import numpy as np
from safetensors.numpy import save_file

from keras_nasnet.zoo.formats.keras_h5 import keras_names
from keras_nasnet.zoo.formats.slim import slim_names
from keras_nasnet.zoo.formats.timm import timm_names
from tests.support.same_weights import values


def write_keras_h5(path, model):
    names, tensors = keras_names(model), values(model)
    layers = {}
    for variable, name in names.items():
        layers.setdefault(name.split("/")[0], {})[f"{name}:0"] = tensors[variable]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        for layer, weights in layers.items():
            file.create_group(layer).attrs["weight_names"] = [name.encode() for name in weights]
            for name, tensor in weights.items():
                file[layer][name] = tensor


def write_slim(path, model):
    """The raw weights are the averages plus 1."""
    names, tensors = slim_names(model), {}
    for variable, value in values(model).items():
        averaged = "/moving_" not in variable
        tensors[names[variable]] = value + averaged
        if averaged:
            tensors[f"{names[variable]}/ExponentialMovingAverage"] = value
    write_archive(path, tensors)


def write_archive(path, tensors):
    """A .tar.gz of one TF checkpoint with these tensors by name."""
    folder = path.with_name(f"{path.name}.unpacked")
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt", tensors)
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, file.name)


def write_checkpoint(prefix, tensors):
    """A TF checkpoint with these tensors by name."""
    import tensorflow

    tensorflow.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(map(tensorflow.constant, tensors.values())),
    )


def write_timm(path, model):
    names, tensors = timm_names(model), {}
    for variable, value in values(model).items():
        axes = {2: (1, 0), 4: (2, 3, 0, 1) if variable.endswith("depthwise_kernel") else (3, 2, 0, 1)}
        tensors[names[variable]] = np.ascontiguousarray(value.transpose(axes.get(value.ndim, range(value.ndim))))
    save_file(tensors, path)
