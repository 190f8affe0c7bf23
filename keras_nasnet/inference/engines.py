"""The engines that run a network: which are installed, and which is taken. Importing this imports none of them."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """Args:
    name: as `--engine` takes it.
    title: for people.
    module: that it is imported as.
    distribution: that its version is known by.
    form: the format of `keras_nasnet.inference.formats` that it runs, which is also the extra that installs
        it; None for Keras, which runs the model itself.
    batch: the images that its networks take at a time; None for any number.
    """

    name: str
    title: str
    module: str
    distribution: str
    form: str | None
    batch: int | None

    @property
    def is_installed(self) -> bool:
        try:
            return importlib.util.find_spec(self.module) is not None
        except ValueError:  # a module without a spec
            return False

    @property
    def version(self) -> str:
        return importlib.metadata.version(self.distribution)


ENGINES = {
    engine.name: engine
    for engine in (  # the fastest first
        # One image at a time: several are computed side by side, which beats a batch.
        Engine("openvino", "OpenVINO", "openvino", "openvino", "openvino", 1),
        Engine("onnxruntime", "ONNX Runtime", "onnxruntime", "onnxruntime", "onnx", None),
        Engine("litert", "LiteRT", "ai_edge_litert", "ai-edge-litert", "litert", 1),
        Engine("tensorflow", "TensorFlow", "keras", "keras", None, None),
    )
}


def installed() -> list[str]:
    """Returns the names of the engines that are installed, the fastest first."""
    return [engine.name for engine in ENGINES.values() if engine.is_installed]


def candidates(name: str | None = None) -> list[Engine]:
    """Returns the engine of a name, or all that are installed, the fastest first.

    Args:
        name: "openvino", "onnxruntime", "litert", or "tensorflow" for the Keras model itself (which computes
            on JAX or PyTorch where Keras is configured so).

    Raises:
        ValueError: if there is none of this name, or it is not installed.
    """
    if name is None:
        return [ENGINES[found] for found in installed()]
    if name not in ENGINES:
        raise ValueError(f"engine is {name!r}: choose from {', '.join(ENGINES)}")
    engine = ENGINES[name]
    if not engine.is_installed:
        raise ValueError(f"{engine.title} is not installed: pip install 'keras-nasnet[{engine.form}]'")
    return [engine]
