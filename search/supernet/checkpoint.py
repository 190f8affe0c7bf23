"""The checkpoint of a supernet: its weights, their momenta, and the last children that trained them, in one file."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import write_bytes
from keras_nasnet.search.trial import Result, check_settings, check_whole

FILE = "supernet.safetensors"
KEPT_TRIALS = 100  # a trial is tried again soon after it was lost, or never


@dataclass(frozen=True)
class SupernetState:
    """The state of shared training. It is never changed: a chunk of steps makes a new one.

    Args:
        settings: plain data: what the supernet and its training were begun with.
        step: steps that were taken, over all children.
        weights: float32 vectors by slot, of the slots that some child used.
        momenta: likewise.
        trials: by name of the trial, the last first: {"child": digest, "seed": of the trial, "result": plain data}.
    """

    settings: Mapping[str, Any]
    step: int = 0
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    momenta: Mapping[str, np.ndarray] = field(default_factory=dict)
    trials: Mapping[str, Any] = field(default_factory=dict)

    def after(
        self,
        steps: int,
        weights: Mapping[str, np.ndarray],
        momenta: Mapping[str, np.ndarray],
        trial: str,
        record: Mapping[str, Any],
    ) -> "SupernetState":
        """Return the state after a trial that took so many steps and made these weights and momenta."""
        trials = dict([(trial, record), *self.trials.items()][:KEPT_TRIALS])
        return SupernetState(
            self.settings, self.step + steps, {**self.weights, **weights}, {**self.momenta, **momenta}, trials
        )


def save_state(path: Path, state: SupernetState) -> None:
    """Write the file, which appears when it is whole.

    Raises:
        OSError: if it cannot be written (a full disk); the file is then as it was.
    """
    tensors = {f"weights {slot}": vector for slot, vector in state.weights.items()}
    tensors |= {f"momenta {slot}": vector for slot, vector in state.momenta.items()}
    header = _header(state)
    write_bytes(path, save(tensors, {"supernet": header, "sha256": _digest(header, tensors)}), sync=True)


def load_state(path: Path, settings: Mapping[str, Any], known: SupernetState | None = None) -> SupernetState:
    """Return what `save_state` wrote; a state without weights where there is no file.

    Args:
        path: of the file.
        settings: that it must have been begun with.
        known: is returned, and no weight read, if it is what the file holds.

    Raises:
        ValueError: if the file is no checkpoint, or was begun with other settings.
    """
    if not path.exists():
        return SupernetState(settings)
    try:
        if not path.is_file():
            raise ValueError("no file")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            header = metadata["supernet"]
            if known is not None and known.settings == settings and header == _header(known):
                return known
            data = json.loads(header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("sha256", _digest(header, tensors)) != _digest(header, tensors):  # earlier versions had none
            raise ValueError("it was changed after it was written")
        parts: dict[str, dict[str, np.ndarray]] = {"weights": {}, "momenta": {}}
        for name, tensor in tensors.items():
            kind, _, slot = name.partition(" ")
            parts[kind][slot] = tensor
        _check(data, tensors.values())
        state = SupernetState(data["settings"], data["step"], trials=data["trials"], **parts)
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: not a checkpoint of shared weights ({one_line(error)}): delete it to begin anew"
        ) from None
    for name in {**settings, **state.settings}:
        old, new = state.settings.get(name), settings.get(name)
        if old != new:
            raise ValueError(
                f"{path} was begun with {name} = {repr(old)[:200]}, not {new!r}: go on with the same settings, or "
                "choose another folder"
            )
    return state


def _check(data: Any, tensors: Iterable[np.ndarray]) -> None:
    """Raise ValueError or TypeError unless a checkpoint's parts are what `save_state` writes."""
    if not isinstance(data["settings"], dict) or not isinstance(data["trials"], dict):
        raise TypeError("its settings and trials are no tables")
    check_whole("step", data["step"], 0, 2**63 - 1)
    if len(data["trials"]) > KEPT_TRIALS:
        raise ValueError(f"it has {len(data['trials']):,} trials, more than {KEPT_TRIALS}")
    for record in data["trials"].values():
        check_settings("a trial", record, (), ("child", "seed", "result"))
        check_settings("a result", record["result"], [spec.name for spec in fields(Result)], ("reward",))
    for tensor in tensors:
        if tensor.dtype != np.float32 or tensor.ndim != 1 or not np.isfinite(tensor).all():
            raise ValueError("its weights are no vectors of finite numbers")


def _digest(header: str, tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def _header(state: SupernetState) -> str:
    return json.dumps({"settings": dict(state.settings), "step": state.step, "trials": dict(state.trials)})
