"""Predictors by name: of a network that is compiled already without Keras, which takes seconds to import."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_nasnet.common.checksum import sha256
from keras_nasnet.inference.opening import open_predictor
from keras_nasnet.models.predictor import Predictor
from keras_nasnet.zoo import model_folder
from keras_nasnet.zoo.catalog.entries import entry
from keras_nasnet.zoo.class_list import read_class_names
from keras_nasnet.zoo.loading import Place, check, files_of, load, locate
from keras_nasnet.zoo.sources import hub


def load_predictor(
    name_or_path: str | os.PathLike[str],
    engine: str | None = None,
    precision: str = "float32",
    report: Callable[[str], None] | None = None,
    class_names: str | os.PathLike[str] | Sequence[str] | None = None,
) -> Predictor:
    """Return the predictor of a network; compiles the network the first time that this machine sees it.

    Args:
        name_or_path: as `load` takes it.
        engine: "openvino", "onnxruntime", "litert" or "tensorflow"; default: the first of these that is installed.
        precision: "float32", or "bfloat16" (OpenVINO).
        report: takes a line that says that the network is being compiled, which may take a minute.
        class_names: as `load` takes them.

    Raises:
        ValueError: as `load` does, or if the engine is not installed, or the network has no classifier.
    """
    check(name_or_path)
    place = locate(name_or_path)
    found = None if class_names is None else read_class_names(class_names)
    name = place.text if place.kind == "entry" else Path(place.text).stem
    source = name_or_path
    if place.kind == "address":  # resolved once: what is compiled must be what its checksum is of
        source = hub.pinned(place.text, model_folder.READ)
        place = Place(source, "address")
    which = identity(place)
    if found is not None:
        which = hashlib.sha256(json.dumps([which, found]).encode()).hexdigest()
    return open_predictor(name, which, lambda: load(source, found), engine, precision, report)


def identity(place: Place) -> str:
    """Return a checksum of all that makes a network what it is.

    Args:
        place: that `locate` returned.
    """
    digest = hashlib.sha256()
    if place.kind == "entry":
        found = entry(place.text)
        data, checksum = found.to_dict(), found.source.checksum
        parts = {key: data.get(key) for key in ("builder", "preprocessing", "class_names")}
        described = json.dumps(parts | {"weights": [checksum.kind, checksum.digest]}, sort_keys=True)
        digest.update(described.encode())
    else:
        for file in files_of(place):
            digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()
