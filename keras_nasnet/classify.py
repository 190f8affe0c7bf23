"""Classifies images from files, a batch at a time."""

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_nasnet.images import read_image

if TYPE_CHECKING:
    from keras_nasnet.model import NASNet

Path = str | os.PathLike[str]


class Prediction(NamedTuple):
    label: str
    probability: float


Results = Iterator[tuple[Path, list[Prediction] | ValueError]]


def classify(model: "NASNet", paths: Iterable[Path], top: int = 5) -> Results:
    """Yields each path with its `top` most probable classes, or with what is wrong with the file.

    Holds one batch of images at a time. The label of a model without class names is the
    number of the class.

    Args:
        model: a NASNet with a classifier.
        paths: of image files.
        top: how many classes.

    Raises:
        ValueError: if the model has no classifier, or `top` is not between 1 and its classes.
    """
    config = model.get_config()
    if not config["include_top"]:
        raise ValueError(f"{model.name} has no classifier: it gives features only")
    if not 1 <= top <= config["classes"]:
        raise ValueError(f"top is {top}: it must be between 1 and {config['classes']}, the number of classes")
    labels = model.class_names or [str(number) for number in range(config["classes"])]
    return _classify(model, iter(paths), top, labels, config["classifier_activation"] == "linear")


def _classify(model: "NASNet", paths: Iterator[Path], top: int, labels: Iterable[str], logits: bool) -> Results:
    names = list(labels)
    while batch := list(itertools.islice(paths, _batch_size(model))):
        inputs, errors = [], {}
        for place, path in enumerate(batch):
            try:
                inputs.append(_read(model, path))
            except ValueError as error:
                errors[place] = error
        rows = iter(_probabilities(model, np.stack(inputs), logits) if inputs else ())
        for place, path in enumerate(batch):
            if place in errors:
                yield path, errors[place]
                continue
            row = next(rows)
            order = np.argsort(-row, kind="stable")[:top]
            yield path, [Prediction(names[number], float(row[number])) for number in order]


def _batch_size(model: "NASNet") -> int:
    height, width = model.preprocessing.height, model.preprocessing.width
    if height is None or width is None:
        return 1  # the images may differ in size
    return 64 if max(height, width) <= 200 else 8


def _read(model: "NASNet", path: Path) -> np.ndarray:
    image = read_image(path)
    if model.preprocessing.height is None and min(image.size) < 32:
        raise ValueError(f"{path}: {image.width}x{image.height} pixels are too few, the model needs 32x32")
    return model.preprocess(image)[0]


def _probabilities(model: "NASNet", batch: np.ndarray, logits: bool) -> np.ndarray:
    import keras

    # Called, not predicted: a new batch size costs no compilation.
    outputs = model(batch, training=False)
    if isinstance(outputs, dict):  # with an auxiliary head
        outputs = outputs["predictions"]
    return keras.ops.convert_to_numpy(keras.ops.softmax(outputs) if logits else outputs)
