"""Models by name from the catalog, from the Hub, or from files and folders. Imports Keras only when it loads."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.zoo import files, model_folder
from keras_nasnet.zoo.catalog.entries import entry, names
from keras_nasnet.zoo.catalog.entry import Entry
from keras_nasnet.zoo.formats import keras_file, weights_file
from keras_nasnet.zoo.formats.assign import weights_of
from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS
from keras_nasnet.zoo.sources import hub

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

__all__ = ["RUN_FILE", "check", "entry", "fill", "load", "names"]

RUN_FILE = "model.keras"  # what a training run leaves in its folder


def check(name_or_path: str | os.PathLike[str]) -> None:
    """Check cheaply that `load` will find something.

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
    else:
        keras_file.check(text)


def load(name_or_path: str | os.PathLike[str]) -> "NASNet":
    """Load a NASNet with its weights, `preprocess` and `class_names`.

    What is not on this machine is downloaded. Weights in another format than ours are
    converted the first time, and kept beside the downloads as safetensors.

    Args:
        name_or_path: a name from `names()`, "hf://ORG/NAME" or "hf://ORG/NAME@REVISION" for a
            model on the Hugging Face Hub, the path of a folder that `zoo publish` or a
            training run wrote, or the path of a `.keras` file.

    Raises:
        ValueError: if there is no such name, address or file, it holds no NASNet, or a download
            fails or is not the file that it should be.

    Example:
        >>> network = keras_nasnet.load("nasnet_a_cifar10")
        >>> inputs = network.preprocess(np.zeros((40, 40, 3), "uint8"))
        >>> keras.ops.shape(network(inputs))
        (1, 10)
    """
    check(name_or_path)
    text = os.fspath(name_or_path)
    if text in names():
        return _load_entry(entry(text))
    if hub.is_address(text):
        return model_folder.read(hub.download(text, model_folder.READ), text)
    if model_folder.is_model_folder(Path(text)):
        return model_folder.read(Path(text), text)
    return keras_file.load(os.path.join(text, RUN_FILE) if os.path.isdir(text) else text)


def fill(name: str, model: "NASNet") -> None:
    """Fill a model with the weights of an entry; it may lack the classifiers, and be of another input size.

    Raises:
        ValueError: as `load` does, or if the weights are not for this model, which is left as
            it was.
    """
    found = entry(name)
    converted = files.converted_file(found)
    if _is_own(found):
        weights_file.load(files.source_file(found), model, unused=weights_file.HEADS)
    elif converted.exists():
        with files.deleted_on(weights_file.Damaged, converted):
            weights_file.load(converted, model, unused=weights_file.HEADS)
    else:
        whole = _load_entry(found)  # converts; kept for the next time
        weights_file.assign(name, weights_of(whole), model, unused=weights_file.HEADS)


def _is_own(found: Entry) -> bool:
    """Return whether the source file is in our own format and needs no conversion."""
    return WEIGHT_FORMATS.get(found.source.format).is_own


def _load_entry(found: Entry) -> "NASNet":
    converted = files.converted_file(found)
    if _is_own(found):
        source = files.source_file(found)
        model = _build(found)
        weights_file.load(source, model)
    elif converted.exists():
        # Read and checked while the model is built. An error may also be that of another version of the network.
        with files.deleted_on(ValueError, converted), ThreadPoolExecutor(1) as thread:
            tensors = thread.submit(weights_file.read, converted)
            model = _build(found)
            weights_file.assign(converted, tensors.result(), model)
    else:
        source = files.source_file(found)
        model = _build(found)
        averages = found.source.moving_averages is not False
        WEIGHT_FORMATS.get(found.source.format).read(source, model, moving_averages=averages)
        with contextlib.suppress(OSError):  # where it cannot be kept it is converted again next time
            weights_file.save(model, converted)
    return model


def _build(found: Entry) -> "NASNet":
    from keras_nasnet.models.classifier import NASNet

    names = found.class_names
    with without_random_values():
        return NASNet(
            **found.builder | ({"classes": len(names)} if names else {}),
            class_names=names,
            preprocessing=found.preprocessing,
            name=found.name,
        )
