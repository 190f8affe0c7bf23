"""An entry of the catalog: what is known of a set of trained weights. Imports no Keras."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_nasnet.common.checksum import Checksum
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import shown
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.zoo.class_list import read_class_names
from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS
from keras_nasnet.zoo.sources.places import Place, read_place

_REQUIRED = ("description", "task", "licence", "parameters", "mult_adds", "source", "builder", "preprocessing")
_KINDS = ("sha256", "md5")  # of checksums
_TYPES: dict[str, tuple[Any, str]] = {
    "description": (str, "text"),
    "task": (str, "text"),
    "licence": (str, "text"),
    "dataset": (str, "text"),
    "parameters": (int, "a whole number"),
    "mult_adds": (int, "a whole number"),
    "source": (dict, "a table"),
    "builder": (dict, "a table"),
    "preprocessing": (dict, "a table"),
    "class_names": (str | list, "a list of names, or the file that has them"),
    "published": (list, "tables"),
    "metrics": (list, "tables"),
}


@dataclass(frozen=True)
class Source:
    """The file that an entry's weights come from.

    Args:
        format: a name in `keras_nasnet.zoo.WEIGHT_FORMATS`.
        place: where the file is.
        checksum: that the file has.
        moving_averages: whether the moving averages of the weights are taken, of a checkpoint that has both; None
            where the format has only one set of weights.

    Example:
        >>> source = info("nasnet_a_mobile_slim").source
        >>> source.format, source.moving_averages
        ('slim', True)
        >>> source.place.url
        'https://storage.googleapis.com/download.tensorflow.org/models/nasnet-a_mobile_04_10_2017.tar.gz'
        >>> source.checksum.kind
        'md5'
    """

    format: str
    place: Place
    checksum: Checksum
    moving_averages: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the source as the catalog's TOML has it."""
        data = {"format": self.format, **self.place.to_dict(), self.checksum.kind: self.checksum.digest}
        return data if self.moving_averages is None else data | {"moving_averages": self.moving_averages}


@dataclass(frozen=True)
class Entry:
    """What the catalog says about a set of trained weights.

    Args:
        name: by which `load` takes it.
        description: a line.
        task: "classification", or "features" for a network without its classifier.
        licence: of the weights.
        parameters: number of values in the network's weights.
        mult_adds: number of multiplications, each with an addition, for one image.
        source: the file that the weights come from.
        builder: arguments of `NASNet`.
        preprocessing: of the images.
        dataset: that the weights were trained on, as tensorflow-datasets calls it; "" where it is not said.
        class_names: in order of the network's outputs; None without a classifier.
        published: results published by others: dicts with "name", "value", "data" and "source".
        metrics: results measured by this package: dicts with "name", "value", "data", and how they were measured.

    Example:
        >>> entry = info("nasnet_a_cifar10")
        >>> entry.parameters
        455706
        >>> entry.class_names[0]
        'airplane'
        >>> entry.builder["num_blocks"]
        [1, 2, 3]
        >>> entry.preprocessing.height
        32
        >>> [(metric["name"], metric["value"]) for metric in entry.metrics]
        [('top1', 0.9149)]
    """

    name: str
    description: str
    task: str
    licence: str
    parameters: int
    mult_adds: int
    source: Source
    builder: dict[str, Any]
    preprocessing: Preprocessing
    dataset: str = ""
    class_names: tuple[str, ...] | None = None
    published: tuple[dict[str, Any], ...] = ()
    metrics: tuple[dict[str, Any], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the entry as its TOML file has it, with "name" added.

        There is no "dataset" and no "class_names" where the entry has none; a "file" of the source is absolute.
        """
        data: dict[str, Any] = {"name": self.name, "description": self.description, "task": self.task}
        data["licence"] = self.licence
        if self.dataset:
            data["dataset"] = self.dataset
        data |= {"parameters": self.parameters, "mult_adds": self.mult_adds}
        if self.class_names is not None:
            data["class_names"] = list(self.class_names)
        data |= {
            "source": self.source.to_dict(),
            "builder": dict(self.builder),
            "preprocessing": self.preprocessing.to_dict(),
            "published": [dict(result) for result in self.published],
            "metrics": [dict(result) for result in self.metrics],
        }
        return data


def read_entry(path: Path, data: Mapping[str, Any]) -> Entry:
    """Return the entry in a TOML file.

    Args:
        path: of the file, whose stem is the entry's name.
        data: what is in it.

    Raises:
        ValueError: if something is missing or wrong; names the file.
    """
    for key, (kind, what) in _TYPES.items():
        if key in data and (not isinstance(data[key], kind) or isinstance(data[key], bool)):
            raise ValueError(f"{path}: {key} is {shown(data[key])}: it must be {what}")
    for key in ("published", "metrics"):
        if not all(isinstance(result, dict) and result.keys() >= {"name", "value"} for result in data.get(key, ())):
            raise ValueError(f"{path}: {key}: each result is a table with a name and a value")
    source: Mapping[str, Any] = data.get("source", {})
    place = read_place(source, path.parent)
    kind = next((kind for kind in _KINDS if isinstance(source.get(kind), str)), None)
    missing = [key for key in _REQUIRED if key not in data]
    if source.get("format") not in WEIGHT_FORMATS:
        missing.append(f"source.format (one of {', '.join(WEIGHT_FORMATS)})")
    if kind is None:
        missing.append("source.md5 or source.sha256")
    if place is None:
        missing.append("source.url, source.file, or source.repo with revision and file")
    if missing or kind is None or place is None:
        raise ValueError(f"{path}: the entry has no {'; no '.join(missing)}")
    try:
        preprocessing = Preprocessing.from_dict(data["preprocessing"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: preprocessing: {one_line(error)}") from None
    try:
        class_names = _class_names(data.get("class_names"), path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: class_names: {one_line(error)}") from None
    return Entry(
        path.stem,
        data["description"],
        data["task"],
        data["licence"],
        data["parameters"],
        data["mult_adds"],
        Source(source["format"], place, Checksum(kind, source[kind]), source.get("moving_averages")),
        data["builder"],
        preprocessing,
        data.get("dataset", ""),
        class_names,
        tuple(data.get("published", ())),
        tuple(data.get("metrics", ())),
    )


def _class_names(names: str | list[str] | None, folder: Path) -> tuple[str, ...] | None:
    if isinstance(names, str):  # a table beside the entry: number, tab, name
        return read_class_names(folder / names)
    return None if names is None else read_class_names(names)
