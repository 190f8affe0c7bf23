"""A description of the processors that a published number was measured on."""

import os
import platform

import keras


def hardware() -> str:
    """Return what computes, in words, for example "2 CPU cores, x86_64", or "8 x NVIDIA H100"."""
    names = _gpus()
    if not names:
        return f"{os.cpu_count()} CPU cores, {platform.machine()}"
    return f"{len(names)} x {names[0]}" if names[0] else f"{len(names)} GPU"


def _gpus() -> list[str]:
    """Return the name of each GPU that the backend sees; "" where it does not say."""
    backend = keras.backend.backend()
    if backend == "torch":  # for which Keras lists no devices
        import torch

        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    try:
        devices = keras.distribution.list_devices("gpu")
    except RuntimeError:  # so says JAX where there is none
        return []
    if backend == "jax" and devices:
        import jax

        return [jax.devices()[0].device_kind] * len(devices)
    return [""] * len(devices)
