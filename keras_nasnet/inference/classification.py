"""Classifies images from files, a batch at a time."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_nasnet.inference.predictor import Predictor

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

Path = str | os.PathLike[str]


class Prediction(NamedTuple):
    label: str
    probability: float


Results = Iterator[tuple[Path, list[Prediction] | ValueError]]


def classify(model: "NASNet | Predictor", paths: Iterable[Path], top: int = 5, engine: str | None = None) -> Results:
    """Yields each path with its `top` most probable classes, or with what is wrong with the file.

    Holds a few batches of images at a time. The label of a model without class names is the
    number of the class.

    Args:
        model: a NASNet with a classifier, or its predictor.
        paths: of image files.
        top: how many classes.
        engine: of a NASNet, as `NASNet.predict_images` takes it.

    Raises:
        ValueError: if the model has no classifier, `top` is not between 1 and its classes, or the engine is
            not installed.
    """
    predictor = model if isinstance(model, Predictor) else model.predictor(engine)
    if not 1 <= top <= predictor.classes:
        raise ValueError(f"top is {top}: it must be between 1 and {predictor.classes}, the number of classes")
    return _classify(predictor, paths, top)


def _classify(predictor: Predictor, paths: Iterable[Path], top: int) -> Results:
    names = predictor.class_names or [str(number) for number in range(predictor.classes)]
    for path, row in predictor.predict_each(paths):
        if isinstance(row, ValueError):
            yield path, row
        else:
            order = np.argsort(-row, kind="stable")[:top]
            yield path, [Prediction(names[number], float(row[number])) for number in order]
