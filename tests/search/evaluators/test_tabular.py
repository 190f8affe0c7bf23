"""The table of NAS-Bench-201 as an evaluator."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from keras_nasnet.common import limits
from keras_nasnet.search.evaluators.registry import make_evaluator
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.trial import Fidelity, Result

SPACE = get_space("nasbench201")
HEADER = "arch,c10_valid_e12,c10_test_e200,c100_valid_e12,c100_test_e200\n"


@pytest.fixture(scope="module")
def rows():
    """A table of all architectures with invented accuracies."""
    children = np.stack(np.unravel_index(np.arange(SPACE.size), SPACE.sizes), axis=1).tolist()
    return [f"{SPACE.genotype(child)},{number % 90},{number % 95}.5,7.25,8\n" for number, child in enumerate(children)]


def written(path, rows, header=HEADER):
    path.write_text(header + "".join(rows))
    return path


def evaluate(evaluator, genotype, folder, **options):
    return evaluator.evaluate(genotype, Fidelity(**options), 0, folder)


def test_the_reward_is_the_validation_accuracy_and_the_test_accuracy_stands_apart(rows, tmp_path):
    evaluator = make_evaluator({"name": "tabular", "path": str(written(tmp_path / "table.csv", rows))})
    assert evaluator.max_workers is None
    found = evaluate(evaluator, SPACE.genotype((0, 0, 0, 0, 3, 2)), tmp_path)  # number 17
    assert found == Result(0.17, device="table", extra={"test_accuracy": pytest.approx(0.175)})
    assert evaluate(evaluator, SPACE.genotype((0, 0, 0, 0, 3, 2)), tmp_path, epochs=200) == found


def test_the_file_may_be_gzipped_and_the_data_set_another(rows, tmp_path):
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "".join(rows)).encode()))
    evaluator = make_evaluator({"name": "tabular", "path": path, "dataset": "cifar100"})
    assert evaluate(evaluator, SPACE.genotype((0,) * 6), tmp_path).reward == pytest.approx(0.0725)


def test_another_child_is_refused(rows, tmp_path):
    evaluator = make_evaluator({"name": "tabular", "path": written(tmp_path / "table.csv", rows)})
    nasnet = get_space("nasnet")
    for child in ("|none~0|", nasnet.genotype((0,) * nasnet.length)):
        with pytest.raises(ValueError, match=r"is not in .*table\.csv: take the space nasbench201"):
            evaluate(evaluator, child, tmp_path)


def test_a_wrong_file_is_told_why(rows, tmp_path):
    path = tmp_path / "table.csv"

    def refused(message, **options):
        with pytest.raises(ValueError, match=message) as error:
            make_evaluator({"name": "tabular", "path": path, **options})
        assert "\n" not in str(error.value)

    refused(r"table\.csv: no such file")
    written(path, rows[:-1])
    refused("has 15,624 architectures, NAS-Bench-201 has 15,625")
    written(path, [rows[1], *rows[1:]])
    refused("has 15,624 architectures")
    written(path, rows, HEADER.replace("c10_valid_e12", "accuracy"))
    refused("no table of NAS-Bench-201: it lacks the column c10_valid_e12")
    written(path, rows)
    refused("it lacks the column in16_valid_e12", dataset="imagenet16_120")
    refused("dataset is 'mnist': choose from cifar10, cifar100, imagenet16_120", dataset="mnist")
    written(path, [*rows[:4], "|none~0|,high,1,1,1\n", *rows[5:]])
    refused("line 6: c10_valid_e12, c10_test_e200 are not all numbers")
    written(path, [*rows[:4], "|none~0|\n", *rows[5:]])
    refused("line 6: .* are not all numbers")
    written(path, [*rows[:4], "|none~0|,101,1,1,1\n", *rows[5:]])
    refused("line 6: an accuracy is not from 0 to 100")
    written(path, [*rows[:4], "|none~0|,nan,1,1,1\n", *rows[5:]])
    refused("line 6: an accuracy is not from 0 to 100")
    packed = gzip.compress((HEADER + "".join(rows)).encode())
    path.write_bytes(packed[: len(packed) // 2])
    refused(r"table\.csv: .*ended before")
    path.write_bytes(packed[:30] + b"\xff\xff\xff\xff" + packed[34:])
    refused(r"table\.csv: ")
    path.write_bytes(b"\xff\xfe\x00\x01" * 10)
    refused(r"table\.csv: ")
    path.unlink()
    path.mkdir()
    refused(r"table\.csv: Is a directory")
    path.rmdir()
    os.mkfifo(path)
    refused(r"table\.csv: a pipe or a device, not a file")


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "ACCURACIES_BYTES", 10_000)
    (tmp_path / "table.csv").write_bytes(gzip.compress(HEADER.encode() + bytes(10_000)))
    with pytest.raises(ValueError, match="more than the 10,000 bytes that such a table may have"):
        make_evaluator({"name": "tabular", "path": tmp_path / "table.csv"})


@pytest.mark.skipif("KERAS_NASNET_TEST_DATA" not in os.environ, reason="needs the table of KERAS_NASNET_TEST_DATA")
def test_the_real_table_holds_the_published_optimum():
    path = Path(os.environ["KERAS_NASNET_TEST_DATA"]) / "nasbench201" / "nasbench201_accuracies.csv.gz"
    evaluator = make_evaluator({"name": "tabular", "path": path})
    children = np.stack(np.unravel_index(np.arange(SPACE.size), SPACE.sizes), axis=1).tolist()
    results = [evaluate(evaluator, SPACE.genotype(child), path.parent) for child in children]
    assert round(max(result.extra["test_accuracy"] for result in results), 4) == 0.9437
    assert 0.84 < max(result.reward for result in results) < 0.86
