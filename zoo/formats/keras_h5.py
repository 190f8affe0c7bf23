"""Weights of keras.applications' NASNets: read from legacy `.h5` and Keras 3 `.weights.h5`, written as legacy `.h5`."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from keras_nasnet.zoo.formats import h5_file
from keras_nasnet.zoo.formats.assign import (
    Report,
    assign,
    check_counterpart,
    check_file,
    network_config,
    rename,
    variable_paths,
    weights_of,
)
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

_SUFFIX = r"(gamma|beta|moving_mean|moving_variance|kernel|depthwise_kernel|pointwise_kernel|bias)"
_PATTERNS = [
    (rf"stem_convolution/{_SUFFIX}", r"stem_conv1/\1"),
    (rf"stem_batch_norm/{_SUFFIX}", r"stem_bn1/\1"),
    (rf"predictions/{_SUFFIX}", r"predictions/\1"),
]
# Inside a cell; "KIND" and "ID" are put in for each cell.
_CELL_PATTERNS = [
    (rf"fit_0/convolution/{_SUFFIX}", r"KIND_conv_1_ID/\1"),
    (rf"fit_0/batch_norm/{_SUFFIX}", r"KIND_bn_1_ID/\1"),
    (rf"fit_1/path_(\d)/{_SUFFIX}", r"adjust_conv_\1_ID/\2"),
    (rf"fit_1/convolution/{_SUFFIX}", r"adjust_conv_projection_ID/\1"),
    (rf"fit_1/batch_norm/{_SUFFIX}", r"adjust_bn_ID/\1"),
    (rf"block_(\d)_(left|right)/convolution_(\d)/{_SUFFIX}", r"separable_conv_\3_KIND_\2BLOCK_ID/\4"),
    (rf"block_(\d)_(left|right)/batch_norm_(\d)/{_SUFFIX}", r"separable_conv_\3_bn_KIND_\2BLOCK_ID/\4"),
]
_BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
# The order of keras.applications' graph, of the layers with weights inside a cell: legacy files are read by it.
# Separable convolutions stand in groups: the blocks of one, and which of their two halves.
_SEPARABLE = [
    ("normal", ("left1", "right1", "left2", "right2", "left5"), "12"),
    ("reduction", ("left1", "right1"), "12"),
    ("reduction", ("right2",), "1"),
    ("reduction", ("right3", "left4"), "1"),
    ("reduction", ("right2",), "2"),
    ("reduction", ("right3", "left4"), "2"),
]
_ORDER = [
    *("stem_conv1", "stem_bn1", "predictions"),  # not inside a cell
    *("adjust_conv_1", "adjust_conv_2", "reduction_conv_1", "adjust_conv_projection", "normal_conv_1"),
    *("reduction_bn_1", "adjust_bn", "normal_bn_1"),
    *(
        f"separable_conv_{half}_{layer}{kind}_{block}"
        for kind, blocks, halves in _SEPARABLE
        for half in halves
        for layer in ("", "bn_")
        for block in blocks
    ),
]
_NAMES_IN_ATTRIBUTE = 500  # an attribute of HDF5 takes 64 KiB


def keras_name(variable: str, num_blocks: int) -> str:
    """Return the layer and weight of keras.applications ("adjust_bn_0/gamma") for a variable's path.

    Args:
        variable: path of a variable of a `NASNet`.
        num_blocks: N of the network; the numbers of the layers depend on it.
    """
    cell, _, rest = variable.partition("/")
    family, _, digits = cell.rpartition("_")
    if family not in ("stem", "cell", "reduction") or not digits.isdigit():
        return rename(variable, _PATTERNS)
    number = int(digits)
    if family == "cell":  # the number N is the first reduction cell's; the second takes none
        kind, identifier = "normal", str(number if number < num_blocks else number + 1)
    else:
        kind = "reduction"
        identifier = f"stem_{number + 1}" if family == "stem" else f"reduce_{(number + 1) * num_blocks}"
    block = ""
    if rest.startswith("block_"):
        index = int(rest.split("_")[1])
        # keras.applications calls the fifth block of its reduction cells "left4", like the fourth.
        block = "4" if kind == "reduction" and index == 4 else str(index + 1)
    try:
        name = rename(rest, _CELL_PATTERNS)
    except ValueError:
        return rename(variable, [])
    return name.replace("KIND", kind).replace("BLOCK", block).replace("ID", identifier)


def keras_names(model: "keras.Model") -> dict[str, str]:
    """Return `keras_name` of each variable of a `NASNet`."""
    num_blocks = network_config(model)["num_blocks"]
    if not isinstance(num_blocks, int):
        raise ValueError(f"num_blocks is {num_blocks!r}: keras.applications has the same number in each stage")
    return {variable: keras_name(variable, num_blocks) for variable in variable_paths(model)}


def from_keras(path: str | os.PathLike[str], model: "keras.Model") -> Report:
    """Fill a `NASNet` from a weights file of keras.applications, with or without its top.

    Build the model with `pool_padding="keras"` to get keras.applications' outputs.

    Args:
        path: legacy `.h5` (of the weights or the whole model) or `.weights.h5`.
        model: a NASNet-A with the imagenet stem.

    Raises:
        ValueError: if the file cannot be read, or its tensors are not the model's; the model
            is left as it was.
    """
    check_file(path)
    names = keras_names(model)
    with h5_file.opened(path) as file:
        datasets, known = _datasets(file)
        if not datasets:
            raise ValueError(f"{path}: not a Keras weights file with the names of its layers")
        return assign(
            path,
            model,
            names,
            [*datasets, *known],
            lambda name: datasets[name].shape,
            lambda name: datasets[name][()],
            lambda name: name in known or (name.startswith("predictions/") and not _has_top(names)),
        )


def to_keras(model: "keras.Model", path: str | os.PathLike[str]) -> None:
    """Write a `NASNet` as a legacy `.h5` of weights for keras.applications, with a checksum (`zoo.h5_file`).

    `keras.applications.NASNetMobile(weights=path)` reads it, as does Large; without top, those
    built with an `input_shape`. The outputs are the model's if it has `pool_padding="keras"`.

    Args:
        model: a NASNet-A with the imagenet stem and without auxiliary head.
        path: of the file, which appears when it is whole.

    Raises:
        ValueError: if keras.applications has no such network.
    """
    check_counterpart(model, "keras.applications")
    values = weights_of(model)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for variable, name in _in_order(keras_names(model)):
        layers.setdefault(name.partition("/")[0], {})[f"{name}:0"] = values[variable]
    h5_file.write(path, lambda file: _write_layers(file, layers))


def _in_order(names: dict[str, str]) -> list[tuple[str, str]]:
    """Variables and their names: the cells as in the model, the layers of a cell as in `_ORDER`."""
    cells = list(dict.fromkeys(variable.partition("/")[0] for variable in names))

    def place(item: tuple[str, str]) -> tuple[int, int]:
        variable, name = item
        layer = re.sub(r"_(stem_|reduce_)?\d+$", "", name.partition("/")[0])
        return cells.index(variable.partition("/")[0]), _ORDER.index(layer)

    return sorted(names.items(), key=place)


def _write_layers(file: h5py.File, layers: dict[str, dict[str, np.ndarray]]) -> None:
    import keras

    file.attrs["keras_version"] = np.bytes_(keras.__version__)
    file.attrs["backend"] = np.bytes_("tensorflow")  # whose layout all backends have
    names = list(layers)
    chunks = [names[start : start + _NAMES_IN_ATTRIBUTE] for start in range(0, len(names), _NAMES_IN_ATTRIBUTE)]
    for number, chunk in enumerate(chunks):
        file.attrs["layer_names" if len(chunks) == 1 else f"layer_names{number}"] = np.array(chunk, "S")
    for layer, weights in layers.items():
        group = file.create_group(layer)
        group.attrs["weight_names"] = np.array(list(weights), "S")
        for name, value in weights.items():
            group[name] = value


def _has_top(names: dict[str, str]) -> bool:
    return "predictions/kernel" in names


def _datasets(file: h5py.File) -> tuple[dict[str, h5py.Dataset], set[str]]:
    """Return the weights by "layer/weight", and the names of what else is known to be in such files."""
    if "layers" in file:
        return _keras_3(file)
    group = file.get("model_weights", file)
    found = {}
    for layer in _strings(group, "layer_names"):
        for weight in _strings(group[layer], "weight_names"):
            found[f"{layer}/{weight.split('/')[-1].split(':')[0]}"] = group[layer][weight]
    return found, _dataset_paths(file, ["optimizer_weights"])


def _keras_3(file: h5py.File) -> tuple[dict[str, h5py.Dataset], set[str]]:
    found = {}
    for group in file["layers"].values():
        weights = group.get("vars", {})
        if len(weights) == 0:
            continue
        if "name" not in weights.attrs:  # early versions of Keras 3 kept the order only
            return {}, set()
        tensors = [weights[str(number)] for number in range(len(weights))]
        for kind, tensor in zip(_kinds(tensors), tensors, strict=True):
            found[f"{weights.attrs['name']}/{kind}"] = tensor
    return found, _dataset_paths(file, [name for name in file if name != "layers"])


def _kinds(tensors: list[h5py.Dataset]) -> tuple[str, ...]:
    """Names of a layer's weights, whose order Keras fixes for each kind of layer."""
    ranks = [len(tensor.shape) for tensor in tensors]
    if ranks == [1] * 4:
        return _BATCH_NORM
    if ranks == [4, 4]:
        return ("depthwise_kernel", "pointwise_kernel")
    if ranks in ([4], [2, 1]):
        return ("kernel", "bias")[: len(ranks)]
    return tuple(map(str, range(len(ranks))))


