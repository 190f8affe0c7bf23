"""Classification of image files, a batch at a time."""

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from keras_nasnet.models.predictor import Predictor

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

Path = str | os.PathLike[str]


class Prediction(NamedTuple):
    """A class of an image.

    Args:
        label: name of the class, or its number where the network has no names.
        probability: from 0 to 1.

    Example:
        >>> Prediction("cat", 0.75).label
        'cat'
    """

    label: str
    probability: float


Results = Iterator[tuple[Path, list[Prediction] | ValueError]]


def classify(model: "NASNet | Predictor", paths: Iterable[Path], top: int = 5, engine: str | None = None) -> Results:
    """Yield each path with its `top` most probable classes, or with the error that its file causes.

    Holds a few batches of images at a time. Labels of a model without class names are the numbers of the classes.

    Args:
        model: a NASNet with a classifier, or its predictor.
        paths: of image files.
        top: number of classes to return for each image.
        engine: for a NASNet: as `NASNet.predict_images` takes it.

    Raises:
        ValueError: if the model has no classifier, `top` is not between 1 and its classes, or the engine is
            not installed.

    Example:
        >>> keras.utils.save_img("grey.png", np.full((32, 32, 3), 128, np.uint8))
        >>> model = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=3)
        >>> for path, found in classify(model, ["grey.png", "none.png"], top=2, engine="tensorflow"):
        ...     print(path, found if isinstance(found, ValueError) else len(found))
        grey.png 2
        none.png none.png: no such file
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
