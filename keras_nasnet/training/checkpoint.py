"""Checkpoints: the whole state of a run in one file, which is replaced at once or not at all.

Importing this module imports no Keras: whether a folder holds a run is said before that takes its time.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import StrPath, write_bytes

if TYPE_CHECKING:
    import keras

FILE = "checkpoint.safetensors"


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
        write_bytes(self.path, save(tensors, {"progress": json.dumps(progress)}), sync=True)

    def progress(self) -> dict[str, Any] | None:
        """Return where the run stood; None if there is no checkpoint yet.

        Raises:
            ValueError: if the file is no checkpoint.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="numpy") as file:
                return json.loads(file.metadata()["progress"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path}: not a checkpoint ({one_line(error)})") from None

    def load(self, variables: Sequence["keras.Variable"]) -> None:
        """Assign the values that `save` wrote to variables.

        Raises:
            ValueError: if the file is of other variables; none is changed then.
        """
        keyed = _keyed(variables)
        with safe_open(self.path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for key in [*keyed, *tensors]:
            if key not in keyed or key not in tensors or tensors[key].shape != tuple(keyed[key].shape):
                name = keyed[key].path if key in keyed else key.split(" ", 1)[1]
                raise ValueError(f"{self.path} is of another network or recipe: they differ in {name}")
        for key, variable in keyed.items():
            variable.assign(tensors[key])


def _keyed(variables: Sequence["keras.Variable"]) -> dict[str, "keras.Variable"]:
    # DropPath layers share one progress, which Keras lists for each.
    unique = {id(variable): variable for variable in variables}.values()
    # By place and last name: Keras numbers the rest of a path by what the process made before.
    return {f"{place:05} {variable.name}": variable for place, variable in enumerate(unique)}
