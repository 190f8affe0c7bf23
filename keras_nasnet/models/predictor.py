"""From images to probabilities, by whatever computes them. Imports no Keras."""

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from keras_nasnet.common.images import Preprocessing, as_several
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.common.registry import Registry

if TYPE_CHECKING:
    import keras

MIN_SIDE = 32  # pixels that a network needs


class Runner(Protocol):
    """A classifier in a runtime, for preprocessed images.

    Attributes:
        metadata: "name", "preprocessing" (as `Preprocessing.to_dict` returns it), "class_names" (a list, or None),
            and, for a `Predictor`, "classes" (their number).
    """

    metadata: dict[str, Any]

    def run(self, images: np.ndarray) -> np.ndarray:
        """Return float32 probabilities (n, classes) of preprocessed float32 images (n, height, width, 3)."""
        ...


class Predictor:
    """A classifier that is ready to use. It keeps the weights that its network had when this was made.

    `NASNet.predictor` and `keras_nasnet.zoo.load_predictor` return one. Threads may share it.

    Args:
        runner: computes the probabilities of preprocessed images.
        engine: name of the engine that the runner belongs to.

    Attributes:
        engine: as above.
        name: of the network.
        classes: number of classes.
        class_names: in order, or None.
        preprocessing: how images are made into the network's input.

    Example:
        >>> model = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=3)
        >>> predictor = model.predictor("tensorflow")
        >>> predictor.predict_images(np.zeros((2, 40, 50, 3), np.uint8)).shape
        (2, 3)
    """

    def __init__(self, runner: Runner, engine: str):
        self.engine = engine
        self.name: str = runner.metadata["name"]
        self.classes: int = runner.metadata["classes"]
        self.class_names: list[str] | None = runner.metadata["class_names"]
        self.preprocessing = Preprocessing.from_dict(runner.metadata["preprocessing"])
        self._runner = runner
        self._turn = threading.Lock()  # an engine computes for one thread at a time, by all cores

    def predict_images(self, images: Any, batch: int | None = None) -> np.ndarray:
        """Return float32 probabilities (n, classes).

        Args:
            images: one image or any number of them: paths, PIL images, or arrays of pixels 0..255, (height, width,
                3), grey (height, width) or (height, width, 1), or RGBA (height, width, 4); or one array (n, height,
                width, channels). They are read and computed a few batches at a time, so that a generator may yield
                more than memory holds.
            batch: images of a batch; by default 64 up to 200 pixels, else 8. Always 1 where they may differ in size.

        Raises:
            ValueError: if there is no image, or one cannot be read; names it. Or if pixels are not 0..255: fractions
                from 0 to 1, negative ones, NaN, 16 bits.
        """
        rows = [_or_raise(row) for _, row in self.predict_each(as_several(images), batch)]
        if not rows:
            raise ValueError("there is no image to classify: give at least one")
        return np.stack(rows)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Return float32 probabilities (n, classes) of images (n, height, width, 3) that are preprocessed already."""
        with self._turn:
            return self._runner.run(inputs)

    def predict_each(
        self, images: Iterable[Any], batch: int | None = None
    ) -> Iterator[tuple[Any, np.ndarray | ValueError]]:
        """Yield each image with its probabilities (classes,), or with the error that it causes.

        While one batch is computed, threads read the next ones.
        """
        if batch is not None and batch < 1:
            raise ValueError(f"batch is {batch}: it must be at least 1")
        for items, inputs in read_ahead(_batches(iter(images), self._batch(batch)), self._read):
            rows = iter(self._run([one for one in inputs if isinstance(one, np.ndarray)]))
            for item, one in zip(items, inputs, strict=True):
                yield item, one if isinstance(one, ValueError) else next(rows)

    def _run(self, inputs: list[np.ndarray]) -> np.ndarray | tuple[()]:
        return self.predict(np.stack(inputs)) if inputs else ()

    def _batch(self, wanted: int | None) -> int:
        height, width = self.preprocessing.height, self.preprocessing.width
        if height is None or width is None:
            return 1  # the images may differ in size
        return wanted or (64 if max(height, width) <= 200 else 8)

    def _read(self, image: Any) -> Any:
        """Return the network's input (height, width, 3), or the ValueError that says what is wrong."""
        try:
            what = os.fspath(image) if isinstance(image, str | os.PathLike) else "an image"
            pixels = self.preprocessing.fit(image)
        except ValueError as error:
            return error
        if min(pixels.shape[:2]) < MIN_SIDE:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            return ValueError(f"{what}: {size} pixels are too few, the model needs {MIN_SIDE}x{MIN_SIDE}")
        return self.preprocessing.scale(pixels)


class OpenPredictor(Protocol):
    """Open the predictor of a network, see `keras_nasnet.inference.opening.open_predictor`."""

    def __call__(
        self,
        name: str,
        identity: str,
        load: "Callable[[], keras.Model]",
        engine: str | None = None,
        precision: str = "float32",
    ) -> Predictor: ...


# Named, not imported: engines compile networks, so they stand above them.
OPENERS: Registry[OpenPredictor] = Registry(
    "opener of predictors", {"engines": "keras_nasnet.inference.opening:open_predictor"}
)


def _or_raise(result: np.ndarray | ValueError) -> np.ndarray:
    if isinstance(result, ValueError):
        raise result
    return result


def _batches(images: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(images, size)):
        yield batch
