"""Processes that compute together: how tests start them and wait for them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT
from tests.support.fork_server import SECONDS, Process


def start(*command: object, log: Path, **environment: str) -> subprocess.Popen[bytes]:
    variables = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    variables.pop("TF_CONFIG", None)
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, *map(str, command)], env=variables | environment, stdout=file, stderr=file, cwd=log.parent
        )


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for place in sockets:
            place.bind(("127.0.0.1", 0))
        return [place.getsockname()[1] for place in sockets]
    finally:
        for place in sockets:
            place.close()


def tf_configs(count: int = 2) -> list[str]:
    workers = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
        for index in range(count)
    ]


def finish(*processes: subprocess.Popen[bytes] | Process) -> list[int]:
    """Waits for processes, and returns their exit codes."""
    try:
        return [process.wait(SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
