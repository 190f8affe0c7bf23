"""The engines that there are, and which one is taken. Importing this imports none of their runtimes."""

from keras_nasnet.common.registry import Registry
from keras_nasnet.inference.engines.engine import PRECISIONS, Engine

_HERE = "keras_nasnet.inference.engines"

ENGINES: Registry[Engine] = Registry(
    "engine",
    {  # the fastest first
        "openvino": f"{_HERE}.openvino:ENGINE",
        "onnxruntime": f"{_HERE}.onnxruntime:ENGINE",
        "litert": f"{_HERE}.litert:ENGINE",
        "tensorflow": f"{_HERE}.keras:ENGINE",
    },
    importable=True,
)


def installed_engines() -> list[str]:
    """Return the names of the engines that are installed, the fastest first.

    Example:
        >>> "tensorflow" in installed_engines()
        True
    """
    return [name for name in ENGINES if _engine(name).is_installed]


def candidates(name: str | None = None, precision: str = "float32") -> list[Engine]:
    """Return the engine of a name, or those that are tried one after the other, the fastest first.

    Args:
        name: "openvino", "onnxruntime", "litert", "tensorflow" for the Keras model itself (which computes on JAX or
            PyTorch where Keras is configured so), another name of `ENGINES`, or "module:attribute".
        precision: in which it computes.

    Raises:
        ValueError: if there is none of this name, it is not installed, or does not know the precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}: choose from {', '.join(PRECISIONS)}")
    able = _able(precision)
    wanted = able
    if name is not None:
        wanted = [_engine(name)]
        if precision not in wanted[0].precisions:
            raise ValueError(f"{wanted[0].title} does not compute in {precision}: {able[0].title} does")
    found = [engine for engine in wanted if engine.is_installed]
    if not found:
        extra = wanted[0].extra
        remedy = f": pip install 'keras-nasnet[{extra}]'" if extra else f": it needs {wanted[0].module}"
        raise ValueError(f"{wanted[0].title} is not installed{remedy}")
    return found


def _able(precision: str) -> list[Engine]:
    """Return the engines that know a precision, up to the one that computes every network."""
    able = []
    for engine in map(_engine, ENGINES):
        if precision in engine.precisions:
            able.append(engine)
            if engine.computes_all:
                break  # those of other packages, which come after it, are not even imported
    return able


def _engine(name: str) -> Engine:
    engine: object = ENGINES.get(name)
    if not isinstance(engine, Engine):
        raise ValueError(f"engine is {name!r}: that is a {type(engine).__name__}, no keras_nasnet.inference.Engine")
    return engine
