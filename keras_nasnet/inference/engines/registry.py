"""The engines that run a network: which are installed, and which is taken. Importing this imports none of them."""

import importlib.metadata
import importlib.util
from dataclasses import dataclass

PRECISIONS = ("float32", "bfloat16")


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
    precisions: in which it can compute, the default first.
    """

    name: str
    title: str
    module: str
    distribution: str
    form: str | None
    batch: int | None
    precisions: tuple[str, ...] = ("float32",)

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
        Engine("openvino", "OpenVINO", "openvino", "openvino", "openvino", None, PRECISIONS),
        Engine("onnxruntime", "ONNX Runtime", "onnxruntime", "onnxruntime", "onnx", None),
        Engine("litert", "LiteRT", "ai_edge_litert", "ai-edge-litert", "litert", 1),
        Engine("tensorflow", "TensorFlow", "keras", "keras", None, None),
    )
}


def installed() -> list[str]:
    """Returns the names of the engines that are installed, the fastest first."""
    return [engine.name for engine in ENGINES.values() if engine.is_installed]


def candidates(name: str | None = None, precision: str = "float32") -> list[Engine]:
    """Returns the engine of a name, or all that are installed, the fastest first.

    Args:
        name: "openvino", "onnxruntime", "litert", or "tensorflow" for the Keras model itself (which computes
            on JAX or PyTorch where Keras is configured so).
        precision: in which it computes.

    Raises:
        ValueError: if there is none of this name, it is not installed, or does not know the precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: choose from {', '.join(PRECISIONS)}")
    if name is not None and name not in ENGINES:
        raise ValueError(f"engine is {name!r}: choose from {', '.join(ENGINES)}")
    able = [engine for engine in ENGINES.values() if precision in engine.precisions]
    wanted = [engine for engine in able if name in (None, engine.name)]
    if name is not None and not wanted:
        raise ValueError(f"{ENGINES[name].title} does not compute in {precision}: {able[0].title} does")
    found = [engine for engine in wanted if engine.is_installed]
    if not found:
        raise ValueError(f"{wanted[0].title} is not installed: pip install 'keras-nasnet[{wanted[0].form}]'")
    return found
