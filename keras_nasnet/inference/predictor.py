"""From images to probabilities, by the fastest engine. With a network that is compiled already, without Keras."""

import functools
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_nasnet import __version__
from keras_nasnet.images import Preprocessing, read_image
from keras_nasnet.inference import cache, engines
from keras_nasnet.inference.engines import Engine
from keras_nasnet.training.data.folder import read_ahead

if TYPE_CHECKING:
    from keras_nasnet.inference.formats import Runner
    from keras_nasnet.model import NASNet

METADATA = "metadata.json"
PRECISION = "f32"
MIN_SIDE = 32  # pixels that a network needs


class Predictor:
    """A classifier that is ready, by one engine, with its weights as they were when this was made.

    Args:
        runner: of preprocessed images; its metadata are those of an export, with the number of "classes".
        engine: its name.
    """

    def __init__(self, runner: "Runner", engine: str):
        self.engine = engine
        self.name: str = runner.metadata["name"]
        self.classes: int = runner.metadata["classes"]
        self.class_names: list[str] | None = runner.metadata["class_names"]
        self.preprocessing = Preprocessing.from_dict(runner.metadata["preprocessing"])
        self._runner = runner

    def predict_images(self, images: Any, batch: int | None = None) -> np.ndarray:
        """Returns float32 probabilities (n, classes).

        Args:
            images: one image or any number of them: paths, PIL images, or arrays (height, width, 3) of
                pixels 0..255; or one array (n, height, width, 3). They are read and computed a few batches
                at a time, so that a generator may yield more than memory holds.
            batch: images of a batch; by default 64 up to 200 pixels, else 8.

        Raises:
            ValueError: if there is no image, or one cannot be read; names it.
        """
        if isinstance(images, str | os.PathLike | Image.Image) or getattr(images, "ndim", 0) == 3:
            return self.predict(_sound(self._read(images))[None])
        rows = [_sound(row) for _, row in self.predict_each(images, batch)]
        if not rows:
            raise ValueError("there is no image to classify: give at least one")
        return np.stack(rows)

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """Returns float32 probabilities (n, classes) of images (n, height, width, 3) that are preprocessed already."""
        return self._runner.run(inputs)

    def predict_each(
        self, images: Iterable[Any], batch: int | None = None
    ) -> Iterator[tuple[Any, np.ndarray | ValueError]]:
        """Yields each image with its probabilities (classes,), or with what is wrong with it.

        While one batch is computed, threads read the next ones.
        """
        if batch is not None and batch < 1:
            raise ValueError(f"batch is {batch}: it must be at least 1")
        for items, inputs in read_ahead(_batches(iter(images), batch or self._batch()), self._read):
            rows = iter(self._run([one for one in inputs if isinstance(one, np.ndarray)]))
            for item, one in zip(items, inputs, strict=True):
                yield item, one if isinstance(one, ValueError) else next(rows)

    def _run(self, inputs: list[np.ndarray]) -> np.ndarray | tuple[()]:
        return self.predict(np.stack(inputs)) if inputs else ()

    def _batch(self) -> int:
        height, width = self.preprocessing.height, self.preprocessing.width
        if height is None or width is None:
            return 1  # the images may differ in size
        return 64 if max(height, width) <= 200 else 8

    def _read(self, image: Any) -> Any:
        """Returns the network's input (height, width, 3), or the ValueError that says what is wrong."""
        try:
            what = "an image"
            if isinstance(image, str | os.PathLike):
                what, image = os.fspath(image), read_image(image)
            pixels = self.preprocessing.fit(image)
        except ValueError as error:
            return error
        if min(pixels.shape[:2]) < MIN_SIDE:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            return ValueError(f"{what}: {size} pixels are too few, the model needs {MIN_SIDE}x{MIN_SIDE}")
        return self.preprocessing.scale(pixels)


def open_predictor(name: str, identity: str, load: Callable[[], "NASNet"], engine: str | None = None) -> Predictor:
    """Returns a network's predictor; compiles the network the first time that this machine sees it.

    Args:
        name: of the network, for people.
        identity: checksum of its weights and its configuration, so also of its input's size.
        load: returns the network; it is called only if there is no compiled one.
        engine: see `engines.choose`.

    Raises:
        ValueError: as `engines.choose` and `load` do, or if the network has no classifier.
    """
    chosen, load = engines.choose(engine), functools.cache(load)
    if chosen.form is None:
        return Predictor(_keras_runner(load()), chosen.name)
    key = {
        "network": identity,
        "engine": [chosen.name, chosen.version],
        "precision": PRECISION,
        "keras_nasnet": __version__,
    }
    if chosen.name == "openvino":
        from keras_nasnet.inference import openvino_engine

        key["processor"] = openvino_engine.processor()
    try:
        runner = cache.cached(
            name, key, lambda folder: _compile(chosen, load(), folder), lambda folder: _open(chosen, folder)
        )
    except _OtherBackend as error:
        if engine is not None:
            raise ValueError(f"{chosen.title} is fed by TensorFlow: {error}") from None
        return Predictor(_keras_runner(load()), "tensorflow")
    return Predictor(runner, chosen.name)


class _OtherBackend(Exception):
    """Keras computes on a backend from which nothing is exported."""


def _compile(engine: Engine, model: "NASNet", folder: Path) -> None:
    """Fills a folder with a network as an engine takes it."""
    import keras

    from keras_nasnet.inference import classifier
    from keras_nasnet.inference.formats import FORMATS, Signature

    classifier.check(model)
    if keras.backend.backend() != "tensorflow":
        raise _OtherBackend(f"set KERAS_BACKEND=tensorflow, it is {keras.backend.backend()}")
    metadata = classifier.metadata(model) | {"classes": model.get_config()["classes"]}
    height, width = model.preprocessing.height, model.preprocessing.width
    signature = Signature(engine.batch, height, width, metadata)
    network = classifier.with_probabilities(classifier.folded(classifier.in_float32(model)), signature.shape)
    form = FORMATS[engine.form or ""]
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        file = Path(temporary, f"network{form.suffix}")
        form.load().write(network, file, signature)
        if engine.name == "openvino":
            from keras_nasnet.inference import openvino_engine

            openvino_engine.compile_file(file, folder / openvino_engine.BLOB)
        else:
            os.replace(file, folder / file.name)
    (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")


def _open(engine: Engine, folder: Path) -> "Runner":
    if engine.name == "openvino":
        from keras_nasnet.inference import openvino_engine

        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        return openvino_engine.Compiled(folder / openvino_engine.BLOB, metadata)
    from keras_nasnet.inference.formats import FORMATS

    form = FORMATS[engine.form or ""]
    return form.load().read(folder / f"network{form.suffix}")


def _keras_runner(model: "NASNet") -> "Runner":
    from keras_nasnet.inference.keras_engine import KerasRunner

    return KerasRunner(model)


def _sound(result: np.ndarray | ValueError) -> np.ndarray:
    if isinstance(result, ValueError):
        raise result
    return result


def _batches(images: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(images, size)):
        yield batch
