"""Training a detector on a folder of annotated images, from its data to its results."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_nasnet.common import terminal
from keras_nasnet.common.run_folder import DETECTOR, check, run_folder
from keras_nasnet.detection import problems, report
from keras_nasnet.detection.anchors import box_sides
from keras_nasnet.detection.data.annotations import DetectionDataset, read_splits
from keras_nasnet.detection.data.records import write_records
from keras_nasnet.detection.detector_folder import PARAMS, RECORDS, is_detector, write_class_names
from keras_nasnet.detection.garden import checkpoints
from keras_nasnet.detection.garden.backbone import NASNetBackboneConfig
from keras_nasnet.detection.garden.params import check_same, override, write_params
from keras_nasnet.detection.garden.pretrained import write_checkpoint
from keras_nasnet.detection.garden.small_data import small_data_experiment
from keras_nasnet.detection.garden.trainer import run
from keras_nasnet.zoo import loading

MODELS = {"mobile": "nasnet_a_4_1056_imagenet", "large": "nasnet_a_6_4032_imagenet"}
_WEIGHTS = {"mobile": "nasnet_a_mobile_keras", "large": "nasnet_a_large_slim"}


@dataclass(frozen=True)
class TrainedDetector:
    """What a training run came to.

    Args:
        folder: of the run.
        summary: of the official COCO evaluator on the validation images; see `report.summarise`.
    """

    folder: Path
    summary: dict[str, Any]


def train(
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    validation: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = "nasnet_a_cifar10_64",
    from_nothing: bool = False,
    size: int = 256,
    epochs: int = 100,
    batch: int = 8,
    learning_rate: float = 0.02,
    settings: Sequence[str] = (),
    strict: bool = False,
    images: str | os.PathLike[str] | None = None,
    exif: str | None = None,
    resume: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = terminal.say,
) -> TrainedDetector:
    """Train a Faster R-CNN on a NASNet.

    Args:
        data: folder of images with COCO JSON, Pascal VOC XML or YOLO's labels; see `annotations.read_splits`.
        folder: of the run; default: runs/detect-NAME, where NAME is that of the data.
        validation: annotated images to evaluate, likewise; default: what `data` names, or a fifth of it.
        model: "mobile", "large" (with their ImageNet weights), or anything that
            `keras_nasnet.load` takes.
        from_nothing: the backbone's architecture alone is taken from `model`, not its weights.
        size: height and width in pixels of what the network sees; a multiple of 64, or of 32 for
            data without large objects.
        epochs: passes over the training images.
        batch: images of one step.
        learning_rate: the highest of the schedule.
        settings: "NAME=VALUE", for example "task.model.rpn_head.num_convs=2", in the Garden's names.
        strict: whether any defect of the annotations is refused; else they are listed and dropped.
        images: folder of the image files, where it is not that of the data.
        exif: "apply" or "ignore": whether boxes are those of images turned upright; default: the annotated sizes say.
        resume: whether a run in the folder goes on from its checkpoint.
        seed: of everything random.
        say: is given a line for each thing worth knowing.

    Returns:
        The folder and the last evaluation. In the folder: params.yaml, class_names.json,
        checkpoints, history.csv, TensorBoard scalars, results.json and results.md; problems.txt
        where the annotations have more defects than are shown.

    Raises:
        ValueError: for bad data, an unknown model, an impossible size or setting, or a folder that
            holds a run where `resume` is not given, or another run where it is.
        Interrupted: after Ctrl-C or SIGTERM; the checkpoint is written.
        Diverged: if the loss is not finite.

    Example:
        Here there is no data yet, so nothing is trained:

        >>> train("raccoon", "runs/raccoon", size=256, epochs=60)
        Traceback (most recent call last):
        ValueError: raccoon: no such file or folder: give a COCO JSON file, or a folder with COCO or Pascal VOC
    """
    path = Path(folder) if folder is not None else Path("runs") / f"detect-{Path(data).resolve().name}"
    _check(size, epochs, batch, learning_rate)
    if os.fspath(model) not in MODELS and not is_detector(model):
        loading.check(model)
    check(path, DETECTOR)
    checkpoint = checkpoints.latest(path) if path.is_dir() else None
    if (path / PARAMS).exists() and not resume:
        raise ValueError(f"{path} holds a run: --resume goes on with it, or choose another folder")
    with run_folder(path, DETECTOR):
        train_set, validation_set = read_splits(data, strict, validation, images=images, exif=exif)
        problems.tell(train_set.problems + validation_set.problems, path, say)
        say(_summary(train_set, validation_set))
        train_records = write_records(train_set, path / RECORDS / "train")
        validation_records = write_records(validation_set, path / RECORDS / "validation")
        init_checkpoint, config = _backbone(model, from_nothing, path)
        params = small_data_experiment(
            config,
            train_records,
            validation_records,
            box_sides(train_set, size),
            size=size,
            batch=min(batch, train_records.num_images),
            epochs=epochs,
            learning_rate=learning_rate,
            init_checkpoint=init_checkpoint,
            seed=seed,
        )
        override(params, settings)
        if (path / PARAMS).exists():
            check_same(params, path)
        write_class_names(train_set.class_names, path)
        write_params(params, path)
        if checkpoint is not None:
            say(f"goes on after step {checkpoints.step_of(checkpoint)} of {params.trainer.train_steps}")
        metrics = run(params, path, train_records.num_images, say)
        summary = report.summarise(metrics, train_set.class_names)
        report.write(summary, path)
        return TrainedDetector(path, summary)


def _check(size: int, epochs: int, batch: int, learning_rate: float) -> None:
    if size < 64 or size % 32:
        raise ValueError(f"size is {size}: it must be a multiple of 32, from 64 up")
    for name, value in {"epochs": epochs, "batch": batch}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be from 1 up")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}: it must be above 0")


def _backbone(
    model: str | os.PathLike[str], from_nothing: bool, folder: Path
) -> tuple[str | None, NASNetBackboneConfig]:
    name = os.fspath(model)
    if name in MODELS and from_nothing:
        return None, NASNetBackboneConfig(model_id=MODELS[name])
    checkpoint, config = write_checkpoint(_WEIGHTS.get(name, name), folder / "backbone")
    return (None if from_nothing else checkpoint), config


def _summary(train: DetectionDataset, validation: DetectionDataset) -> str:
    counts = [
        f"{len(part.images)} images, {sum(len(i.boxes) for i in part.images)} boxes" for part in (train, validation)
    ]
    names = ", ".join(train.class_names[:10]) + ", ..." * (len(train.class_names) > 10)
    return f"training: {counts[0]}; validation: {counts[1]}; classes: {names}"
