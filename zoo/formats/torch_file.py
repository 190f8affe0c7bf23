"""Files of PyTorch: a state dict, or the checkpoint of a training with one in it. Nothing but tensors is unpickled.

| what is in the file | what is taken |
|---|---|
| tensors by name | these |
| "state_dict_ema", "model_ema", "ema", "ema_state_dict" | the moving averages (EMA) of the weights, before all others |
| "state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params" | the weights |

Prefixes that all names have are dropped: "module." (of parallel training), "model." (of Lightning) and the like.
"""

import contextlib
import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.common.archives import opened_zip
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable
from keras_nasnet.common.terminal import say

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pth.tar", ".pt.tar", ".th")
_AVERAGES = ("state_dict_ema", "model_ema", "ema_state_dict", "ema_model", "ema")
_WEIGHTS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "weights", "params")
_AVERAGED_PREFIXES = ("ema_model.", "model_ema.", "ema.")
_PREFIXES = ("module.", "model.", "_orig_mod.", "net.", "network.", *_AVERAGED_PREFIXES)
_REMEDY = "where the file was made, write the weights alone: torch.save(model.state_dict(), 'weights.pth')"
_DEPTH = 4  # of wrappings within each other
_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"  # the number in front of the files of PyTorch before 1.6


def is_torch(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one of PyTorch's, by its content.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(32)
    if _MAGIC in start:
        return True
    if not start.startswith(b"PK\x03\x04"):
        return False
    with contextlib.suppress(ValueError), opened_zip(path) as archive:
        return any(name.endswith("/data.pkl") for name in archive.namelist())
    return False


def read(path: str | os.PathLike[str]) -> dict[str, "torch.Tensor"]:
    """Return the tensors of a file by name.

    Raises:
        ValueError: if PyTorch is not installed, or the file holds no state dict, or other objects beside it.
    """
    try:
        import torch
    except ImportError:
        raise ValueError(f"{path}: reading PyTorch's files needs PyTorch (pip install torch)") from None
    if zipfile.is_zipfile(path):
        with opened_zip(path):  # nothing in it unpacks to more than it should
            pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise anything
        raise ValueError(f"{path}: {_reason(error)}") from None
    state, way = _state(content)
    if state is None:
        raise ValueError(
            f"{path}: not a state dict, a dict of tensors by name, and none in what training codes call "
            f"{', '.join(_WEIGHTS[:3])}{_found(content)}"
        )
    state.pop("n_averaged", None)  # of `torch.optim.swa_utils.AveragedModel`
    averages = next((name for name in way if name in _AVERAGES), None)
    for prefix in _AVERAGED_PREFIXES:
        if averages is None and any(name.startswith(prefix) for name in state):
            averages = prefix
            state = {name: tensor for name, tensor in state.items() if name.startswith(prefix)}
    if averages is not None:
        say(f"note: {path}: of two sets of weights the moving averages are taken ({averages})")
    return _without_prefixes(state)


def to_numpy(tensor: "torch.Tensor", what: str) -> np.ndarray:
    """Return the values of a tensor as an array, also of one that has no dtype of NumPy's.

    Args:
        tensor: that was read.
        what: the file and the tensor's name, for messages.

    Raises:
        ValueError: if it is not a plain tensor of real numbers.
    """
    import torch

    plain = tensor.detach()
    if plain.layout != torch.strided or plain.is_quantized or plain.is_meta or plain.is_complex():
        kind = f"{plain.layout}, {plain.dtype}, {plain.device}".replace("torch.", "")
        raise ValueError(f"{what} is not a plain tensor ({kind}): where it was made, write tensor.to_dense().float()")
    return np.asarray((plain if plain.dtype.itemsize == 8 else plain.float()).numpy())


def _state(content: Any, depth: int = 0) -> tuple[dict[str, "torch.Tensor"] | None, tuple[str, ...]]:
    """Returns the state dict in a checkpoint, and the keys that lead to it; None where there is none."""
    import torch

    if not isinstance(content, Mapping) or depth > _DEPTH:
        return None, ()
    if content and all(isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()):
        return dict(content), ()
    for name in (*_AVERAGES, *_WEIGHTS):
        if name in content:
            state, way = _state(content[name], depth + 1)
            if state is not None:
                return state, (name, *way)
    return None, ()


def _without_prefixes(state: dict[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """Drops what stands in front of all names, again and again: "module.model.conv0.conv.weight"."""
    while prefix := next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _found(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f": it holds a {type(content).__name__}"
    names = ", ".join(printable(name)[:40] for name in list(content)[:5])
    return f": it holds {names}" if names else ": it is empty"


def _reason(error: Exception) -> str:
    """What is wrong with a file. PyTorch's own advice, to trust the file, is never passed on."""
    text = str(error)
    if "TorchScript" in text:
        return f"holds a program in TorchScript; {_REMEDY}"
    if match := re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", text):
        name = match[1][:100]
        return f"holds {name} beside its weights, and such objects are not unpickled, which could run code; {_REMEDY}"
    if "weights_only" in text:
        return f"holds objects beside its weights, and they are not unpickled, which could run code; {_REMEDY}"
    return f"not a PyTorch file of weights, or damaged ({one_line(error, 200)})"
