"""A controller under a multi-worker strategy: worker 0 runs the search, the others take part in its policy's steps."""

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from keras_nasnet.search.controller import Controller
from keras_nasnet.search.trial import Observation, Proposal
from keras_nasnet.training.distribution import Devices

_PIECE = 4096  # bytes


class Leader:
    """Worker 0's controller: all workers do what it is asked to, in step.

    Args:
        controller: of this worker; the others have the same.
        devices: that the workers share.
    """

    def __init__(self, controller: Controller, devices: Devices):
        self._controller = controller
        self._devices = devices
        self.name = controller.name
        self.batch = controller.batch

    def ask(self, n: int) -> list[Proposal]:
        _send(self._devices, {"ask": n})
        return self._controller.ask(n)

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        _send(self._devices, {"tell": [asdict(observation) for observation in observations]})
        return self._controller.tell(observations)

    def get_state(self) -> bytes:
        return self._controller.get_state()

    def set_state(self, state: bytes) -> None:
        _send(self._devices, {"state": base64.b64encode(state).decode()})
        self._controller.set_state(state)

    def dismiss(self) -> None:
        """Sends the other workers home."""
        _send(self._devices, {})


def follow(controller: Controller, devices: Devices) -> None:
    """Does what worker 0's `Leader` does, until it is dismissed."""
    while order := _receive(devices):
        if "ask" in order:
            controller.ask(order["ask"])
        elif "tell" in order:
            controller.tell(
                [Observation(tuple(item["tokens"]), item["log_prob"], item["reward"]) for item in order["tell"]]
            )
        else:
            controller.set_state(base64.b64decode(order["state"]))


def _send(devices: Devices, order: dict[str, Any]) -> None:
    # The one thing that all strategies can do is to sum: the others add zeros.
    text = json.dumps(order).encode()
    text = text.ljust(-(-len(text) // _PIECE) * _PIECE)  # few lengths, so few graphs
    devices.total(np.array([len(text)]))
    devices.total(np.frombuffer(text, np.uint8))


def _receive(devices: Devices) -> dict[str, Any]:
    size = int(devices.total(np.zeros(1))[0])
    text = devices.total(np.zeros(size))
    return json.loads(text.astype(np.uint8).tobytes())
