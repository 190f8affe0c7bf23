"""The folder of a search: one process runs in it at a time, and its store is of one plan. Imports no Keras."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.store.store import FILE, Store

LOCK = "driver.lock"  # in the folder of a run: held by the process that runs it


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system frees when this process ends, however it ends.

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
    """Open the store of a run for writing, a new one where there is none.

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
