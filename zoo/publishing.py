"""Publishing: a model of any origin as a folder with everything that belongs to it, and that folder to the Hub."""

import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.common import documents
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.registry import Registry
from keras_nasnet.zoo import loading, model_folder
from keras_nasnet.zoo.card import Origin, write_card
from keras_nasnet.zoo.sources import hub

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

_SHORTEST, _LONGEST_TEXT = 8, 2**24  # bytes of a path that is looked for in files of more than these bytes
LICENCE = "Apache-2.0"  # of the package, and of all weights in its catalog

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class Target:
    """The options of a publication; `publish` says what they mean."""

    repo: str
    revision: str | None
    folder: Path
    licence: str | None = None
    results: StrPath | None = None
    backbone: bool = False
    class_names: StrPath | Sequence[str] | None = None


class Publisher:
    """Publishes whatever `load` takes. A subclass knows more of one kind of folder; it has a row in `PUBLISHERS`."""

    def check(self, source: StrPath) -> None:
        """Check cheaply, without importing Keras, that there is such a source.

        Raises:
            ValueError: if there is not.
        """
        loading.check(source)

    def prepare(self, source: StrPath, target: Target) -> None:
        """Write the folder that is uploaded.

        Raises:
            ValueError: if there is no such model, or the folder cannot be written.
        """
        model = self.network(source, target.backbone)
        if target.class_names is not None:
            model = loading.load(model, target.class_names)
        origin = self.origin(source, target.licence)
        if target.results is not None:
            origin = replace(origin, metrics=_evaluated(Path(target.results), os.fspath(source)))
        card = write_card(model, target.repo, target.revision, origin)
        model_folder.write(model, target.folder, origin.metrics, card)

    def network(self, source: StrPath, backbone: bool) -> "NASNet":
        """Return the network with its weights; with `backbone` without its classifier."""
        model = loading.load(source)
        return _without_classifier(model) if backbone else model

    def origin(self, source: StrPath, licence: str | None) -> Origin:
        """Return what is known of the network beside what it is.

        Args:
            source: that is published.
            licence: of the weights; None: the catalog's, or Apache-2.0.
        """
        if (name := loading.entry_name(source)) is not None:
            entry = loading.entry(name)
            return Origin(entry.description, licence or entry.licence, entry.dataset, entry.metrics, entry.published)
        return Origin("A NASNet", licence or LICENCE, metrics=read_metrics(source))


# Kinds of folders that are published in a way of their own, each by the file that only such a folder has.
PUBLISHERS: Registry[type[Publisher]] = Registry(
    "publisher",
    {
        "params.yaml": "keras_nasnet.detection.publisher:DetectorPublisher",
        "recipe.toml": "keras_nasnet.training.publishing:RunPublisher",
    },
)


