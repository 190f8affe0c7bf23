"""A description of the processors that a published number was measured on."""

import os
import platform

import keras


def hardware() -> str:
    """Returns for example "2 CPU cores, x86_64", or "8 x NVIDIA H100"."""
    try:
        gpus = keras.distribution.list_devices("gpu")
    except RuntimeError:  # so says JAX where there is none
        gpus = []
    if not gpus:
        return f"{os.cpu_count()} CPU cores, {platform.machine()}"
    if keras.backend.backend() == "jax":
        import jax

        return f"{len(gpus)} x {jax.devices()[0].device_kind}"
    return f"{len(gpus)} GPU"