def _dataset_paths(file: h5py.File, groups: list[str]) -> set[str]:
    paths: set[str] = set()
    for name in groups:
        if name not in file:
            continue
        if isinstance(file[name], h5py.Dataset):
            paths.add(name)
        else:
            file[name].visititems(
                lambda path, item, name=name: paths.add(f"{name}/{path}") if isinstance(item, h5py.Dataset) else None
            )
    return paths


def _strings(group: h5py.Group, attribute: str) -> list[str]:
    """A list of strings in an attribute, which Keras splits into numbered ones where it is long."""
    chunks = [group.attrs[attribute]] if attribute in group.attrs else []
    while f"{attribute}{len(chunks)}" in group.attrs:
        chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
    values = np.concatenate(chunks).tolist() if chunks else []
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


class KerasH5(WeightFormat):
    """Weights of the networks of `keras.applications`."""

    suffixes = written = (".h5",)
    pool_padding = "keras"

    def recognises(self, path: str | os.PathLike[str]) -> bool:
        """Return whether it is an HDF5 file, also with a checksum in front."""
        return h5_file.is_h5(path)

    def read(self, path: str | os.PathLike[str], model: "keras.Model", moving_averages: bool = True) -> None:
        from_keras(path, model)

    def write(self, model: "NASNet", path: Path) -> None:
        to_keras(model, path)


FORMAT = KerasH5()
