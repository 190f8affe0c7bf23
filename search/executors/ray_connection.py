"""This process as a driver of a Ray cluster: of one that is there, or of one of this machine alone."""

import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

try:
    import ray
except ImportError as error:
    raise ValueError("the engine 'ray' needs Ray, which is not installed: pip install 'keras-nasnet[ray]'") from error

_CONNECT_SECONDS = 10.0
_ACTOR_DATA = re.compile(r"\s+(class_name|actor_id|pid|name|namespace|ip): ")
_OBJECT_STORE = 100 * 2**20  # bytes, of a cluster of this machine alone: only tasks and results go through it


def connect(address: str) -> None:
    """Make this process a driver of a cluster; `ray.shutdown` ends that.

    Args:
        address: "host:port" of the cluster's head; "auto"; "local": a new cluster of this machine
            alone, on its loopback address.

    Raises:
        ValueError: if there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    host, _, port = address.rpartition(":")
    if host and port.isdigit():  # Ray itself would try for many minutes
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except OSError as error:
            raise ValueError(f"no Ray cluster answers at {address}: {error}; `ray start --head` starts one") from error
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        # On the loopback address Ray opens no port to other machines.
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE, "_node_ip_address": "127.0.0.1"}
    with _signals_kept():
        try:
            ray.init(address=address, **options)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"no Ray cluster at {address}: {in_one_line(error)}") from error


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Give SIGTERM back to the search: Ray takes it, to end the process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def in_one_line(error: BaseException) -> str:
    """Return an error of Ray as one line of at most 300 characters, without the actor's own data and the traceback."""
    text = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _ACTOR_DATA.match(line)]
    if any("__init__()" in line or line.startswith("File ") for line in lines):  # the error of the worker's own code
        lines = [lines[0].split(", ray::")[0] + ":", lines[-1]]
    return " ".join(lines)[:300]
