"""What a search found: all trials as one table, CSV or Parquet, and its best child as a genotype."""

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_nasnet.common.escape import csv_cell
from keras_nasnet.common.files import replacing, write_text
from keras_nasnet.genotype import Genotype
from keras_nasnet.search.run.stored import stored_plan, stored_schedule
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.store.store import Store
from keras_nasnet.search.trial import Fidelity, Trial

FORMATS = (".csv", ".parquet")
_FIDELITY = tuple(Fidelity().__dataclass_fields__)


def check_format(path: str | os.PathLike[str]) -> None:
    """Raise ValueError if trials cannot be written to a file of this name."""
    if Path(path).suffix not in FORMATS:
        raise ValueError(f"{os.fspath(path)}: the file's name must end in {' or '.join(FORMATS)}")
    if Path(path).suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ValueError(
                f"{os.fspath(path)}: Parquet needs pyarrow: pip install 'keras-nasnet[parquet]', or write .csv"
            ) from None


def export_trials(store: Store, path: str | os.PathLike[str]) -> int:
    """Write a row a trial, in the order of their ids.

    The columns are those of `Trial`; tokens are a JSON list, each setting of the fidelity is a
    column ("epochs", "images", ...), an error is the columns "error_kind" and "error", and
    each number of `extra` is a column of its name after "extra_".

    Args:
        store: of a run.
        path: of the file, .csv or .parquet. It is never seen half written.

    Returns:
        The number of trials.

    Raises:
        ValueError: if `path` ends in neither, or pyarrow is missing.
        OSError: if it cannot be written.

    Example:
        >>> plan = get_plan("quick")
        >>> with Store.create("store.sqlite", plan.to_dict()) as store:
        ...     trial, = store.add("random", [Proposal((0,) * 50)], ["key"], "search", Fidelity(2), [0], None)
        ...     trial = store.finish(trial.id, Result(reward=0.75))
        ...     export_trials(store, "trials.csv")
        1
        >>> open("trials.csv").readline()[:21]
        'id,arm,tokens,key,log'
    """
    check_format(path)
    path = Path(path)
    trials = store.trials()
    extras = sorted({name for trial in trials for name in trial.extra})
    rows = [_row(trial, extras) for trial in trials]
    write = _write_csv if path.suffix == ".csv" else _write_parquet
    with replacing(path) as temporary:
        write(temporary, rows, extras)
    return len(rows)


def export_best(store: Store, path: str | os.PathLike[str], trial: int | None = None) -> Trial:
    """Write a child as genotype JSON, which `NASNet(genotype=...)` and recipes take.

    A child of NAS-Bench-201 is written as its architecture string, in quotes.

    Args:
        store: of a run.
        path: of the file. It is never seen half written.
        trial: whose child; default: the best of all arms, of stage "final" where there is one.

    Returns:
        The trial.

    Raises:
        ValueError: if there is no such trial, or none has ended well yet.
        OSError: if it cannot be written.

    Example:
        >>> plan = get_plan("quick")
        >>> with Store.create("store.sqlite", plan.to_dict()) as store:
        ...     trial, = store.add("random", [Proposal((0,) * 50)], ["key"], "search", Fidelity(2), [0], None)
        ...     trial = store.finish(trial.id, Result(reward=0.75))
        ...     best = export_best(store, "best.json")
        >>> best.reward
        0.75
        >>> keras_nasnet.genotype.get("best.json").name
        'quick, trial 1'
    """
    plan = stored_plan(store)
    chosen = stored_schedule(store, plan).best_of_all() if trial is None else store.trial(trial)
    if chosen is None:
        raise ValueError(f"{store.path}: no trial has ended well yet")
    child = get_space(plan.space).genotype(chosen.tokens)
    if isinstance(child, Genotype):
        text = replace(child, name=f"{plan.name}, trial {chosen.id}").to_json()
    else:
        text = json.dumps(child)
    write_text(path, f"{text}\n")
    return chosen


# Column and type, by the names of pyarrow.
_COLUMNS = {
    "id": "int64",
    "arm": "string",
    "tokens": "string",
    "key": "string",
    "log_prob": "float64",
    "stage": "string",
    **{name: "bool" if name == "warm_start" else "int64" for name in _FIDELITY},
    "seed": "int64",
    "parent": "int64",
    "state": "string",
    "attempt": "int64",
    "worker": "string",
    "reward": "float64",
    "params": "int64",
    "mult_adds": "int64",
    "seconds": "float64",
    "device": "string",
    "error_kind": "string",
    "error": "string",
    "consumed": "bool",
    "asked_at": "float64",
    "finished_at": "float64",
}


def _row(trial: Trial, extras: list[str]) -> dict[str, Any]:
    values = {**vars(trial), **vars(trial.fidelity), "tokens": json.dumps(trial.tokens)}
    values["error_kind"] = None if trial.error is None else trial.error.kind
    values["error"] = None if trial.error is None else trial.error.message
    return {name: values[name] for name in _COLUMNS} | {f"extra_{name}": trial.extra.get(name) for name in extras}


def _write_csv(path: Path, rows: list[dict[str, Any]], extras: list[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(csv_cell(name) for name in [*_COLUMNS, *(f"extra_{name}" for name in extras)])
        writer.writerows(
            [csv_cell(value) if isinstance(value, str) else value for value in row.values()] for row in rows
        )


def _write_parquet(path: Path, rows: list[dict[str, Any]], extras: list[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {**_COLUMNS, **{f"extra_{name}": "float64" for name in extras}}
    types = {
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "string": pyarrow.string(),
        "bool": pyarrow.bool_(),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
