"""Predictors by name: of a network that is compiled already without Keras, which takes seconds to import."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from keras_nasnet.common.checksum import sha256
from keras_nasnet.inference.opening import open_predictor
from keras_nasnet.models.predictor import Predictor
from keras_nasnet.zoo import model_folder
from keras_nasnet.zoo.catalog.entries import entry, names
from keras_nasnet.zoo.loading import RUN_FILE, check, load
from keras_nasnet.zoo.sources import hub


def load_predictor(
    name_or_path: str | os.PathLike[str],
    engine: str | None = None,
    precision: str = "float32",
    report: Callable[[str], None] | None = None,
) -> Predictor:
    """Return the predictor of a network; compiles the network the first time that this machine sees it.

    Args:
        name_or_path: as `load` takes it.
        engine: "openvino", "onnxruntime", "litert" or "tensorflow"; default: the first of these that is installed.
        precision: "float32", or "bfloat16" (OpenVINO).
        report: takes a line that says that the network is being compiled, which may take a minute.

    Raises:
        ValueError: as `load` does, or if the engine is not installed, or the network has no classifier.
    """
    check(name_or_path)
    text = os.fspath(name_or_path)
    name = text if text in names() else Path(text).stem
    return open_predictor(name, identity(text), lambda: load(text), engine, precision, report)


def identity(text: str) -> str:
    """Return a checksum of all that makes a network what it is.

    Args:
        text: a name, an address or a path that `check` lets pass.
    """
    if text in names():
        found = entry(text)
        data, checksum = found.to_dict(), found.source.checksum
        parts = {key: data.get(key) for key in ("builder", "preprocessing", "class_names")}
        described = json.dumps(parts | {"weights": [checksum.kind, checksum.digest]}, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()
    path = hub.download(text, model_folder.READ) if hub.is_address(text) else Path(text)
    if model_folder.is_model_folder(path):
        files = [path / model_folder.CONFIG, path / model_folder.WEIGHTS]
    else:
        files = [path / RUN_FILE if path.is_dir() else path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(bytes.fromhex(sha256(file)))
    return digest.hexdigest()
