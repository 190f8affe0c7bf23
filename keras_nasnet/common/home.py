"""Where the package keeps files on this machine."""

import os
from pathlib import Path


def home() -> Path:
    """Returns models/keras_nasnet in `KERAS_HOME` (default ~/.keras).

    Raises:
        ValueError: if nobody knows where the home folder is.
    """
    keras_home = Path(os.environ.get("KERAS_HOME") or "~/.keras")
    try:
        return keras_home.expanduser() / "models" / "keras_nasnet"
    except RuntimeError:
        raise ValueError(f"{keras_home}: this user has no home folder: let KERAS_HOME name a folder") from None
