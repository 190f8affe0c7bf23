"""Models by name from the catalog, from the Hub, or from files and folders. Imports Keras only when it loads."""

import contextlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common import checksum
from keras_nasnet.common.documents import read_json
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.models import arguments
from keras_nasnet.zoo import files, model_folder
from keras_nasnet.zoo.catalog.entries import canonical, entry, names
from keras_nasnet.zoo.catalog.entry import Entry
from keras_nasnet.zoo.class_list import read_class_names
from keras_nasnet.zoo.formats import keras_file, saved, weights_file
from keras_nasnet.zoo.formats.assign import weights_of
from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS, format_by_name
from keras_nasnet.zoo.sources import hub

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

__all__ = ["RUN_FILE", "Place", "check", "entry", "entry_name", "fill", "load", "locate", "names", "preprocessing"]

RUN_FILE = "model.keras"  # what a training run leaves in its folder
WHAT = (
    "a name of the catalog (`keras-nasnet zoo list`), hf://ORG/NAME, the folder of a run or of a published model, or a "
    ".keras file"
)

# Folders that people take for a model's, by a file that only they have, and what to do.
_OTHER_FOLDERS = {
    "params.yaml": "a detector: `keras-nasnet detect predict --model` takes it",
    "checkpoint.safetensors": f"a training that has not ended, it has no {RUN_FILE} yet: --resume goes on with it",
    "store.sqlite": "a search: `keras-nasnet search export` writes its best child as a genotype, to be trained",
    "saved_model.pb": "an exported SavedModel: give the model that it was exported from",
}


@dataclass(frozen=True)
class Place:
    """Where a model is: an entry of the catalog, an address on the Hub, or a path on this machine.

    Args:
        text: as the user gave it; of an alias, the entry's name.
        kind: "entry", "address", "folder" or "file".
        path: of a folder or of a .keras file.
    """

    text: str
    kind: str
    path: Path = Path()


def entry_name(model: str | os.PathLike[str]) -> str | None:
    """Return the name of the catalog's entry that is meant; None for addresses and paths."""
    text = os.fspath(model)
    found = canonical(text)
    return found if found == text or not os.path.exists(text) else None  # an alias is less than a path


def locate(model: str | os.PathLike[str]) -> Place:
    """Return where a model is; the one place that decides what may be given for one. Needs no Keras and no network.

    Args:
        model: as `load` takes it, but for a Keras model.

    Raises:
        ValueError: if there is no such model; says what to do.
    """
    if not isinstance(model, str | os.PathLike):
        raise ValueError(f"model is a {type(model).__name__}: give {WHAT}")
    text = os.fspath(model)
    if not text:
        raise ValueError(f"no model is named: give {WHAT}")
    if (name := entry_name(text)) is not None:
        return Place(name, "entry")
    if hub.is_address(text):
        hub.parse(text)
        return Place(text, "address")
    path = Path(text)
    try:
        if not path.exists():
            if path.name == text and path.suffix != ".keras":  # meant as a name
                entry(text)
            raise ValueError(f"{text}: no such file or folder")
        if path.is_dir():
            return _folder(text, path)
    except OSError as error:  # no permission, a name that is too long
        raise ValueError(f"{text}: cannot be read ({error.strerror or error})") from None
    _check_file(text, path)
    return Place(text, "file", path)


def _folder(text: str, path: Path) -> Place:
    if model_folder.is_model_folder(path):
        return Place(text, "folder", path)
    if (path / RUN_FILE).is_file():
        return Place(text, "file", path / RUN_FILE)
    found = next((what for file, what in _OTHER_FOLDERS.items() if (path / file).exists()), None)
    if found is None and (files := sorted(file.name for file in path.glob("*.keras"))):
        found = f"give the file itself, such as {path / files[0]}"
    raise ValueError(
        f"{text}: no model in this folder (no {model_folder.CONFIG} and no {RUN_FILE})"
        + (f": {found}" if found else "")
    )


def _check_file(text: str, path: Path) -> None:
    try:
        keras_file.check(path)
    except ValueError as error:
        if path.is_file() and path.suffix != ".keras":
            raise ValueError(f"{text}: not a .keras file{_hint(path)}") from None
        raise error


def _hint(path: Path) -> str:
    """Return what to do with a file that is no .keras file."""
    if path.suffix in (".h5", ".hdf5") and _holds_model(path):
        return ", but a Keras model in HDF5: write it anew, with keras.saving.load_model(FILE).save('NEW.keras')"
    try:
        format_by_name(path)
    except ValueError:  # of no format
        return ""
    return ", but weights alone: `keras-nasnet zoo convert FILE NEW.keras --network VARIANT` makes a model of them"


