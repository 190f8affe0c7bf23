"""Where the workers of this machine compute: each on GPUs of its own, or on a set of cores."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_nasnet.common import limits


@dataclass(frozen=True)
class Place:
    """Where one worker computes.

    Args:
        cores: numbers of its CPU cores; empty: wherever the system puts it.
        environment: variables that it gets beside those of this process.
    """

    cores: tuple[int, ...]
    environment: dict[str, str] = field(default_factory=dict)


def places(workers: int | None = None) -> list[Place]:
    """Divide this machine's cores and GPUs among workers.

    Args:
        workers: how many; None: one a GPU, without GPUs one for each two cores. Fewer workers
            than GPUs have several each; more workers than GPUs or cores share them.

    Raises:
        ValueError: if it is no whole number from 1 up.
    """
    cores, gpus = available_cores(), available_gpus()
    if workers is None:
        workers = len(gpus) or max(1, len(cores) // 2)
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"workers is {workers!r}: it must be a whole number from 1 up")
    if workers > limits.SEARCH_WORKERS:
        raise ValueError(f"workers is {workers}: more than {limits.SEARCH_WORKERS:,} is a mistake")
    return [
        Place(own, _threads(len(own)) | (_gpu_variables(own_gpus, workers > len(gpus)) if gpus else {}))
        for own, own_gpus in zip(_shares(cores, workers), _shares(gpus, workers), strict=True)
    ]


def _shares(things: Sequence[Any], workers: int) -> list[tuple[Any, ...]]:
    """Divide things as evenly as can be; where there are too few, several workers have the same."""
    if not things:
        return [()] * workers
    if len(things) < workers:
        return [(things[worker % len(things)],) for worker in range(workers)]
    bounds = [worker * len(things) // workers for worker in range(workers + 1)]
    return [tuple(things[low:high]) for low, high in itertools.pairwise(bounds)]


def available_cores() -> list[int]:
    """Return the numbers of the CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def available_gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, by what `CUDA_VISIBLE_DEVICES` calls them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=False)
    gpus = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(gpus))] if listed.returncode == 0 else []


def _threads(cores: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    return {name: str(max(1, cores)) for name in names if name not in os.environ}


def _gpu_variables(gpus: tuple[str, ...], shared: bool) -> dict[str, str]:
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(gpus), "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    return variables | ({"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} if shared else {})
