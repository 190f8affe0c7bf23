"""Publishing: a model of any origin as a folder with everything that belongs to it, and that folder to the Hub."""

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from keras_nasnet.training.recipe import Recipe, get_recipe
from keras_nasnet.zoo import loading, model_folder
from keras_nasnet.zoo.card import Origin, write_card
from keras_nasnet.zoo.sources import hub

LICENCE = "Apache-2.0"  # of the package, and of all weights in its catalog

StrPath = str | os.PathLike[str]


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
) -> str:
    """Uploads a model with its class names, preprocessing, metrics and model card, in one commit.

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

    Returns:
        The address of the commit.

    Raises:
        ValueError: if there is no such model, it cannot be a folder, or the Hub refuses.
    """
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder) if folder is not None else Path(temporary) / "model"
        prepare(source, to, place, revision=revision, licence=licence, results=results, backbone=backbone)
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
) -> Path:
    """Writes the folder that `publish` uploads, and returns its path. Needs no network but for `source`.

    Args: those of `publish`; a folder that was written before is replaced.

    Raises:
        ValueError: if there is no such model, or the folder cannot be written.
    """
    hub.check_target(to, revision)
    if is_detector(source):
        # Late: the Model Garden is an extra.
        from keras_nasnet import detection

        if not backbone:
            detection.prepare(source, to, Path(folder), revision, licence or LICENCE)
            return Path(folder)
        model, origin = detection.network(source), Origin("The backbone of a detector", licence or LICENCE)
    else:
        model = _without_classifier(loading.load(source)) if backbone else loading.load(source)
        origin = _origin(source, licence)
    if results is not None:
        origin = replace(origin, metrics=_evaluated(Path(results), os.fspath(source)))
    model_folder.write(model, Path(folder), origin.metrics, write_card(model, to, revision, origin))
    return Path(folder)


def is_detector(source: StrPath) -> bool:
    """Whether a source is the folder of a detector."""
    return Path(source, "params.yaml").is_file()


def _without_classifier(model: Any) -> Any:
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.models.weights import copy_weights

    options = {"include_top": False, "classes": None, "class_names": None, "auxiliary_head": False, "dropout": 0.0}
    body = NASNet(**model.get_config() | options)
    copy_weights(model, body)
    return body


def _origin(source: StrPath, licence: str | None) -> Origin:
    text, path = os.fspath(source), Path(source)
    if text in loading.names():
        data = loading.entry(text)
        return Origin(
            data["description"],
            licence or data["licence"],
            data.get("dataset", ""),
            data["metrics"],
            data["published"],
        )
    licence, metrics = licence or LICENCE, _metrics(path / "metrics.json")
    if not (path / "recipe.toml").is_file():
        return Origin("A NASNet", licence, metrics=metrics)
    recipe = get_recipe(path / "recipe.toml")
    description = f"A NASNet trained with the recipe {recipe.name}"
    return Origin(description, licence, recipe.dataset, metrics, recipe=_without_places(recipe).to_toml())


def _without_places(recipe: Recipe) -> Recipe:
    """Where folders and files lie on the publisher's machine is nobody else's business."""
    variant = recipe.variant if hub.is_address(recipe.variant) else Path(recipe.variant).name
    return replace(recipe, dataset=Path(recipe.dataset).name, variant=variant)


def _metrics(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        if not all(result.keys() >= {"name", "value", "data"} for result in results):
            raise ValueError("a result has no name, value or data")
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a file of results ({' '.join(str(error).split())})") from None
    return results


def _evaluated(path: Path, source: str) -> list[dict[str, Any]]:
    """What a file of `keras-nasnet evaluate --json` says of a model, as the catalog has it."""
    metrics = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            result = json.loads(line)
            if Path(result["model"]) != Path(source):
                continue
            data = result["data"] if result["data"].startswith("tfds:") else Path(result["data"]).name
            shared = {
                "data": f"{' '.join(filter(None, (data, result['split'])))}, {result['images']:,} images",
                "script": "keras-nasnet evaluate",
                "date": result["date"],
                "hardware": result["hardware"],
            }
            names = [name for name in ("top1", "top5", "ece") if result[name] is not None]
            metrics += [{"name": name, "value": round(result[name], 6)} | shared for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())
        raise ValueError(f"{path}: not what `keras-nasnet evaluate --json` prints ({text})") from None
    if not metrics:
        raise ValueError(f"{path}: has no result of {source}")
    return metrics
