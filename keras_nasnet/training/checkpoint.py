"""Checkpoint: the whole state of a run in one file, which is replaced at once or not at all."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

FILE = "checkpoint.safetensors"


class Checkpoint:
    """Writes and reads the state of a run.

    Args:
        path: of the file. It is never seen half written: a kill leaves the one before.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)

    def save(self, variables: Sequence[keras.Variable], progress: dict[str, Any]) -> None:
        """Replaces the file.

        Args:
            variables: whose values are kept, in order.
            progress: plain data that JSON can hold: where the run stands.

        Raises:
            OSError: if it cannot be written (a full disk); the file is then as it was.
        """
        tensors = {
            key: np.array(keras.ops.convert_to_numpy(variable), order="C")
            for key, variable in _keyed(variables).items()
        }
        data = save(tensors, {"progress": json.dumps(progress)})
        temporary = self.path.with_name(f"{self.path.name}.tmp")  # one name: what a kill leaves is overwritten
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def progress(self) -> dict[str, Any] | None:
        """Returns where the run stood; None if there is no checkpoint yet.

        Raises:
            ValueError: if the file is no checkpoint.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="numpy") as file:
                return json.loads(file.metadata()["progress"])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.path}: not a checkpoint ({' '.join(str(error).split())})") from None

    def load(self, variables: Sequence[keras.Variable]) -> None:
        """Fills variables with the values that `save` wrote.

        Raises:
            ValueError: if the file's variables are not these; nothing is changed then.
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


def _keyed(variables: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    # DropPath layers share one progress, which Keras lists for each.
    unique = {id(variable): variable for variable in variables}.values()
    # By place and last name: Keras numbers the rest of a path by what the process made before.
    return {f"{place:05} {variable.name}": variable for place, variable in enumerate(unique)}
