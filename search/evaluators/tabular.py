"""A table of NAS-Bench-201 in place of training: to try controllers at no cost."""

import csv
import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.genotype import Genotype
from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.space.nasbench201 import NASBench201
from keras_nasnet.search.trial import Fidelity, Result

DATASETS = {"cifar10": "c10", "cifar100": "c100", "imagenet16_120": "in16"}  # what their columns begin with
_GZIP = b"\x1f\x8b"


class Tabular(Evaluator):
    """A table of accuracies of NAS-Bench-201's cells, read from a CSV file, gzipped or not.

    The reward is the accuracy on validation images after 12 epochs, whatever the fidelity
    and the seed. The accuracy on test images after 200 epochs is `extra["test_accuracy"]`:
    it is there to score a search that has ended, and nothing that decides may read it.

    Source: Dong and Yang 2020. The file has a row for each of the 15,625 cells and the columns
    "arch" and, for "cifar10", "c10_valid_e12" and "c10_test_e200", in percent.

    Args:
        path: of the file.
        dataset: "cifar10", "cifar100" or "imagenet16_120".

    Raises:
        ValueError: if there is no such data set, or the file is missing or holds no such table.
    """

    def __init__(self, path: str | os.PathLike[str], dataset: str = "cifar10"):
        if dataset not in DATASETS:
            raise ValueError(f"dataset is {dataset!r}: choose from {', '.join(DATASETS)}")
        self._path = Path(path)
        prefix = DATASETS[dataset]
        self._accuracies = _read(self._path, f"{prefix}_valid_e12", f"{prefix}_test_e200")

    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Look a cell up.

        Args:
            genotype: an architecture string of NAS-Bench-201.
            fidelity, seed, folder: of no effect.

        Raises:
            ValueError: if it is none.
        """
        if not isinstance(genotype, str) or genotype not in self._accuracies:
            raise ValueError(f"{genotype!r} is not in {self._path}: take the space nasbench201")
        reward, test_accuracy = self._accuracies[genotype]
        return Result(reward, device="table", extra={"test_accuracy": test_accuracy})


def _read(path: Path, *columns: str) -> dict[str, tuple[float, ...]]:
    """Return for each architecture the numbers of the columns, from 0 to 1."""
    found: dict[str, tuple[float, ...]] = {}
    try:
        for line, architecture, percents in _rows(_text(path), columns):
            if not all(0 <= percent <= 100 for percent in percents):
                raise ValueError(f"line {line}: an accuracy is not from 0 to 100")
            found[architecture] = tuple(percent / 100 for percent in percents)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; give the CSV file of NAS-Bench-201's accuracies") from None
    except OSError as error:  # gzip's own have no strerror
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (EOFError, zlib.error, csv.Error, ValueError) as error:
        raise ValueError(f"{path}: {one_line(error)}") from None
    size = NASBench201().size
    if len(found) != size:
        raise ValueError(f"{path}: it has {len(found):,} architectures, NAS-Bench-201 has {size:,}")
    return found


def _text(path: Path) -> str:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ValueError("a pipe or a device, not a file")
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP)) == _GZIP
    with cast(IO[bytes], gzip.open(path, "rb") if zipped else path.open("rb")) as file:
        content = file.read(limits.ACCURACIES_BYTES + 1)  # a few bytes may unpack to any number
    if len(content) > limits.ACCURACIES_BYTES:
        raise ValueError(f"more than the {limits.ACCURACIES_BYTES:,} bytes that such a table may have")
    return content.decode("utf-8-sig")


def _rows(text: str, columns: tuple[str, ...]) -> Iterator[tuple[int, str, list[float]]]:
    """Yield line number, architecture and numbers."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    names = reader.fieldnames or ()
    for column in ("arch", *columns):
        if column not in names:
            raise ValueError(f"no table of NAS-Bench-201: it lacks the column {column}")
    for row in reader:
        try:
            yield reader.line_num, row["arch"], [float(row[column]) for column in columns]
        except (TypeError, ValueError):
            raise ValueError(f"line {reader.line_num}: {', '.join(columns)} are not all numbers") from None
