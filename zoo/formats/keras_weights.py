"""Keras' own `.weights.h5`, for one and the same network: with a checksum, and read whole or not at all."""

import io
import os
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import temporary_folder
from keras_nasnet.zoo.formats import h5_file
from keras_nasnet.zoo.formats.assign import check_file, check_finite
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet


def save(model: "keras.Model", path: str | os.PathLike[str]) -> None:
    """Write all weights of a model, so that `model.load_weights` reads them too.

    Args:
        model: a built model.
        path: of the file, which appears when it is whole.

    Raises:
        OSError: if it cannot be written.
    """
    with h5py.File(io.BytesIO(_as_keras_writes(model, Path(path))), "r") as source:
        h5_file.write(path, lambda file: _copy(source, file))  # Keras writes no user block


def _as_keras_writes(model: "keras.Model", path: Path) -> bytes:
    """The `.weights.h5` of a model, out of a `.keras` file, which Keras makes in memory; see `h5_file.write`."""
    import keras

    with temporary_folder(path) as folder:
        keras.saving.save_model(model, folder / "model.keras")
        with zipfile.ZipFile(folder / "model.keras") as archive:
            return archive.read("model.weights.h5")


def _copy(source: h5py.File, file: h5py.File) -> None:
    for name in source:
        source.copy(name, file)


def load(path: str | os.PathLike[str], model: "keras.Model") -> None:
    """Fill all weights of a model from a file that `save` or Keras wrote.

    Args:
        path: of the file, which ends in ".weights.h5".
        model: a built model.

    Raises:
        ValueError: if the file cannot be read, or its weights are not the model's; the model is
            left as it was.
    """
    import keras

    check_file(path)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.weights]
    try:
        with h5_file.opened(path) as file:
            _check_shapes(file, model)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # by which Keras says that it leaves weights as they are
            keras.saving.load_weights(model, path)
        check_finite(path, model)
    except Exception as error:  # damaged files raise anything
        for variable, value in zip(model.weights, before, strict=True):
            variable.assign(value)
        text = one_line(error, 300).removeprefix(f"{path}: ")
        raise ValueError(f"{path} is not for this model, or damaged: {text}") from None


def _check_shapes(file: h5py.File, model: "keras.Model") -> None:
    """Keras itself takes the file of a larger net, and reads any shape into memory before it looks."""
    found: list[tuple[int, ...]] = []
    file["layers"].visititems(lambda name, item: found.append(item.shape) if isinstance(item, h5py.Dataset) else None)
    expected = [tuple(variable.shape) for variable in model.weights]
    if Counter(found) != Counter(expected):
        missing = Counter(expected) - Counter(found)
        text = ", ".join(str(shape) for shape in list(missing)[:3])
        raise ValueError(
            f"the file has {len(found)} weights, the model {len(expected)}" + (f", of them {text}" if text else "")
        )


class KerasWeights(WeightFormat):
    """Weights as Keras writes them, for one and the same network."""

    suffixes = written = (".weights.h5",)

    def read(self, path: str | os.PathLike[str], model: "keras.Model", moving_averages: bool = True) -> None:
        load(path, model)

    def write(self, model: "NASNet", path: Path) -> None:
        save(model, path)


FORMAT = KerasWeights()
