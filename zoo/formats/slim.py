"""Checkpoints of TF-slim, where the paper's authors trained, and of the detector they built on it; also packed."""

import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_nasnet.common.archives import is_tar, unpack_tar
from keras_nasnet.common.errors import one_line
from keras_nasnet.zoo.formats.assign import Report, assign, check_file, network_config, rename, variable_paths
from keras_nasnet.zoo.formats.slim_detection import HEADS, detector_names, is_detector
from keras_nasnet.zoo.formats.slim_index import MAGIC, read_shapes
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

_EMA = "/ExponentialMovingAverage"
_EXTRA = re.compile(
    r"(.*/)?(global_step|beta[12]_power)|.*/(RMSProp|Momentum|Adam|Adagrad|Ftrl)(_\d+)?|.*/num_batches_tracked"
)
# Files of a checkpoint, but for those that macOS puts beside them.
_FILES = re.compile(r"((?!\._).*)(\.index|\.data-\d{5}-of-\d{5})", re.DOTALL)
_SUFFIXES = {
    "kernel": "weights",
    "depthwise_kernel": "depthwise_weights",
    "pointwise_kernel": "pointwise_weights",
    "bias": "biases",
}
_STEMS = {"imagenet": "conv0", "cifar": "l1_stem"}
_LAYER_PATTERNS = [
    (r"(.*)/fit_0/convolution", r"\1/1x1"),
    (r"(.*)/fit_0/batch_norm", r"\1/beginning_bn"),
    (r"(.*)/fit_1/convolution", r"\1/prev_1x1"),
    (r"(.*)/block_(\d)_(left|right)/projection/convolution", r"\1/comb_iter_\2/\3/1x1"),
    (r"(.*)/block_(\d)_(left|right)/projection/batch_norm", r"\1/comb_iter_\2/\3/bn_1"),
    (r"(.*)/fit_1/path_(\d)", r"\1/path\2_conv"),
    (r"(.*)/output_fit_(\d+)/convolution", r"\1/cell_output/reduction_\2/path_conv"),
    (r"(.*)/output_fit_(\d+)/path_(\d)", r"\1/cell_output/reduction_\2/path\3_conv"),
    (r"predictions", "final_layer/FC"),
    (r"auxiliary_projection/convolution", "AUX/aux_logits/proj"),
    (r"auxiliary_projection/batch_norm", "AUX/aux_logits/aux_bn0"),
    (r"auxiliary_convolution", "AUX/aux_logits/Conv"),
    (r"auxiliary_batch_norm", "AUX/aux_logits/aux_bn1"),
    (r"auxiliary_predictions", "AUX/aux_logits/FC"),
]


def slim_names(model: "keras.Model") -> dict[str, str]:
    """Return TF-slim's name of each variable of a `NASNet`, by the variable's path."""
    variables = variable_paths(model)
    behind = _cell_before_last_reduction(model)
    # The size of a kernel is part of slim's name; a factorized reduction names its BN otherwise.
    sizes = {w.path.rpartition("/")[0]: w.shape[0] for w in model.weights if w.path.endswith("/depthwise_kernel")}
    factorized = {path.removesuffix("/path_1/kernel") for path in variables if path.endswith("/path_1/kernel")}
    return {path: _name(path, network_config(model)["stem"], behind, sizes, factorized) for path in variables}


def _cell_before_last_reduction(model: "keras.Model") -> int:
    """Number of the cell behind which TF-slim puts the auxiliary head, and the detector cuts."""
    from keras_nasnet.models.arguments import stage_sizes

    return sum(stage_sizes(network_config(model)["num_blocks"])[:2]) - 1


def _name(variable: str, stem: str, behind: int, sizes: dict[str, int], factorized: set[str]) -> str:
    layer, _, weight = variable.rpartition("/")
    parent, _, own = layer.rpartition("/")
    if layer == "stem_convolution":
        name = "conv0" if stem == "imagenet" else "l1_stem_3x3"
    elif layer == "stem_batch_norm":
        name = f"{_STEMS[stem]}_bn"
    elif match := re.fullmatch(r"(.*)/block_(\d)_(left|right)/(convolution|batch_norm)_(\d)", layer):
        cell, block, side, kind, number = match.groups()
        size = sizes.get(f"{parent}/convolution_{number}")
        if size is None:  # not a separable convolution: only those are in NASNet-A
            return rename(variable, [])
        prefix = "separable" if kind == "convolution" else "bn_sep"
        name = f"{cell}/comb_iter_{block}/{side}/{prefix}_{size}x{size}_{number}"
    elif own == "batch_norm" and (match := re.fullmatch(r"(.*)/(fit_1|output_fit_(\d+))", parent)):
        scope = match[1] if match[2] == "fit_1" else f"{match[1]}/cell_output/reduction_{match[3]}"
        plain = "prev_bn" if match[2] == "fit_1" else "path_bn"
        name = f"{scope}/{'final_path_bn' if parent in factorized else plain}"
    else:
        name = rename(layer, _LAYER_PATTERNS)
    name = re.sub(r"^stem_(\d)/", r"cell_stem_\1/", name)
    name = re.sub(r"^reduction_(\d)/", r"reduction_cell_\1/", name).replace("AUX", f"aux_{behind}")
    return f"{name}/{_SUFFIXES.get(weight, weight)}"


