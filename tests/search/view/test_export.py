"""All trials as a table."""

import csv
import sys

import pytest

from keras_nasnet.search.store.store import FILE, Store
from keras_nasnet.search.view.export import export_trials
from tests.support.small_search import CASCADE, make_plan, search


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    search(folder, make_plan(budget=8, fault="raises", share=0.3, **CASCADE))
    with Store.open(folder / FILE, readonly=True) as store:
        yield store


def test_a_csv_file_has_a_row_a_trial(store, tmp_path):
    trials = store.trials()
    assert export_trials(store, tmp_path / "trials.csv") == len(trials)
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == [trial.id for trial in trials]
    assert [float(row["reward"]) for row in rows] == [trial.reward for trial in trials]
    assert [row["stage"] for row in rows] == [trial.stage for trial in trials]
    assert [int(row["epochs"]) for row in rows] == [trial.fidelity.epochs for trial in trials]
    assert {row["error_kind"] for row in rows} == {"", "failed"}
    assert [path.name for path in tmp_path.iterdir()] == ["trials.csv"]


def test_a_parquet_file_has_the_same_with_types(store, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    trials = store.trials()
    assert export_trials(store, tmp_path / "trials.parquet") == len(trials)
    table = parquet.read_table(tmp_path / "trials.parquet")
    assert table["reward"].to_pylist() == [trial.reward for trial in trials]
    assert table["parent"].to_pylist() == [trial.parent for trial in trials]
    assert table["consumed"].to_pylist() == [trial.consumed for trial in trials]
    assert table["warm_start"].to_pylist() == [False] * len(trials)
    export_trials(store, tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        assert next(csv.reader(file)) == table.column_names


def test_a_file_of_another_kind_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"trials.xlsx: the file's name must end in .csv or .parquet"):
        export_trials(store, tmp_path / "trials.xlsx")


def test_without_pyarrow_one_is_told_what_to_install(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'keras-nasnet\[parquet\]', or write .csv"):
        export_trials(store, tmp_path / "trials.parquet")
    assert not list(tmp_path.iterdir())