def _holds_model(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "model_config" in file.attrs
    except (OSError, RuntimeError, KeyError, ValueError):
        return False


def check(model: str | os.PathLike[str]) -> None:
    """Check cheaply, without Keras, that `load` will find something that it understands.

    Raises:
        ValueError: as `load` does, but for addresses, and for weights that are damaged.
    """
    place = locate(model)
    if place.path != Path():
        saved.check(_config(place), place.text)


def preprocessing(model: str | os.PathLike[str]) -> Preprocessing:
    """Return how images become a model's input, without Keras.

    Layers that stand in front of a network and scale are left out: those may need weights.

    Raises:
        ValueError: as `load` does.
    """
    place = locate(model)
    if place.kind == "entry":
        return entry(place.text).preprocessing
    return saved.preprocessing(_config(place), place.text)


def describe(model: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what is known of a model, as plain data. Needs no Keras; downloads a small file from the Hub.

    Args:
        model: as `load` takes it, but for a Keras model.

    Raises:
        ValueError: as `load` does.
    """
    place = locate(model)
    if place.kind == "entry":
        found = entry(place.text)
        cached = files.file_on_this_machine(found)
        return found.to_dict() | {"cached": str(cached) if cached else None}
    return {"name": place.text} | saved.describe(_config(place), place.text)


def verify(model: str | os.PathLike[str]) -> list[Path]:
    """Check the files of a model against their checksums; see `files.verify` for entries of the catalog.

    Returns:
        The paths of the files, which are right.

    Raises:
        ValueError: if there is no such model, or a file is wrong or has no checksum.
    """
    place = locate(model)
    if place.kind == "entry":
        return files.verify(place.text)
    if place.kind == "file":
        keras_file.verify(place.path)
    elif not (_downloaded(place) / checksum.SUMS).is_file():
        raise ValueError(f"{place.text}: it has no {checksum.SUMS}, so that nothing can be compared")
    else:
        checksum.check_sums(_downloaded(place), (model_folder.CONFIG, model_folder.WEIGHTS), place.text)
    return files_of(place)


def files_of(place: Place) -> list[Path]:
    """Return the files on this machine that make a model what it is; downloads them from the Hub.

    Args:
        place: of another kind than "entry".
    """
    if place.kind == "file":
        return [place.path]
    folder = _downloaded(place)
    return [folder / model_folder.CONFIG, folder / model_folder.WEIGHTS]


def _config(place: Place) -> Any:
    if place.kind == "file":
        return keras_file.read_config(place.path)
    return read_json(_downloaded(place) / model_folder.CONFIG)


def _downloaded(place: Place) -> Path:
    return hub.download(place.text, model_folder.READ) if place.kind == "address" else place.path


def load(
    model: "str | os.PathLike[str] | keras.Model", class_names: str | os.PathLike[str] | Sequence[str] | None = None
) -> "NASNet":
    """Load a NASNet with its weights, `preprocess` and `class_names`.

    What is not on this machine is downloaded. Weights in another format than ours are
    converted the first time, and kept beside the downloads as safetensors.

    A functional or `Sequential` model around a `NASNet` or `NASNetBackbone` becomes a `NASNet` that computes the same:
    in front of the network there may be random augmentation, `Resizing`, and scaling of pixels (`Rescaling`,
    `Normalization`, `preprocess_input`), which becomes the preprocessing; behind it pooling, dropout, batch
    normalization and one dense layer, whose logits get a softmax.

    Args:
        model: a name from `names()`, "hf://ORG/NAME" or "hf://ORG/NAME@REVISION" for a
            model on the Hugging Face Hub, the path of a folder that `zoo publish` or a
            training run wrote, the path of a `.keras` file, or a Keras model.
        class_names: names of the classes in order, or a file of them (a line each, or a JSON list), for a model that
            has none, or others; default: the model's own.

    Raises:
        ValueError: if there is no such name, address or file, it holds no NASNet, or a download
            fails or is not the file that it should be; or if the names are not as many as the classes.

    Example:
        >>> network = keras_nasnet.load("nasnet_a_cifar10")
        >>> inputs = network.preprocess(np.zeros((40, 40, 3), "uint8"))
        >>> keras.ops.shape(network(inputs))
        (1, 10)

        A model that somebody has built around a backbone:

        >>> backbone = keras_nasnet.NASNetBackbone(num_blocks=1, penultimate_filters=96, stem="cifar")
        >>> around = [keras.Input((32, 32, 3)), backbone, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)]
        >>> load(keras.Sequential(around), class_names=["cat", "dog"]).class_names
        ('cat', 'dog')
    """
    names = None if class_names is None else read_class_names(class_names)
    with standard_settings():
        found = _load(model)
    if names is not None:
        config = found.get_config()
        if not config["include_top"]:
            raise ValueError(f"{found.name} has no classifier: it has no class names")
        found.class_names = arguments.class_names(names, config["classes"])
    return found


def _load(model: "str | os.PathLike[str] | keras.Model") -> "NASNet":
    if not isinstance(model, str | os.PathLike):
        return _of_keras(model)
    place = locate(model)
    if place.kind == "entry":
        return _load_entry(entry(place.text))
    if place.kind == "file":
        return keras_file.load(place.path)
    return model_folder.read(_downloaded(place), place.text)


def _of_keras(model: Any) -> "NASNet":
    import keras

    from keras_nasnet.models.classifier import NASNet

    if isinstance(model, NASNet) and not model.has_layers_before:
        return model
    if not isinstance(model, keras.Model):
        raise ValueError(f"model is a {type(model).__name__}: give {WHAT}, or a Keras model around a NASNet")
    if not model.built:
        raise ValueError(f"{model.name}: it has no weights yet: give it an Input, or call it")
    data = keras.saving.serialize_keras_object(model)
    return saved.convert(model, saved.around(data, model.name), model.name)


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
        whole = load(name)  # converts; kept for the next time
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
    # As the weights were trained, however Keras is configured on this machine.
    fixed: dict[str, Any] = {"data_format": "channels_last", "dtype": "float32"}
    with without_random_values():
        return NASNet(
            **fixed | found.builder | ({"classes": len(names)} if names else {}),
            class_names=names,
            preprocessing=found.preprocessing,
            name=found.name,
        )
