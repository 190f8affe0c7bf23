"""Weights of timm's and Cadene's PyTorch NASNet-A Large: of safetensors or PyTorch's files, written as safetensors."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.zoo.formats import torch_file, weights_file
from keras_nasnet.zoo.formats.assign import (
    Report,
    assign,
    check_counterpart,
    check_file,
    rename,
    variable_paths,
    weights_of,
)
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

_SUFFIXES = {
    "kernel": "weight",
    "depthwise_kernel": "depthwise_conv2d.weight",
    "pointwise_kernel": "pointwise_conv2d.weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "bias": "bias",
}
_LAYER_PATTERNS = [
    (r"stem_convolution", "conv0.conv"),
    (r"stem_batch_norm", "conv0.bn"),
    (r"predictions", "last_linear"),
    (r"(\w+)/fit_0/convolution", r"\1.conv_1x1.conv"),
    (r"(\w+)/fit_0/batch_norm", r"\1.conv_1x1.bn"),
    (r"(\w+)/fit_1/path_(\d)", r"\1.path_\2.conv"),
    (r"(\w+)/fit_1/convolution", r"\1.conv_prev_1x1.conv"),
    (r"(\w+)/block_(\d)_(left|right)/convolution_(\d)", r"\1.comb_iter_\2_\3.separable_\4"),
    (r"(\w+)/block_(\d)_(left|right)/batch_norm_(\d)", r"\1.comb_iter_\2_\3.bn_sep_\4"),
]


def timm_names(model: "keras.Model") -> dict[str, str]:
    """Return timm's name of each variable of a `NASNet`, by the variable's path."""
    variables = variable_paths(model)
    factorized = {path.partition("/")[0] for path in variables if path.endswith("/fit_1/path_1/kernel")}
    return {path: _name(path, factorized) for path in variables}


def _name(variable: str, factorized: set[str]) -> str:
    layer, _, weight = variable.rpartition("/")
    cell = layer.partition("/")[0]
    batch_norm = (r"(\w+)/fit_1/batch_norm", r"\1.final_path_bn" if cell in factorized else r"\1.conv_prev_1x1.bn")
    name = rename(layer, [*_LAYER_PATTERNS, batch_norm])
    if cell.startswith("stem_") and "/" in layer:
        name = f"cell_{name}"
    elif cell.startswith("reduction_"):
        name = name.replace("reduction_", "reduction_cell_", 1)
    return f"{name}.{_SUFFIXES[weight]}"


def from_timm(path: str | os.PathLike[str], model: "keras.Model") -> Report:
    """Fill a `NASNet` from a state dict of timm's `nasnetalarge`.

    Build the model with `pool_padding="timm"` to get timm's outputs.

    Args:
        path: a file of safetensors or, which needs PyTorch, one of PyTorch's, also a checkpoint in the wrappings
            that `zoo.formats.torch_file` knows.
        model: a NASNet-A with the imagenet stem, `num_blocks=6` and `skip_reduction=True`.

    Raises:
        ValueError: if the file cannot be read, or its tensors are not the model's; the model
            is left as it was.
    """
    check_file(path)
    names = timm_names(model)
    tensors: dict[str, Any]
    if not torch_file.is_torch(path) and (_is_named_safetensors(path) or weights_file.is_safetensors(path)):
        tensors = weights_file.read(path)
        read = tensors.__getitem__
    else:
        tensors = torch_file.read(path)

        def read(name: str) -> np.ndarray:
            return torch_file.to_numpy(tensors[name], f"{path}: {name}")

    return assign(
        path,
        model,
        names,
        tensors,
        lambda name: tuple(tensors[name].shape),
        read,
        lambda name: (
            name.endswith(".num_batches_tracked")
            or (name.startswith("last_linear.") and "predictions/kernel" not in names)
        ),
        _to_keras,
    )


def _is_named_safetensors(path: str | os.PathLike[str]) -> bool:
    return os.fspath(path).endswith(".safetensors")


def to_timm(model: "keras.Model", path: str | os.PathLike[str]) -> None:
    """Write a `NASNet` as a state dict of timm's `nasnetalarge`: safetensors, with a checksum (`zoo.weights_file`).

    `timm.create_model("nasnetalarge", checkpoint_path=path)` reads it. The outputs are the
    model's if it has `pool_padding="timm"`.

    Args:
        model: a NASNet-A with the imagenet stem, `num_blocks=6`, `skip_reduction=True` and
            no auxiliary head.
        path: of the file, which appears when it is whole.

    Raises:
        ValueError: if timm has no such network.
    """
    check_counterpart(model, "timm", num_blocks=6, skip_reduction=True)
    names = timm_names(model)
    tensors = {names[variable]: _to_torch(variable, value) for variable, value in weights_of(model).items()}
    weights_file.write(path, tensors, {"format": "pt"})


def _to_torch(variable: str, tensor: np.ndarray) -> np.ndarray:
    """The reverse of `_to_keras`."""
    axes = {2: (1, 0), 4: (2, 3, 0, 1) if variable.endswith("depthwise_kernel") else (3, 2, 0, 1)}
    return np.ascontiguousarray(tensor.transpose(axes.get(tensor.ndim)))


def _to_keras(variable: str, tensor: np.ndarray) -> np.ndarray:
    """OIHW to HWIO; (C, 1, k, k) of a depthwise kernel to (k, k, C, 1); a linear layer transposed."""
    if variable.endswith("depthwise_kernel") and tensor.ndim == 4:
        return tensor.transpose(2, 3, 0, 1)
    if tensor.ndim == 4:
        return tensor.transpose(2, 3, 1, 0)
    return tensor.T if tensor.ndim == 2 else tensor


class Timm(WeightFormat):
    """State dicts of timm's `nasnetalarge`."""

    suffixes = (".safetensors", *torch_file.SUFFIXES)
    written = (".safetensors",)
    pool_padding = "timm"

    def recognises(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a file is PyTorch's, or one of safetensors that is not the package's own."""
        if torch_file.is_torch(path):
            return True
        return weights_file.is_safetensors(path) and not weights_file.FORMAT.recognises(path)

    def read(self, path: str | os.PathLike[str], model: "keras.Model", moving_averages: bool = True) -> None:
        from_timm(path, model)

    def write(self, model: "NASNet", path: Path) -> None:
        to_timm(model, path)


FORMAT = Timm()
