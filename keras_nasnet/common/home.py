"""Where the package keeps files on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """Returns models/keras_nasnet in `KERAS_HOME` (default ~/.keras)."""
    keras_home = os.environ.get("KERAS_HOME")
    return (Path(keras_home) if keras_home else Path.home() / ".keras").expanduser() / "models" / "keras_nasnet"
