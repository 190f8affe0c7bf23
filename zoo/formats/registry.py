"""The formats that weights come and go in, told by the end of a file's name. Imports Keras only to read or write.

| ends in | format |
|---|---|
| `.keras` | a whole model, as Keras writes it |
| `.weights.h5` | weights, as Keras writes them for this very network |
| `.h5` | weights for `keras.applications` (legacy) |
| `.safetensors` | weights by our names, or by timm's |
| `.pth`, `.pt` | weights by timm's names; only read |
| `.tar.gz`, `.tgz` | a checkpoint of TF-slim, or of a detector on it, whose moving averages are taken; only read |
| `.index` | likewise, unpacked: the index of model.ckpt |
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.accelerate.random_values import without_random_values

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

# Of two that fit, the first; the formats that the catalog knows have its names.
SUFFIXES = {
    ".keras": "keras",
    ".weights.h5": "keras_weights",
    ".h5": "keras_h5",
    ".safetensors": "keras_nasnet",
    ".pth": "timm",
    ".pt": "timm",
    ".tar.gz": "slim",
    ".tgz": "slim",
    ".index": "slim",
}
WRITTEN = (".keras", ".weights.h5", ".h5", ".safetensors")
# The `pool_padding` with which a network has the outputs of the code that a format comes from.
POOL_PADDINGS = {"keras_h5": "keras", "timm": "timm", "slim": "same"}


def by_name(path: str | os.PathLike[str]) -> str:
    """Returns the format that a file's name says; the file need not exist.

    Raises:
        ValueError: if it says none.
    """
    for suffix, form in SUFFIXES.items():
        if str(path).endswith(suffix):
            return form
    raise ValueError(f"{path}: no known format, the name must end in one of {', '.join(SUFFIXES)}")


def by_content(path: str | os.PathLike[str]) -> str:
    """Returns the format of a file.

    Raises:
        ValueError: if there is no such file, its name says no format, or it is broken.
    """
    from keras_nasnet.zoo.formats import weights_file
    from keras_nasnet.zoo.formats.assign import check_file

    check_file(path)
    form = by_name(path)
    if form == "keras_nasnet" and not any("/" in name for name in weights_file.names(path)):
        return "timm"  # our names are paths
    return form


def target(path: str | os.PathLike[str], to: str | None = None) -> str:
    """Returns the format that a model is written in to this path.

    Args:
        path: of the file.
        to: "timm" for a `.safetensors` with timm's names.

    Raises:
        ValueError: if we do not write what the name says.
    """
    if not str(path).endswith(WRITTEN):
        raise ValueError(f"{path}: a model is written to a name that ends in one of {', '.join(WRITTEN)}")
    if to is None:
        return by_name(path)
    if to != "timm" or by_name(path) != "keras_nasnet":
        raise ValueError(f"{path}: with {to} the name must end in .safetensors")
    return to


def load_weights(path: str | os.PathLike[str], model: "NASNet") -> None:
    """Fills a model from a file of any of the formats.

    Args:
        path: of the file.
        model: to be filled; it may lack classifiers that the file has, but with `.weights.h5`.

    Raises:
        ValueError: if the file cannot be read or is not for this model, which is left as it was.
    """
    _read(path, by_content(path), model)


def save_weights(model: "NASNet", path: str | os.PathLike[str], to: str | None = None) -> None:
    """Writes a model, and reads back what it has written.

    Args:
        model: a `NASNet`. Other code has no auxiliary head; there it is left out.
        path: of the file, which is replaced when the new one is whole and found right.
        to: "timm" for a `.safetensors` with timm's names.

    Raises:
        ValueError: if we do not write what the name says, the format has no such network, or
            what was read back is not the model.
        OSError: if the file cannot be written.
    """
    form, path = target(path, to), Path(path)
    if form in POOL_PADDINGS and model.get_config()["auxiliary_head"]:
        from keras_nasnet.models.weights import for_inference

        model = for_inference(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        written = Path(folder, path.name)
        _write(model, written, form)
        if not _holds(written, form, model):
            raise ValueError(f"{path}: another model was read back than was written, so nothing is kept")
        os.replace(written, path)


def _read(path: str | os.PathLike[str], form: str, model: "NASNet") -> None:
    import keras

    from keras_nasnet.zoo import loading
    from keras_nasnet.zoo.formats import convert, keras_weights, weights_file

    if form == "keras":
        tensors = {variable.path: keras.ops.convert_to_numpy(variable) for variable in loading.load(path).weights}
        weights_file.assign(path, tensors, model, unused=weights_file.HEADS)
    elif form == "keras_weights":
        keras_weights.load(path, model)
    elif form == "keras_h5":
        convert.from_keras(path, model)
    elif form == "keras_nasnet":
        weights_file.load(path, model, unused=weights_file.HEADS)
    elif form == "timm":
        convert.from_timm(path, model)
    elif str(path).endswith(".index"):
        convert.from_slim(path, model, ema=True)
    else:
        convert.from_slim_archive(path, model, ema=True)


def _write(model: "NASNet", path: Path, form: str) -> None:
    from keras_nasnet.zoo.formats import convert, keras_weights, weights_file

    if form == "keras":
        model.save(path)
    elif form == "keras_weights":
        keras_weights.save(model, path)
    elif form == "keras_h5":
        convert.to_keras(model, path)
    elif form == "keras_nasnet":
        weights_file.save(model, path)
    else:
        convert.to_timm(model, path)


def _holds(path: Path, form: str, model: "NASNet") -> bool:
    """Whether a file holds the model, to the last bit; of a whole model also what it is made of."""
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.zoo import loading
    from keras_nasnet.zoo.formats import weights_file
    from keras_nasnet.zoo.formats.assign import network_config

    if form == "keras":
        found = loading.load(path)
        if found.get_config() != model.get_config():
            return False
    else:
        with without_random_values():
            found = NASNet(**network_config(model))
        _read(path, form, found)
    return weights_file.same(found, model)
