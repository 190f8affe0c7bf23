"""The process that runs a search: alone in its folder, and stopped by signals without harm. Imports no Keras."""

import contextlib
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from keras_nasnet.common.errors import Interrupted
from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.store.store import FILE, Store

LOCK = "driver.lock"  # in the folder of a run: held by the process that runs it


class StopSignal:
    """Context in which Ctrl-C and SIGTERM are noted, and a second one raises KeyboardInterrupt.

    Attributes:
        came: the number of the signal; None before it.
    """

    came: int | None = None

    def __enter__(self) -> "StopSignal":
        self._before: dict[int, Any] = {}
        with contextlib.suppress(ValueError):  # not the main thread: its signals are not ours
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.came is not None:
            raise KeyboardInterrupt
        self.came = number

    def check(self, when: str, folder: Path) -> None:
        """Raises Interrupted if a signal came.

        Args:
            when: for the message, such as "after 12 trials".
            folder: of the run.
        """
        if self.came is not None:
            raise Interrupted(
                f"stopped by {signal.Signals(self.came).name} {when}, all of them kept: "
                f"keras-nasnet search run --resume {folder} goes on",
                self.came,
            )

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which the system frees when this process ends, however it ends.

    Raises:
        ValueError: if another process holds it.
    """
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(f"another process runs the search in {folder}: wait for it, or stop it") from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def opened(folder: Path, plan: Plan) -> Iterator[Store]:
    """Opens the store of a run for writing, a new one where there is none.

    Raises:
        ValueError: if it is of another search.
    """
    path = folder / FILE
    config = json.loads(json.dumps(plan.to_dict()))  # tuples are lists there
    store = Store.open(path) if path.exists() else Store.create(path, config)
    with contextlib.closing(store):
        different = [name for name in config if store.config.get(name) != config[name]]
        if different:
            raise ValueError(
                f"{path} is of another search: it differs in {', '.join(different)}; choose another folder"
            )
        yield store
