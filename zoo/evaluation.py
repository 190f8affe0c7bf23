"""Evaluation of trained networks on labelled images: accuracy and calibration.

Reads every image as `classify` does, and holds a few batches of images and some counts:
memory grows by the paths of the images only.
"""

import contextlib
import datetime
import importlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common.escape import printable
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.common.version import __version__
from keras_nasnet.data.labelled_images import LabelledImages, open_images, read_batches
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.catalog.entry import Entry
from keras_nasnet.zoo.class_names import by_number, model_labels
from keras_nasnet.zoo.scores import Scores

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

MARKDOWN_HEADER = (
    "| model | data | images | pixels | crop | top-1 | top-5 | ECE | images/s | parameters |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)

StrPath = str | os.PathLike[str]


@dataclass(frozen=True)
class ClassRecall:
    """The recall of one class.

    Args:
        name: of the class.
        images: of the class.
        recall: share of them that the net takes for this class; None without images.
    """

    name: str
    images: int
    recall: float | None


@dataclass(frozen=True)
class Restricted:
    """What a network scores when it may choose among the classes of the data only, not among all that it knows.

    Args:
        top1: as in `ClassificationMetrics`.
        top5: likewise.
        ece: likewise; probabilities are those of the classes of the data, of which the sum is 1.
    """

    top1: float
    top5: float | None
    ece: float


@dataclass(frozen=True)
class ClassificationMetrics:
    """The accuracy and calibration of a network on labelled images, and how they were measured.

    Args:
        model: its name or path.
        data: as it was named.
        split: what was taken of the data; None where it has no splits.
        images: number of images.
        top1: share of images whose most probable class is right.
        top5: share whose five most probable classes contain it; None with at most five classes.
        ece: expected calibration error: how far confidence (the probability of the most
            probable class) and accuracy are apart, averaged over the images, in 15 bins of equal
            width.
        images_per_second: with the reading of the images, without the making of the graph.
        per_class: in order of the model's classes.
        preprocessing: of the images, as `Preprocessing.to_dict` gives it.
        batch: images at a time.
        parameters: of the net without its auxiliary head.
        versions: of keras_nasnet, keras and the backend.
        hardware: in words.
        date: in ISO 8601.
        classes: of the data; None: all that the model has.
        restricted: the scores among the classes of the data, where these are some of the model's only.
        problems: what was left out of the data, or how it was read, a line each.

    Example:
        >>> found = ClassificationMetrics(
        ...     model="net", data="photos", split=None, images=8, top1=0.75, top5=None, ece=0.1, images_per_second=20.0,
        ...     per_class=(), preprocessing={"height": 32, "width": 32, "crop_fraction": None}, batch=32,
        ...     parameters=455706, versions={}, hardware="2 CPU cores, x86_64", date="2026-11-25",
        ... )
        >>> found.to_markdown_row()
        '| net | photos | 8 | 32x32 | none | 75.00 % |  | 0.1000 | 20 | 0.46M |'
    """

    model: str
    data: str
    split: str | None
    images: int
    top1: float
    top5: float | None
    ece: float
    images_per_second: float
    per_class: tuple[ClassRecall, ...]
    preprocessing: dict[str, Any]
    batch: int
    parameters: int
    versions: dict[str, str]
    hardware: str
    date: str
    classes: int | None = None
    restricted: Restricted | None = None
    problems: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Return all of it as one line of JSON."""
        return json.dumps(asdict(self))

    def to_markdown_row(self) -> str:
        """Return the row for a table that begins with `MARKDOWN_HEADER`.

        Where the data has some of the model's classes only, it says so, and a second row has the scores among these.
        """
        if self.restricted is None:
            return self._row("", self.top1, self.top5, self.ece)
        some = f", {self.classes:,} of {len(self.per_class):,} classes"
        among = self.restricted
        rows = (
            self._row(some, self.top1, self.top5, self.ece),
            self._row(f"{some}, restricted to these", among.top1, among.top5, among.ece),
        )
        return "\n".join(rows)

    def _row(self, classes: str, top1: float, top5: float | None, ece: float) -> str:
        crop = self.preprocessing["crop_fraction"]
        cells = (
            self.model,
            (self.data if self.split is None else f"{self.data}, {self.split}") + classes,
            f"{self.images:,}",
            f"{self.preprocessing['height']}x{self.preprocessing['width']}",
            "none" if crop is None else f"{crop:g}",
            f"{100 * top1:.2f} %",
            "" if top5 is None else f"{100 * top5:.2f} %",
            f"{ece:.4f}",
            f"{self.images_per_second:.0f}" if self.images_per_second >= 10 else f"{self.images_per_second:.2g}",
            f"{self.parameters / 1e6:.2f}M",
        )
        return f"| {' | '.join(printable(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def evaluate(
    model: "StrPath | keras.Model",
    data: StrPath,
    *,
    split: str | None = None,
    crop: float | None = None,
    size: int | tuple[int, int] | None = None,
    batch: int = 32,
    data_dir: str | None = None,
    class_names: StrPath | Sequence[str] | None = None,
    labels: StrPath | None = None,
    label_columns: Sequence[str] | None = None,
) -> ClassificationMetrics:
    """Evaluate a network on every image of a labelled set.

    The classes of the data must be the model's or some of them, by names as people write them: in any order, case
    and spelling of blanks, as WordNet numbers of ImageNet, or as the model's labels from 0 up. To a model without class
    names labels are just numbers. Where the data has some of the classes only, `restricted` says what the network
    scores among these. Progress is shown on stderr where that is a terminal.

    Args:
        model: what `load` takes.
        data: "tfds:NAME", a prepared set of tensorflow-datasets, or a folder of class folders.
        split: of tensorflow-datasets, for example "train[:1000]"; or the folder in `data` that
            holds the class folders. Default: "test", or "validation" where there is no test
            split or it has no labels; a folder without these is taken as a whole.
        crop: the part of the (shorter) side that the central crop keeps; default: the model's.
        size: side, or (height, width), in pixels of what the net sees; default: the model's.
        batch: images at a time.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        class_names: of the model, where it has none, or others; see `load`.
        labels: a table with a path and a label in each row, for images that lie flat in the folder.
        label_columns: names of its columns of paths and labels; default: the usual ones.

    Raises:
        ValueError: if there is no such model or data, the data has a class that the model does not know, a label is
            none of the classes', or an image cannot be read: no image is left out.

    Example:
        >>> import pathlib
        >>> from PIL import Image
        >>> for name in info("nasnet_a_cifar10").class_names:
        ...     folder = pathlib.Path("images", name)
        ...     folder.mkdir(parents=True)
        ...     Image.new("RGB", (32, 32)).save(folder / "black.png")
        >>> found = evaluate("nasnet_a_cifar10", "images")
        >>> found.images, found.top1
        (10, 0.1)
    """
    if crop is not None and not 0 < crop <= 1:
        raise ValueError(f"crop is {crop}: it must be above 0, at most 1")
    if batch < 1:
        raise ValueError(f"batch is {batch}: it must be 1 or more")
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        loading.check(name)
        images = open_images(data, split, data_dir, labels, label_columns)
        if (known := loading.entry_name(name)) is not None and class_names is None:
            _check_entry(loading.entry(known), data, images)
        loaded = loading.load(name, class_names)
    else:
        name, loaded = model.name, loading.load(model, class_names)
        images = open_images(data, split, data_dir, labels, label_columns)
    from keras_nasnet.common.hardware import hardware

    config = loaded.get_config()
    if not config["include_top"]:
        raise ValueError(f"{name} has no classifier: it gives features only")
    names = loaded.class_names or [str(number) for number in range(config["classes"])]
    labels_of = model_labels(names, images.class_names, str(data))
    network = _network(loaded, _preprocessing(loaded, name, crop, size))
    scores = Scores(len(names))
    among = Scores(len(labels_of)) if len(labels_of) < len(names) else None
    speed = _count(network, images, labels_of, batch, scores, among, name)
    problems = [*images.problems]
    if by_number(names, images.class_names):
        problems.append(f"{data}: its classes are numbers, taken for the model's labels: 0 is {names[0]}")
    pairs = zip(names, scores.images.tolist(), scores.right.tolist(), strict=True)
    return ClassificationMetrics(
        model=name,
        data=str(data),
        split=images.split,
        images=images.size,
        top1=scores.top1,
        top5=scores.top5,
        ece=scores.ece,
        images_per_second=speed,
        per_class=tuple(ClassRecall(name, count, right / count if count else None) for name, count, right in pairs),
        preprocessing=network.preprocessing.to_dict(),
        batch=batch,
        parameters=network.count_params(),
        versions=_versions(),
        hardware=hardware(),
        date=datetime.date.today().isoformat(),
        classes=None if among is None else len(labels_of),
        restricted=None if among is None else Restricted(among.top1, among.top5, among.ece),
        problems=tuple(problems),
    )


def _check_entry(entry: Entry, data: StrPath, images: LabelledImages) -> None:
    """Check what can be checked before anything is downloaded."""
    if entry.task == "features":
        raise ValueError(f"{entry.name} has no classifier: it gives features only")
    if entry.class_names:
        model_labels(entry.class_names, images.class_names, str(data))


def _preprocessing(model: "NASNet", name: str, crop: float | None, size: int | tuple[int, int] | None) -> Preprocessing:
    chosen = model.preprocessing
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
        chosen = replace(chosen, height=height, width=width)
    if chosen.height is None:
        raise ValueError(f"{name} takes images of any size: choose one (size)")
    return chosen if crop is None else replace(chosen, crop_fraction=crop)


def _network(model: "NASNet", preprocessing: Preprocessing) -> "NASNet":
    """Return the model, or one with its weights, that gives just the probabilities of images so preprocessed."""
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.models.weights import copy_weights

    config = model.get_config()
    height, width = preprocessing.height, preprocessing.width
    wanted = config | {
        "input_shape": [3, height, width] if config["data_format"] == "channels_first" else [height, width, 3],
        "auxiliary_head": False,
        "preprocessing": preprocessing.to_dict(),
    }
    if config["classifier_activation"] == "linear":
        wanted["classifier_activation"] = "softmax"
    if wanted == config:
        return model
    with without_random_values():
        network = NASNet(**wanted)
    copy_weights(model, network, head=True)
    return network


def _count(
    network: "NASNet",
    images: LabelledImages,
    labels_of: np.ndarray,
    batch: int,
    scores: Scores,
    among: Scores | None,
    name: str,
) -> float:
    """Add all images to the scores, and to those among the classes of the data; returns images per second."""

    def probabilities(inputs: np.ndarray) -> np.ndarray:
        # Filled up, so that the last batch needs no graph of its own.
        filled = np.zeros((batch, *inputs.shape[1:]), np.float32)
        filled[: len(inputs)] = inputs
        return np.asarray(network.predict_on_batch(filled))[: len(inputs)]

    channels_first = network.get_config().get("data_format") == "channels_first"
    probabilities(np.zeros((1, *network.input_shape[1:])))  # makes the graph, before the clock runs
    started = time.perf_counter()
    with (
        contextlib.closing(read_batches(images, network.preprocessing.fit, batch)) as batches,
        tqdm(total=images.size, desc=name, unit=" images", leave=False, disable=None) as progress,
    ):
        for pixels, labels in batches:
            inputs = network.preprocessing.scale(pixels)  # they are cropped already
            found = probabilities(inputs.transpose(0, 3, 1, 2) if channels_first else inputs)
            if not np.isfinite(found).all():
                raise ValueError(f"{name}: its outputs are not finite numbers")
            scores.add(found, labels_of[labels])
            if among is not None:
                some = found[:, labels_of].astype(np.float64)
                among.add(some / np.maximum(some.sum(1, keepdims=True), np.finfo(np.float64).tiny), labels)
            progress.update(len(labels))
    return images.size / (time.perf_counter() - started)


def _versions() -> dict[str, str]:
    import keras

    backend = keras.backend.backend()
    return {
        "keras_nasnet": __version__,
        "keras": keras.__version__,
        backend: importlib.import_module(backend).__version__,
    }
