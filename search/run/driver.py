"""The folder of a search, whose store is of one plan. Imports no Keras."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_nasnet.search.run.plan import Plan
from keras_nasnet.search.store.store import FILE, Store


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


@contextlib.contextmanager
def failed_start_leaves_nothing(folder: Path) -> Iterator[None]:
    """Delete what a new search has made in its folder if bad input is found before any trial has ended."""
    before = set(folder.iterdir())
    try:
        yield
    except (ValueError, TypeError):
        if folder / FILE not in before and not _has_ended_trials(folder):
            for one in set(folder.iterdir()) - before:
                _delete(one)
        raise


def _has_ended_trials(folder: Path) -> bool:
    try:
        with Store.open(folder / FILE, readonly=True) as store:
            return any(trial.finished_at is not None for trial in store.trials())
    except (ValueError, OSError):
        return False


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
