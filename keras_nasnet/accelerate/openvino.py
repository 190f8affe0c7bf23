"""OpenVINO, imported so that it tells nobody."""

import sys
from typing import Any


def openvino() -> Any:
    """Return the module `openvino`; it and its tools send no telemetry in this process.

    By default they send an event to a server whenever they are imported or convert a network, and keep an identity in
    the user's home for it. Where their package for that cannot be imported, they do without.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino
