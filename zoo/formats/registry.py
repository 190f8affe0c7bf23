"""The weight formats, and files in any of them. Imports Keras only to read or write.

| format | files end in | |
|---|---|---|
| keras | `.keras` | a whole model, as Keras writes it |
| keras_weights | `.weights.h5` | weights, as Keras writes them for this very network |
| keras_h5 | `.h5` | weights for `keras.applications` (legacy) |
| keras_nasnet | `.safetensors` | weights by our names |
| timm | `.safetensors`, `.pth`, `.pt`, `.bin`, `.ckpt` | weights by timm's names; all but the first are only read |
| slim | `.tar.gz`, `.tgz`, `.tar` | a checkpoint of TF-slim, or of a detector on it; only read |
| slim | `.index` | likewise, unpacked: the index of model.ckpt |
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.common.files import temporary_folder
from keras_nasnet.common.registry import Registry
from keras_nasnet.zoo.formats.assign import check_file
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

StrPath = str | os.PathLike[str]

# Of two that fit a file's name, the first.
WEIGHT_FORMATS: Registry[WeightFormat] = Registry(
    "weight format",
    {
        "keras": "keras_nasnet.zoo.formats.keras_file:FORMAT",
        "keras_weights": "keras_nasnet.zoo.formats.keras_weights:FORMAT",
        "keras_h5": "keras_nasnet.zoo.formats.keras_h5:FORMAT",
        "keras_nasnet": "keras_nasnet.zoo.formats.weights_file:FORMAT",
        "timm": "keras_nasnet.zoo.formats.timm:FORMAT",
        "slim": "keras_nasnet.zoo.formats.slim:FORMAT",
    },
    importable=True,
)


def format_by_name(path: StrPath) -> WeightFormat:
    """Return the format that a file's name says; the file need not exist.

    Raises:
        ValueError: if it says none.
    """
    if named := _formats_by_suffix(path):
        return named[0]
    suffixes = dict.fromkeys(suffix for found in _formats() for suffix in found.suffixes)
    raise ValueError(f"{path}: no known format, the name must end in one of {', '.join(suffixes)}")


def format_of(path: StrPath) -> WeightFormat:
    """Return the format of a file: its content decides, whatever it is called.

    Raises:
        ValueError: if there is no such file, neither its content nor its name says a format, or it is broken.
    """
    check_file(path)
    named = _formats_by_suffix(path)
    for found in [*named, *(form for form in _formats() if form not in named)]:
        if found.recognises(path):
            return found
    return named[-1] if named else format_by_name(path)


def format_to_write(path: StrPath, to: str | None = None) -> WeightFormat:
    """Return the format that a network is written in to this path.

    Args:
        path: of the file.
        to: a name in `WEIGHT_FORMATS`, or "module:attribute"; default: the first format that writes such a name.

    Raises:
        ValueError: if there is no such format, or it does not write what the name says.
    """
    if to is not None:
        found = WEIGHT_FORMATS.get(to)
        if not isinstance(found, WeightFormat):
            raise ValueError(f"weight format is {to!r}: a {type(found).__name__}, not a WeightFormat")
        if not found.written:
            raise ValueError(f"{path}: {to} is only read, not written")
        if not str(path).endswith(found.written):
            raise ValueError(f"{path}: with {to} the name must end in {' or '.join(found.written)}")
        return found
    formats = _formats()
    for found in formats:
        if str(path).endswith(found.written):
            return found
    suffixes = dict.fromkeys(suffix for found in formats for suffix in found.written)
    raise ValueError(f"{path}: a model is written to a name that ends in one of {', '.join(suffixes)}")


def load_weights(path: StrPath, model: "keras.Model") -> None:
    """Fill a network with the weights in a file of any of the `WEIGHT_FORMATS`.

    Of a checkpoint with moving averages of the weights those are taken.

    Args:
        path: of the file.
        model: a `NASNet`, which is filled; it may lack classifiers that the file has, but with `.weights.h5`.

    Raises:
        ValueError: if the file cannot be read or is not for this network, which is left as it was.

    Example:
        >>> from keras_nasnet import zoo
        >>> entry = zoo.info("nasnet_a_cifar10")
        >>> network = keras_nasnet.NASNet(**entry.builder, classes=10)
        >>> zoo.load_weights(zoo.path("nasnet_a_cifar10"), network)
    """
    format_of(path).read(path, model)


def save_weights(model: "NASNet", path: StrPath, to: str | None = None) -> None:
    """Write a network in the format that the file's name says, and read it back.

    Args:
        model: a `NASNet`. Other code has no auxiliary head; there it is left out.
        path: of the file, which is replaced when the new one is whole and found right.
        to: a name in `WEIGHT_FORMATS` where the file's name does not say it: "timm" for a `.safetensors` with timm's
            names.

    Raises:
        ValueError: if the name says no format that is written, the format has no such network, or
            what was read back is not the network.
        OSError: if the file cannot be written.

    Example:
        >>> network = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=192, classes=3)
        >>> save_weights(network, "network.h5")  # for keras.applications
        >>> save_weights(network, "network.safetensors")
    """
    chosen, path = format_to_write(path, to), Path(path)
    if chosen.pool_padding is not None and model.get_config()["auxiliary_head"]:
        from keras_nasnet.models.weights import for_inference

        model = for_inference(model)
    with temporary_folder(path) as folder:
        written = folder / path.name
        chosen.write(model, written)
        if not chosen.holds(written, model):
            raise ValueError(f"{path}: another model was read back than was written, so nothing is kept")
        os.replace(written, path)


def _formats() -> list[WeightFormat]:
    return [WEIGHT_FORMATS.get(name) for name in WEIGHT_FORMATS]


def _formats_by_suffix(path: StrPath) -> list[WeightFormat]:
    """Return the formats whose suffix is the first that fits."""
    formats = _formats()
    suffixes = dict.fromkeys(suffix for found in formats for suffix in found.suffixes)
    suffix = next((suffix for suffix in suffixes if str(path).endswith(suffix)), None)
    return [found for found in formats if suffix in found.suffixes]
