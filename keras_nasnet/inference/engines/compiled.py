"""Engines that compile a network once on a machine, and from then on need neither Keras nor the network."""

import abc
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.accelerate.quiet import quiet
from keras_nasnet.common import cache
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.version import __version__
from keras_nasnet.inference.comparison import compare
from keras_nasnet.inference.engines.engine import CannotCompute, Engine, Network, Report
from keras_nasnet.inference.formats.format import Signature
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.inference.real_images import photographs
from keras_nasnet.models.predictor import Runner

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

METADATA = "metadata.json"
_LONGEST_REASON = 200  # characters


class CompiledEngine(Engine):
    """An engine whose networks are compiled into a folder of the cache, and opened from there.

    What is compiled is compared with the network on photographs before it is kept. An engine of one's own is a
    subclass, an instance of which is registered: `ENGINES.register("name", MyEngine())`, or an entry point of the
    group "keras_nasnet.engine", or `engine="my_module:ENGINE"` wherever an engine is asked for.

    Attributes:
        batch: images that its networks take at a time; None for any number.

    Example:
        >>> class Reloaded(CompiledEngine):
        ...     name, title, module, distribution = "reloaded", "Keras, reloaded", "keras", "keras"
        ...
        ...     def compile(self, model, signature, folder, precision):
        ...         model.save(folder / "network.keras")
        ...
        ...     def open_folder(self, folder, metadata, precision):
        ...         model = keras.saving.load_model(folder / "network.keras")
        ...         return SimpleNamespace(metadata=metadata, run=lambda images: np.asarray(model(images)))
        >>> Reloaded().is_installed
        True
    """

    batch: int | None = None

    @abc.abstractmethod
    def compile(self, model: "keras.Model", signature: Signature, folder: Path, precision: str) -> None:
        """Fill a folder with a network in the engine's own form.

        Args:
            model: takes float32 images of `signature.shape` and returns probabilities.
            signature: of the model, with the metadata of the network.
            folder: to be filled, with plain files.
            precision: one of `precisions`.
        """

    @abc.abstractmethod
    def open_folder(self, folder: Path, metadata: dict[str, Any], precision: str) -> Runner:
        """Open what `compile` left in a folder, on a machine for which `depends_on` is the same.

        Args:
            folder: that was filled.
            metadata: of the network, for the runner.
            precision: as it was compiled.
        """

    def depends_on(self) -> dict[str, str]:
        """Return what a compiled network belongs to besides the network, the versions and the precision."""
        return {}

    def open(self, network: Network, precision: str, report: Report | None = None) -> Runner:
        key = {
            "network": network.identity,
            "engine": [self.name, self.version],
            "precision": precision,
            "keras_nasnet": __version__,
        }

        def make(folder: Path) -> None:
            if report is not None:
                report(f"compiling {network.name} for {self.title}, once on this machine")
            self.make(network.load(), folder, precision)

        return cache.cached(
            network.name, key | self.depends_on(), make, lambda folder: self._open_folder(folder, precision)
        )

    def make(self, model: "NASNet", folder: Path, precision: str) -> None:
        """Compile a network into a folder, and compares what comes out with the network."""
        import keras

        from keras_nasnet.inference.formats import classifier

        classifier.check(model)
        if keras.backend.backend() != "tensorflow":
            raise CannotCompute(
                f"compiled networks come from TensorFlow, and Keras computes on {keras.backend.backend()}",
                is_unexpected=False,
            )
        try:
            self._make(model, folder, precision)
        except ImportError as error:  # of a converter, which comes with the extra but not with the runtime
            raise CannotCompute(f"{error}: pip install 'keras-nasnet[{self.extra}]'", is_unexpected=False) from None
        except Exception as error:  # of converters and runtimes: anything
            raise CannotCompute(one_line(error, _LONGEST_REASON), is_unexpected=True) from error

    def _make(self, model: "NASNet", folder: Path, precision: str) -> None:
        from keras_nasnet.inference.formats import classifier

        metadata = classifier.metadata(model) | {"classes": model.get_config()["classes"]}
        preprocessing = model.preprocessing
        signature = Signature(self.batch, preprocessing.height, preprocessing.width, metadata)
        exact = classifier.rebuilt(model, preprocessing.height, preprocessing.width)
        with quiet():
            (folder / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
            network = classifier.with_probabilities(classifier.folded(exact), signature.shape)
            self.compile(network, signature, folder, precision)
            own = classifier.with_probabilities(exact, (None, *signature.shape[1:]))
            inputs = [preprocessing(image) for image in photographs()]
            batches = inputs if preprocessing.height is None else [inputs[0], np.concatenate(inputs)]
            compare(own, self._open_folder(folder, precision), batches, exact=precision == "float32")

    def _open_folder(self, folder: Path, precision: str) -> Runner:
        metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        return self.open_folder(folder, metadata, precision)


class FileEngine(CompiledEngine):
    """An engine that runs the files of an export format as they are.

    Attributes:
        form: name of the format.
    """

    form: str

    def compile(self, model: "keras.Model", signature: Signature, folder: Path, precision: str) -> None:
        form = FORMATS.get(self.form)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:  # for what converters leave beside it
            file = Path(temporary, f"network{form.suffix}")
            form.write(model, file, signature)
            for written in form.files(file):
                os.replace(written, folder / written.name)

    def open_folder(self, folder: Path, metadata: dict[str, Any], precision: str) -> Runner:
        form = FORMATS.get(self.form)
        return form.read(folder / f"network{form.suffix}")
