"""Keras' own `.keras` files, which hold a whole model."""

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common.errors import one_line
from keras_nasnet.zoo.formats import weights_file
from keras_nasnet.zoo.formats.assign import same_weights, weights_of
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

StrPath = str | os.PathLike[str]


def check(path: StrPath) -> None:
    """Check cheaply, without Keras, that a file may be a `.keras` file.

    Raises:
        ValueError: if it is none.
    """
    if not (Path(path).suffix == ".keras" and zipfile.is_zipfile(path)):
        raise ValueError(f"{path}: not a .keras file")


def load(path: StrPath) -> "NASNet":
    """Return the model in a `.keras` file.

    Raises:
        ValueError: if the file is damaged, or holds no `NASNet`.
    """
    check(path)
    import keras

    from keras_nasnet.models.classifier import NASNet

    try:
        with zipfile.ZipFile(path) as archive:
            if damaged := archive.testzip():  # on Python 3.12 Keras reads on where a checksum is wrong
                raise ValueError(f"{damaged} in it is damaged")
        with without_random_values():
            model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # damaged files raise anything
        raise ValueError(f"{path}: cannot be loaded ({one_line(error, 200)})") from error
    if not isinstance(model, NASNet):
        raise ValueError(f"{path}: holds a {type(model).__name__}, not a NASNet")
    return model


class KerasFile(WeightFormat):
    """A whole model, as Keras writes it."""

    suffixes = written = (".keras",)
    is_whole = True

    def read(self, path: StrPath, model: "keras.Model", moving_averages: bool = True) -> None:
        weights_file.assign(path, weights_of(load(path)), model, unused=weights_file.HEADS)

    def write(self, model: "NASNet", path: Path) -> None:
        model.save(path)

    def holds(self, path: Path, model: "NASNet") -> bool:
        """Return whether a file holds the model, also what it is made of."""
        found = load(path)
        return found.get_config() == model.get_config() and same_weights(found, model)


FORMAT = KerasFile()