def from_slim(
    path: str | os.PathLike[str], model: "keras.Model", ema: bool = False, *, name: str | None = None
) -> Report:
    """Fill a network from a TF-slim checkpoint; needs TensorFlow.

    A head of 1001 classes fills one of 1000: its first, the background, is dropped.

    The checkpoint may be a Faster R-CNN of the TF Object Detection API on NASNet, such as
    faster_rcnn_nas_coco_2018_01_28 (Large): the features of both its stages fill a network
    without a classifier, its proposal network and box predictor are left out.

    Args:
        path: prefix of the checkpoint ("model.ckpt" of model.ckpt.index), or its folder.
        model: a `NASNet` of NASNet-A, with the auxiliary head if the checkpoint's shall be kept;
            or a `NASNetBackbone`.
        ema: read the moving averages of the weights where the checkpoint has them. The
            public checkpoints were evaluated with those.
        name: by which messages call the checkpoint; default: its path.

    Raises:
        ValueError: if the checkpoint cannot be read, or its tensors are not the model's; the
            model is left as it was.
    """
    try:
        import tensorflow
    except ImportError:
        raise ValueError(f"{path}: reading a TF checkpoint needs TensorFlow (pip install tensorflow)") from None

    name = os.fspath(path) if name is None else name
    names = slim_names(model)
    prefix = str(path).removesuffix(".index")
    try:
        if os.path.isdir(prefix):
            prefix = tensorflow.train.latest_checkpoint(prefix) or prefix
        shapes = read_shapes(prefix)
        reader = tensorflow.train.load_checkpoint(prefix)
    except Exception as error:  # damaged files raise anything
        raise ValueError(f"{name}: no readable TF checkpoint ({one_line(error, 200)})") from None
    available = set(shapes)
    detector = is_detector(available)
    if detector:
        try:
            names = detector_names(names, _cell_before_last_reduction(model))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if ema:
        names = {variable: raw + _EMA if raw + _EMA in available else raw for variable, raw in names.items()}
    used = set(names.values())
    parts = {tensor.partition("/")[0] for tensor in used}

    def is_known_extra(tensor: str) -> bool:
        top = tensor.partition("/")[0]
        if _EXTRA.fullmatch(tensor) or (detector and tensor.startswith(HEADS)):
            return True
        if (top == "final_layer" or re.fullmatch(r"aux_\d+", top)) and top not in parts:
            return True
        twin = tensor.removesuffix(_EMA) if tensor.endswith(_EMA) else tensor + _EMA
        return twin in used

    def read(tensor: str) -> np.ndarray:
        try:
            return np.asarray(reader.get_tensor(tensor))
        except Exception as error:  # likewise
            raise ValueError(f"{name}: {tensor} cannot be read ({one_line(error, 200)})") from None

    return assign(name, model, names, available, shapes.__getitem__, read, is_known_extra)


def from_slim_archive(path: str | os.PathLike[str], model: "keras.Model", ema: bool = False) -> Report:
    """Fill a `NASNet` from the one checkpoint in a tar file, as `from_slim` does.

    The files of the checkpoint are unpacked into a temporary folder (`TMPDIR`) under names of our own; nothing else in
    the archive is written or followed.

    Raises:
        ValueError: if the file cannot be unpacked or has not exactly one checkpoint, and as
            `from_slim` does.
    """
    check_file(path)
    prefixes: dict[str, int] = {}

    def new_name(name: str) -> str | None:
        match = _FILES.fullmatch(name)
        return f"{prefixes.setdefault(match[1], len(prefixes))}{match[2]}" if match else None

    with tempfile.TemporaryDirectory() as folder:
        unpack_tar(path, Path(folder), new_name)
        found = list(Path(folder).glob("*.index"))
        if len(found) != 1:
            raise ValueError(f"{path}: has {len(found)} checkpoints (.index), but it should have one")
        return from_slim(found[0], model, ema, name=os.fspath(path))


class Slim(WeightFormat):
    """Checkpoints of TF-slim, as they are published or unpacked."""

    suffixes = (".tar.gz", ".tgz", ".tar", ".index")
    pool_padding = "same"

    def recognises(self, path: str | os.PathLike[str]) -> bool:
        """Return whether a file is an archive, or the index of a checkpoint."""
        return is_tar(path) or _is_index(path)

    def read(self, path: str | os.PathLike[str], model: "keras.Model", moving_averages: bool = True) -> None:
        read = from_slim if _is_index(path) else from_slim_archive
        read(path, model, ema=moving_averages)


def _is_index(path: str | os.PathLike[str]) -> bool:
    if not os.fspath(path).endswith(".index"):  # the files beside it are found by this name
        return False
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - len(MAGIC)))
        return file.read() == MAGIC


FORMAT = Slim()
