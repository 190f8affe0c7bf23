"""From images to probabilities, by the fastest engine. With a network that is compiled already, without Keras."""

import functools
import itertools
import json
import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from keras_nasnet.common import cache
from keras_nasnet.common.images import Preprocessing, read_image
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.common.version import __version__
from keras_nasnet.inference.engines import registry as engines
from keras_nasnet.inference.engines.registry import Engine

if TYPE_CHECKING:
    from keras_nasnet.inference.formats import Format, Runner
    from keras_nasnet.models.classifier import NASNet

METADATA = "metadata.json"
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
        self._turn = threading.Lock()  # an engine computes for one thread at a time, by all cores

    def predict_images(self, images: Any, batch: int | None = None) -> np.ndarray:
        """Returns float32 probabilities (n, classes).

        Args:
            images: one image or any number of them: paths, PIL images, or arrays (height, width, 3) of
                pixels 0..255; or one array (n, height, width, 3). They are read and computed a few batches
                at a time, so that a generator may yield more than memory holds.
            batch: images of a batch; by default 64 up to 200 pixels, else 8. Always 1 where they may differ in size.

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
        with self._turn:
            return self._runner.run(inputs)

    def predict_each(
        self, images: Iterable[Any], batch: int | None = None
    ) -> Iterator[tuple[Any, np.ndarray | ValueError]]:
        """Yields each image with its probabilities (classes,), or with what is wrong with it.

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


def open_predictor(
    name: str,
    identity: str,
    load: Callable[[], "NASNet"],
    engine: str | None = None,
    precision: str = "float32",
    told: Callable[[str], None] | None = None,
) -> Predictor:
    """Returns a network's predictor; compiles the network the first time that this machine sees it.

    Args:
        name: of the network, for people.
        identity: checksum of its weights and its configuration, so also of its input's size.
        load: returns the network; it is called only if there is no compiled one.
        engine: see `engines.candidates`.
        precision: likewise.
        told: that the network is being compiled, which may take a minute.

    Raises:
        ValueError: as `engines.candidates` and `load` do, or if the network has no classifier, or cannot be compiled
            for an engine that was asked for; of those that were not, the next one is taken.
    """
    load = functools.cache(load)
    for chosen in engines.candidates(engine, precision):
        if chosen.form is None:
            break
        try:
            return Predictor(_compiled_runner(name, identity, load, chosen, precision, told), chosen.name)
        except _CannotCompile as error:
            if engine is not None or precision != "float32":
                raise ValueError(f"{chosen.title} cannot compute {name}: {error}") from None
            if error.is_odd:
                warnings.warn(f"{chosen.title} cannot compute {name} ({error}): a slower engine does", stacklevel=2)
    from keras_nasnet.inference.engines.keras import KerasRunner

    return Predictor(KerasRunner(load()), "tensorflow")


class _CannotCompile(Exception):
    """A network cannot be had for an engine, as is to be expected, or for an odd reason."""

    def __init__(self, reason: str, is_odd: bool):
        super().__init__(reason)
        self.is_odd = is_odd


def _compiled_runner(
    name: str,
    identity: str,
    load: Callable[[], "NASNet"],
    engine: Engine,
    precision: str,
    told: Callable[[str], None] | None,
) -> "Runner":
    def make(folder: Path) -> None:
        if told is not None:
            told(f"compiling {name} for {engine.title}, once on this machine")
        _compile(engine, load(), folder, precision)

    key = {
        "network": identity,
        "engine": [engine.name, engine.version],
        "precision": precision,
        "keras_nasnet": __version__,
    }
    if engine.name == "openvino":
        from keras_nasnet.inference.engines import openvino as openvino_engine

        key["processor"] = openvino_engine.processor()
    return cache.cached(name, key, make, lambda folder: _open(engine, folder, precision))


def _compile(engine: Engine, model: "NASNet", folder: Path, precision: str) -> None:
    """Fills a folder with a network as an engine takes it, and compares it with the network."""
    import keras

    from keras_nasnet.inference import classifier
    from keras_nasnet.inference.formats import FORMATS

    classifier.check(model)
    if keras.backend.backend() != "tensorflow":
        raise _CannotCompile(
            f"compiled networks come from TensorFlow, and Keras computes on {keras.backend.backend()}", is_odd=False
        )
    form = FORMATS[engine.form or ""]
    try:
        _write(engine, form, model, folder, precision)
    except ImportError as error:  # of a converter, which comes with the extra but not with the runtime
        raise _CannotCompile(f"{error}: pip install 'keras-nasnet[{form.name}]'", is_odd=False) from None
    except Exception as error:  # of converters and runtimes: anything
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        raise _CannotCompile(reason, is_odd=True) from error


def _write(engine: Engine, form: "Format", model: "NASNet", folder: Path, precision: str) -> None:
    from keras_nasnet.inference import classifier
    from keras_nasnet.inference.comparison import compare
    from keras_nasnet.inference.formats import Signature
    from keras_nasnet.inference.keras_export import quiet
    from keras_nasnet.inference.real_images import photographs

    metadata = classifier.metadata(model) | {"classes": model.get_config()["classes"]}
    preprocessing = model.preprocessing
    signature = Signature(engine.batch, preprocessing.height, preprocessing.width, metadata)
    exact = classifier.rebuilt(model, preprocessing.height, preprocessing.width)
    network = classifier.with_probabilities(classifier.folded(exact), signature.shape)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, quiet():
        file = Path(temporary, f"network{form.suffix}")
        form.load().write(network, file, signature)
        (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
        if engine.name == "openvino":
            from keras_nasnet.inference.engines import openvino as openvino_engine

            openvino_engine.compile_file(file, folder, precision)
        else:
            os.replace(file, folder / file.name)
        own = classifier.with_probabilities(exact, (None, *signature.shape[1:]))
        inputs = [preprocessing(image) for image in photographs()]
        batches = inputs if preprocessing.height is None else [inputs[0], np.concatenate(inputs)]
        compare(own, _open(engine, folder, precision), batches, exact=precision == "float32")


def _open(engine: Engine, folder: Path, precision: str) -> "Runner":
    if engine.name == "openvino":
        from keras_nasnet.inference.engines import openvino as openvino_engine

        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        return openvino_engine.Compiled(folder, metadata, precision)
    from keras_nasnet.inference.formats import FORMATS

    form = FORMATS[engine.form or ""]
    return form.load().read(folder / f"network{form.suffix}")


def _sound(result: np.ndarray | ValueError) -> np.ndarray:
    if isinstance(result, ValueError):
        raise result
    return result


def _batches(images: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while batch := list(itertools.islice(images, size)):
        yield batch
