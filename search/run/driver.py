"""The folder of a search, whose store is of one plan. Imports no Keras."""

import contextlib
import json
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
