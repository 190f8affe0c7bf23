"""Policies under a multi-worker strategy: worker 0 runs the search, the others take part in each of their steps."""

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.controller.contract import Controller
from keras_nasnet.search.trial import Observation, Proposal
from keras_nasnet.training.devices import Devices

_PIECE = 4096  # bytes


class Crew:
    """The workers of a strategy, kept in step; with one worker it does nothing.

    Args:
        devices: that they share.
    """

    def __init__(self, devices: Devices):
        self._devices = devices

    # === Worker 0 ===

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Tell the others the plan; all make their policies next."""
        self.send({"plan": dict(plan)})

    def led(self, controllers: Mapping[str, Controller]) -> dict[str, Controller]:
        """Return controllers that take the other workers along in all they do."""
        return {name: _Led(name, controller, self) for name, controller in controllers.items()}

    @contextlib.contextmanager
    def dismissed_at_the_end(self) -> Iterator[None]:
        """Context at whose end the other workers stop.

        Raises:
            WorkerLost: if one of them is gone.
        """
        try:
            yield
        except Exception as error:
            if self._devices.is_lost_worker(error):
                raise WorkerLost("another worker is gone: start all again with --resume") from error
            self.send({})
            raise
        self.send({})

    def send(self, order: dict[str, Any]) -> None:
        """Send the other workers an order; one that is empty ends them."""
        if self._devices.workers == 1:
            return
        # The one thing that all strategies can do is to sum: the others add zeros.
        text = json.dumps(order).encode()
        text = text.ljust(-(-len(text) // _PIECE) * _PIECE)  # few lengths, so few graphs
        self._devices.total(np.array([len(text)]))
        self._devices.total(np.frombuffer(text, np.uint8))

    # === The others ===

    def follow(self, make_controllers: Callable[[dict[str, Any]], Mapping[str, Controller]]) -> None:
        """Do what worker 0 does, until it is done.

        Args:
            make_controllers: gets the plan, and returns the controllers that worker 0 makes too, in the same order.

        Raises:
            WorkerLost: if worker 0 is gone.
        """
        controllers: Mapping[str, Controller] = {}
        try:
            while order := self._receive():
                if "plan" in order:
                    controllers = make_controllers(order["plan"])
                elif "ask" in order:
                    controllers[order["arm"]].ask(order["ask"])
                elif "tell" in order:
                    observations = [
                        Observation(tuple(item["tokens"]), item["log_prob"], item["reward"]) for item in order["tell"]
                    ]
                    controllers[order["arm"]].tell(observations)
                else:
                    controllers[order["arm"]].set_state(base64.b64decode(order["state"]))
        except Exception as error:
            if self._devices.is_lost_worker(error):
                raise WorkerLost("worker 0, which runs the search, is gone: start all again with --resume") from error
            raise

    def _receive(self) -> dict[str, Any]:
        size = int(self._devices.total(np.zeros(1))[0])
        return json.loads(self._devices.total(np.zeros(size)).astype(np.uint8).tobytes())


class _Led(Controller):
    """A controller of worker 0."""

    def __init__(self, arm: str, controller: Controller, crew: Crew):
        self._arm, self._controller, self._crew = arm, controller, crew
        self.batch = controller.batch

    def ask(self, n: int) -> list[Proposal]:
        self._crew.send({"arm": self._arm, "ask": n})
        return self._controller.ask(n)

    def tell(self, observations: Sequence[Observation]) -> dict[str, float]:
        self._crew.send({"arm": self._arm, "tell": [asdict(observation) for observation in observations]})
        return self._controller.tell(observations)

    def get_state(self) -> bytes:
        return self._controller.get_state()

    def set_state(self, state: bytes) -> None:
        self._crew.send({"arm": self._arm, "state": base64.b64encode(state).decode()})
        self._controller.set_state(state)