def publish(
    source: StrPath,
    to: str,
    *,
    revision: str | None = None,
    folder: StrPath | None = None,
    licence: str | None = None,
    results: StrPath | None = None,
    private: bool = False,
    backbone: bool = False,
    class_names: StrPath | Sequence[str] | None = None,
) -> str:
    """Upload a model with its class names, preprocessing, metrics and model card, in one commit.

    Args:
        source: the folder of a training run, or anything that `load` takes; a run of a detector, or its
            export, is published with its SavedModel.
        to: the repository, "ORG/NAME"; made if it is missing.
        revision: a branch; default: the main one.
        folder: keeps what is uploaded here; default: nowhere.
        licence: of the weights; default: the catalog's, or Apache-2.0.
        results: what `keras-nasnet evaluate SOURCE... --json` printed, in a file; default: what
            the training run or the catalog says.
        private: whether a new repository is private.
        backbone: publish the network without its classifier, and of a detector its backbone alone.
        class_names: for a model that has none, or others; see `load`.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if there is no such model, it cannot be a folder, or the Hub refuses.

    Example:
        >>> publish("runs/mine", "someone/small-net")  # doctest: +SKIP
        'https://huggingface.co/someone/small-net/commit/...'
        >>> publish("nasnet_a_cifar10", "small-net")
        Traceback (most recent call last):
        ValueError: small-net: not a repository on the Hub; write ORG/NAME
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder) if folder is not None else Path(temporary) / "model"
        options: dict[str, Any] = {"revision": revision, "licence": licence, "results": results, "backbone": backbone}
        prepare(source, to, place, class_names=class_names, **options)
        return hub.upload(place, to, revision, f"Publish {to.split('/')[-1]}", private)


def prepare(
    source: StrPath,
    to: str,
    folder: StrPath,
    *,
    revision: str | None = None,
    licence: str | None = None,
    results: StrPath | None = None,
    backbone: bool = False,
    class_names: StrPath | Sequence[str] | None = None,
) -> Path:
    """Write the folder that `publish` uploads, and returns its path. Needs no network but for `source`.

    Args: those of `publish`; a folder that was written before is replaced.

    Raises:
        ValueError: if there is no such model, or the folder cannot be written.
    """
    hub.check_target(to, revision)
    target = Target(to, revision, Path(folder), licence, results, backbone, class_names)
    publisher_of(source).prepare(source, target)
    try:
        check_private(target.folder, _places(source))
    except ValueError:
        shutil.rmtree(target.folder, ignore_errors=True)
        raise
    return target.folder


def without_place(text: str) -> str:
    """Return the last name of a path, without where it lies on the publisher's machine; addresses stay as they are.

    Example:
        >>> without_place("/home/me/photos validation, 40 images")
        'photos validation, 40 images'
        >>> without_place("tfds:coco/2017")
        'tfds:coco/2017'
    """
    is_address = hub.is_address(text) or re.match(r"(tfds:|https?://)", text)
    return text if is_address else re.split(r"[/\\]", text.rstrip("/\\"))[-1]


def check_private(folder: Path, places: Iterable[str]) -> None:
    """Check that no file in a folder holds a path of the publisher's machine, by its bytes.

    Raises:
        ValueError: if one does; names the file and the path.
    """
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        for place in places:
            if _holds(file, f"{place.rstrip(os.sep)}{os.sep}".encode()):
                raise ValueError(
                    f"{file.relative_to(folder)} would publish the path {place} of this machine: rename what is called "
                    "so, such as a class, a recipe or a genotype; nothing is kept"
                )


def _places(source: StrPath) -> set[str]:
    """Folders of this machine that belong to the publisher; the whole disk is none."""
    text = os.fspath(source)
    found = [Path(os.path.abspath(place)) for place in (".", tempfile.gettempdir(), os.path.expanduser("~"))]
    if loading.entry_name(source) is None and not hub.is_address(text):
        found.append(Path(source).absolute())
    return {str(place) for path in found for place in (path, path.resolve()) if len(place.parts) > 1}


def _holds(file: Path, text: bytes) -> bool:
    if len(text) < _SHORTEST and file.stat().st_size > _LONGEST_TEXT:  # random numbers would hold it now and then
        return False
    with open(file, "rb") as opened:
        before = b""
        while piece := opened.read(2**24):
            if text in before + piece:
                return True
            before = piece[-len(text) :]
    return False


def publisher_of(source: StrPath) -> Publisher:
    """Return what publishes this source: that of its kind of folder, or the one for all that `load` takes."""
    if loading.entry_name(source) is None:
        for marker in PUBLISHERS:
            if Path(source, marker).is_file():
                return PUBLISHERS.get(marker)()
    return Publisher()


def _without_classifier(model: "NASNet") -> "NASNet":
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.models.weights import copy_weights

    options = {"include_top": False, "classes": None, "class_names": None, "auxiliary_head": False, "dropout": 0.0}
    body = NASNet(**model.arguments() | options)
    copy_weights(model, body)
    return body


def read_metrics(folder: StrPath) -> list[dict[str, Any]]:
    """Return the results in a model's folder; none where it has no metrics.json.

    Raises:
        ValueError: if that is not a file of results.
    """
    path = Path(folder) / "metrics.json"
    if not path.is_file():
        return []
    try:
        results = documents.read_json(path)
        return [_checked(result) | {"data": without_place(result["data"])} for result in results]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a file of results ({one_line(error)})") from None


def _checked(result: Any) -> dict[str, Any]:
    """Returns a result of which all is text or a number, as the card and the Hub's tables take it."""
    if not {"name", "value", "data"} <= result.keys():
        raise ValueError("a result has no name, value or data")
    if not isinstance(result["value"], int | float) or not math.isfinite(result["value"]):
        raise ValueError(f"the value of {result['name']!r} is {result['value']!r}, not a number")
    if not all(isinstance(result[key], str) for key in result.keys() - {"value", "seed"}):
        raise ValueError("a result has something else than text")
    if not isinstance(result.get("seed", 0), int):
        raise ValueError(f"seed is {result['seed']!r}, not an integer")
    return dict(result)


def _evaluated(path: Path, source: str) -> list[dict[str, Any]]:
    """What a file of `keras-nasnet evaluate --json` says of a model, as the catalog has it."""
    metrics = []
    try:
        for line in documents.read_text(path).splitlines():
            result = documents.parse_json(line, str(path))
            if Path(result["model"]) != Path(source):
                continue
            data = " ".join(filter(None, (without_place(result["data"]), result["split"])))
            shared = {
                "data": f"{data}, {result['images']:,} images",
                "script": "keras-nasnet evaluate",
                "date": result["date"],
                "hardware": result["hardware"],
            }
            names = [name for name in ("top1", "top5", "ece") if result[name] is not None]
            metrics += [_checked({"name": name, "value": round(result[name], 6)} | shared) for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not what `keras-nasnet evaluate --json` prints ({one_line(error)})") from None
    if not metrics:
        raise ValueError(f"{path}: has no result of {source}")
    return metrics
