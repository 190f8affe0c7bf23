"""Keras' own `.weights.h5`, for one and the same network: with a checksum, and read whole or not at all."""

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from keras_nasnet.common.errors import one_line
from keras_nasnet.zoo.formats import h5_file
from keras_nasnet.zoo.formats.assign import check_file
from keras_nasnet.zoo.formats.weight_format import WeightFormat

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet


def save(model: "keras.Model", path: str | os.PathLike[str]) -> None:
    """Write all weights of a model, so that `model.load_weights` reads them too.

    Args:
        model: a built model.
        path: of the file, which appears when it is whole.
    """
    import keras

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # Keras writes no user block
        plain = Path(folder, "model.weights.h5")
        keras.saving.save_weights(model, plain)
        with h5py.File(plain, "r") as source:
            h5_file.write(path, lambda file: _copy(source, file))


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
    h5_file.check(path)
    before = [keras.ops.convert_to_numpy(variable).copy() for variable in model.weights]
    try:
        _check_shapes(path, model)
        keras.saving.load_weights(model, path)
    except Exception as error:  # damaged files raise anything
        for variable, value in zip(model.weights, before, strict=True):
            variable.assign(value)
        raise ValueError(f"{path} is not for this model, or damaged: {one_line(error, 200)}") from None


def _check_shapes(path: str | os.PathLike[str], model: "keras.Model") -> None:
    """Keras itself takes the file of a larger net, and reads any shape into memory before it looks."""
    found: list[tuple[int, ...]] = []
    with h5py.File(path, "r") as file:
        file["layers"].visititems(
            lambda name, item: found.append(item.shape) if isinstance(item, h5py.Dataset) else None
        )
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
