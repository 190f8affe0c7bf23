"""Models by name from the catalog, from the Hub, or from files and folders. Imports Keras only when it loads."""

import contextlib
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.zoo import model_folder
from keras_nasnet.zoo.catalog.entries import entry, names
from keras_nasnet.zoo.sources import fetch, hub

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

__all__ = ["RUN_FILE", "check", "entry", "fill", "load", "names"]

RUN_FILE = "model.keras"  # what a training run leaves in its folder


def check(name_or_path: str | os.PathLike[str]) -> None:
    """Checks cheaply that `load` will find something.

    Raises:
        ValueError: as `load` does, but for addresses, and for files that only look like Keras files.
    """
    text = os.fspath(name_or_path)
    if text in names():
        return
    if hub.is_address(text):
        hub.parse(text)
        return
    path = Path(text)
    if not path.exists():
        if path.name == text and path.suffix != ".keras":  # meant as a name
            entry(text)
        raise ValueError(f"{text}: no such file or folder")
    if path.is_dir():
        if not model_folder.is_model_folder(path) and not (path / RUN_FILE).is_file():
            raise ValueError(f"{text}: no model in this folder (no {model_folder.CONFIG} and no {RUN_FILE})")
    elif not (path.suffix == ".keras" and zipfile.is_zipfile(path)):
        raise ValueError(f"{text}: not a .keras file")


def load(name_or_path: str | os.PathLike[str]) -> "NASNet":
    """Loads a NASNet with its weights, `preprocess` and `class_names`.

    What is not on this machine is downloaded. Weights in another format than ours are
    converted the first time, and kept beside the downloads as safetensors.

    Args:
        name_or_path: a name from `names()`, "hf://ORG/NAME" or "hf://ORG/NAME@REVISION" for a
            model on the Hugging Face Hub, the path of a folder that `zoo publish` or a
            training run wrote, or the path of a `.keras` file.

    Raises:
        ValueError: if there is no such name, address or file, it holds no NASNet, or a download
            fails or is not the file that it should be.
    """
    check(name_or_path)
    text = os.fspath(name_or_path)
    if text in names():
        return _load_entry(entry(text))
    if hub.is_address(text):
        return model_folder.read(hub.download(text, model_folder.READ), text)
    if model_folder.is_model_folder(Path(text)):
        return model_folder.read(Path(text), text)
    return _load_keras_file(os.path.join(text, RUN_FILE) if os.path.isdir(text) else text)


def fill(name: str, model: "NASNet") -> None:
    """Fills a model with the weights of an entry; it may lack the classifiers, and be of another input size.

    Raises:
        ValueError: as `load` does, or if the weights are not for this model, which is left as
            it was.
    """
    import keras

    from keras_nasnet.zoo.formats import weights_file

    data = entry(name)
    if _is_ours(data):
        weights_file.load(fetch.fetch(data), model, unused=weights_file.HEADS)
    elif fetch.kept(data).exists():
        with fetch.deleted_on(weights_file.Damaged, fetch.kept(data)):
            weights_file.load(fetch.kept(data), model, unused=weights_file.HEADS)
    else:
        whole = _load_entry(data)  # converts; kept for the next time
        tensors = {variable.path: keras.ops.convert_to_numpy(variable) for variable in whole.weights}
        weights_file.assign(name, tensors, model, unused=weights_file.HEADS)


def _is_ours(data: dict[str, Any]) -> bool:
    """Whether the source is in our own format and needs no conversion."""
    return data["source"]["format"] == "keras_nasnet"


def _load_entry(data: dict[str, Any]) -> "NASNet":
    from keras_nasnet.zoo.formats import weights_file

    kept = fetch.kept(data)
    if _is_ours(data):
        source = fetch.fetch(data)
        model = _build(data)
        weights_file.load(source, model)
    elif kept.exists():
        # Read and checked while the model is built.
        with fetch.deleted_on(ValueError, kept), ThreadPoolExecutor(1) as thread:  # also of another version of the net
            tensors = thread.submit(weights_file.read, kept)
            model = _build(data)
            weights_file.assign(kept, tensors.result(), model)
    else:
        source = fetch.fetch(data)
        model = _build(data)
        _convert(source, data["source"], model)
        with contextlib.suppress(OSError):  # where it cannot be kept it is converted again next time
            weights_file.save(model, kept)
    return model


def _build(data: dict[str, Any]) -> "NASNet":
    from keras_nasnet.models.classifier import NASNet

    names = data.get("class_names")
    with without_random_values():
        return NASNet(
            **data["builder"] | ({"classes": len(names)} if names else {}),
            class_names=names,
            preprocessing=data["preprocessing"],
            name=data["name"],
        )


def _convert(path: Path, source: dict[str, Any], model: "NASNet") -> None:
    from keras_nasnet.zoo.formats import convert

    if source["format"] == "keras_h5":
        convert.from_keras(path, model)
    elif source["format"] == "timm":
        convert.from_timm(path, model)
    else:
        convert.from_slim_archive(path, model, ema=source["moving_averages"])


def _load_keras_file(path: str) -> "NASNet":
    import keras

    from keras_nasnet.models.classifier import NASNet

    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # on Python 3.12 Keras reads on where a checksum is wrong
                raise ValueError(f"{damaged} in it is damaged")
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # damaged files raise anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be loaded ({text[:200]})") from error
    if not isinstance(model, NASNet):
        raise ValueError(f"{path}: holds a {type(model).__name__}, not a NASNet")
    return model
