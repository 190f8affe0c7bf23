"""What several tests share: small networks, data, servers and processes."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the checkout
SCRIPTS = ROOT / "scripts"
SUPPORT = ROOT / "tests" / "support"

# A process on JAX that compiles quickly: its networks are small, and LLVM would take half of its time.
JAX = {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_backend_optimization_level=0"}


# A command, from `sys.argv`, in a process that imports no TensorFlow, which takes seconds: for `environment(**NUMPY)`.
COMMAND = "import sys; sys.modules['tensorflow'] = None; from keras_nasnet.cli.main import main; main()"
NUMPY = {"KERAS_BACKEND": "numpy"}


def environment(**variables: str) -> dict[str, str]:
    """Returns the environment of a child process that finds this checkout, and `tests.support` in it."""
    return os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"} | variables
