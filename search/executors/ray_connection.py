"""This process as a driver of a Ray cluster: of one that is there, or of one of this machine alone."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    import ray
except ImportError as error:
    raise ValueError("the engine 'ray' needs Ray, which is not installed: pip install 'keras-nasnet[ray]'") from error

_CONNECT_SECONDS = 10.0
_ACTOR_DATA = re.compile(r"\s+(class_name|actor_id|pid|name|namespace|ip): ")
_LOOPBACK = "127.0.0.1"
_LONGEST_BASE = 20  # characters: the paths of Ray's sockets are 80 longer, and a system takes 103
_OBJECT_STORE = 100 * 2**20  # bytes, of a cluster of this machine alone: only tasks and results go through it


def connect(address: str) -> Callable[[], None]:
    """Make this process a driver of a cluster; returns what ends that.

    Args:
        address: "host:port" of the cluster's head; "auto"; "local": a new cluster of this machine
            alone, on its loopback address.

    Raises:
        ValueError: if there is no such cluster, or one of this machine alone would not be that.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    host, _, port = address.rpartition(":")
    if host and port.isdigit():  # Ray itself would try for many minutes
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
        except OSError as error:
            raise ValueError(f"no Ray cluster answers at {address}: {error}; `ray start --head` starts one") from error
    if address == "local":
        return _begin_own_cluster()
    _init(address)
    return ray.shutdown


def _init(address: str, **options: Any) -> None:
    options |= {"log_to_driver": False, "logging_level": "ERROR"}
    with _signals_kept():
        try:
            ray.init(address=address, **options)
        except (ConnectionError, RuntimeError) as error:
            raise ValueError(f"no Ray cluster at {address}: {in_one_line(error)}") from error


def _begin_own_cluster() -> Callable[[], None]:
    """Start a cluster that no other machine can reach, and no other user of this one; returns what ends it."""
    folder = _private_folder()

    def end() -> None:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
        _read_variables()  # else another cluster would be asked for this one's token

    try:
        with _closed_to_others():
            _init(
                "local",
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE,
                _node_ip_address=_LOOPBACK,
                _temp_dir=str(folder / "ray"),
            )
        if (host := ray.util.get_node_ip_address()) != _LOOPBACK:
            raise ValueError(
                f"Ray {ray.__version__} listens at {host}, where other machines reach it, not at {_LOOPBACK} alone: "
                "start a cluster in a network of your own, and name it by --address"
            )
    except BaseException:
        end()
        raise
    return end


def _private_folder() -> Path:
    """Return a new folder that only this user may enter: what Ray keeps in it everybody may write."""
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=base if len(base) <= _LONGEST_BASE else "/tmp"))


@contextlib.contextmanager
def _closed_to_others() -> Iterator[None]:
    """Let Ray start a cluster that listens on the loopback address alone, and asks who connects for a new token.

    Ray replaces a loopback address by one that others reach, unless it is told that there are no clusters: by the
    variable for the processes that it starts, and the constant for this one, which may have imported it long ago.
    """
    from ray._private import ray_constants

    variables = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }
    before = {name: os.environ.get(name) for name in variables}
    clusters = ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(variables)
    ray_constants.ENABLE_RAY_CLUSTER = False
    _read_variables()
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = clusters
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _read_variables() -> None:
    """Let Ray read its variables in this process again."""
    from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


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
