"""Checkpoints: the whole state of a run in one file, which is replaced at once or not at all.

Importing this module imports no Keras: whether a folder holds a run is said before that takes its time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from keras_nasnet.common.documents import parse_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import StrPath, write_bytes

if TYPE_CHECKING:
    import keras

FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"  # the weights of the best epoch, where a recipe has patience
_REMEDY = "put back a copy of it, or begin anew in another folder"


class Checkpoint:
    """The state of a run in a safetensors file.

    Args:
        path: of the file. It is never seen half written: a kill leaves the one before.
    """

    def __init__(self, path: StrPath):
        self.path = Path(path)

    def save(self, variables: Sequence["keras.Variable"], progress: dict[str, Any]) -> None:
        """Replace the file.

        Args:
            variables: whose values are written, in their order.
            progress: where the run stands, as data that JSON can hold.

        Raises:
            OSError: if it cannot be written (a full disk); the file is then as it was.
        """
        import keras

        tensors = {
            key: np.array(keras.ops.convert_to_numpy(variable), order="C")
            for key, variable in _keyed(variables).items()
        }
        text = json.dumps(progress)
        write_bytes(self.path, save(tensors, {"progress": text, "sha256": _digest(tensors, text)}), sync=True)

    def progress(self) -> dict[str, Any] | None:
        """Return where the run stood; None if there is no checkpoint yet.

        Raises:
            ValueError: if the file is no checkpoint, or damaged.
        """
        return self._read()[1] if self.path.exists() else None

    def load(self, variables: Sequence["keras.Variable"]) -> None:
        """Assign the values that `save` wrote to variables.

        Raises:
            ValueError: if the file is damaged, or of other variables; none is changed then.
        """
        keyed = _keyed(variables)
        tensors, _ = self._read()
        for key in [*keyed, *tensors]:
            if key not in keyed or key not in tensors or tensors[key].shape != tuple(keyed[key].shape):
                name = keyed[key].path if key in keyed else key.partition(" ")[2]
                raise ValueError(f"{self.path} is of another network or recipe: they differ in {name}")
        for key, variable in keyed.items():
            variable.assign(tensors[key])

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return tensors and progress, which are what was written."""
        if not self.path.is_file():  # a pipe would hang
            raise ValueError(f"{self.path}: no such file")
        try:
            with safe_open(self.path, framework="numpy") as file:
                metadata = file.metadata()
                text = metadata["progress"]
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            progress = parse_json(text, "progress")
            if not isinstance(progress, dict) or set(metadata) - {"progress", "sha256"}:
                raise ValueError("it holds something else")
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path}: not a checkpoint ({one_line(error)}): {_REMEDY}") from None
        # Version 0.1 wrote none.
        if metadata.get("sha256", digest := _digest(tensors, text)) != digest:
            raise ValueError(f"{self.path} is damaged, its checksum is not that of its content: {_REMEDY}")
        return tensors, progress


def _digest(tensors: Mapping[str, np.ndarray], progress: str) -> str:
    """Return the SHA-256 of all that a checkpoint holds, names, types and shapes among it."""
    digest = hashlib.sha256(json.dumps([progress, len(tensors)]).encode())
    for key in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[key])
        digest.update(json.dumps([key, tensor.dtype.str, tensor.shape]).encode())
        digest.update(tensor.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _keyed(variables: Sequence["keras.Variable"]) -> dict[str, "keras.Variable"]:
    # DropPath layers share one progress, which Keras lists for each.
    unique = {id(variable): variable for variable in variables}.values()
    # By place and last name: Keras numbers the rest of a path by what the process made before.
    return {f"{place:05} {variable.name}": variable for place, variable in enumerate(unique)}
