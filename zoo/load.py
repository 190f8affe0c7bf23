"""Models by name from the catalog, or from `.keras` files. Imports Keras only when it loads."""

import os
import tomllib
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_nasnet.model import NASNet

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Returns the names in the catalog."""
    return sorted(file.stem for file in (_FOLDER / "catalog").glob("*.toml"))


def entry(name: str) -> dict[str, Any]:
    """Returns what the catalog says about a model.

    Raises:
        ValueError: if the catalog has no such name; lists those it has.
    """
    if name not in names():
        raise ValueError(f"no model is called {name!r}: choose from {', '.join(names())}, or give a .keras file")
    return tomllib.loads((_FOLDER / "catalog" / f"{name}.toml").read_text(encoding="utf-8"))


def check(name_or_path: str | os.PathLike[str]) -> None:
    """Checks cheaply that `load` will find something.

    Raises:
        ValueError: as `load` does, but for files that only look like Keras files.
    """
    text = os.fspath(name_or_path)
    if text in names():
        return
    path = Path(text)
    if not path.exists():
        if path.name == text and path.suffix != ".keras":  # meant as a name
            entry(text)
        raise ValueError(f"{text}: no such file")
    if not (path.suffix == ".keras" and path.is_file() and zipfile.is_zipfile(path)):
        raise ValueError(f"{text}: not a .keras file")


def load(name_or_path: str | os.PathLike[str]) -> "NASNet":
    """Loads a NASNet with its weights, `preprocess` and `class_names`.

    Args:
        name_or_path: a name from `names()`, or the path of a `.keras` file.

    Raises:
        ValueError: if there is no such name or file, or the file holds no NASNet.
    """
    check(name_or_path)
    text = os.fspath(name_or_path)
    if text not in names():
        return _load_keras_file(text)
    from keras_nasnet.model import NASNet
    from keras_nasnet.zoo import weights_file

    data = entry(text)
    model = NASNet(
        **data["builder"],
        classes=len(data["class_names"]),
        class_names=data["class_names"],
        preprocessing=data["preprocessing"],
        name=text,
    )
    weights_file.load(_FOLDER / "weights" / data["weights"], model)
    return model


def _load_keras_file(path: str) -> "NASNet":
    import keras

    from keras_nasnet.model import NASNet

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # damaged files raise anything
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path}: cannot be loaded ({text[:200]})") from error
    if not isinstance(model, NASNet):
        raise ValueError(f"{path}: holds a {type(model).__name__}, not a NASNet")
    return model
