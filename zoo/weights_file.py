"""Our own weights format: safetensors, a tensor for each variable, by the variable's path."""

import os
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

_STORED = ("float32", "float16")


def save(model: keras.Model, path: str | os.PathLike[str], dtype: str = "float32") -> None:
    """Writes all weights of a model.

    Args:
        model: a built model.
        path: of the file; it appears when it is whole.
        dtype: "float32" or "float16" (half the size; values are rounded).

    Raises:
        ValueError: if a weight does not fit into the dtype.
    """
    if dtype not in _STORED:
        raise ValueError(f"dtype is {dtype!r}: choose from {', '.join(_STORED)}")
    tensors = {}
    for variable in model.weights:
        value = keras.ops.convert_to_numpy(variable)
        with np.errstate(over="ignore"):
            tensors[variable.path] = np.ascontiguousarray(value.astype(dtype))
        if not np.isfinite(tensors[variable.path]).all():
            raise ValueError(f"{variable.path} has values that {dtype} cannot hold")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | os.PathLike[str], model: keras.Model) -> None:
    """Fills all weights of a model from a file that `save` wrote.

    Raises:
        ValueError: if the file is broken, or its tensors are not the model's; the message
            lists the difference, and the model is left as it was.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except SafetensorError as error:
        raise ValueError(f"{path}: not a safetensors file ({error})") from None
    variables = {variable.path: variable for variable in model.weights}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != found:
        differing = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
        listed = "; ".join(
            f"{name}: the file has {found.get(name, 'nothing')}, the model {shapes.get(name, 'nothing')}"
            for name in differing[:5]
        )
        more = f"; and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise ValueError(f"{path} is not for this model: {listed}{more}")
    for name, variable in variables.items():
        variable.assign(tensors[name].astype("float32"))
