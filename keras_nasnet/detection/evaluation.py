"""Evaluating a detector by the official COCO evaluator."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging as absl_logging
from official.core import task_factory
from official.vision.evaluation.coco_evaluator import COCOEvaluator

from keras_nasnet.detection import report, run_folder
from keras_nasnet.detection.annotations import DetectionDataset
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.exporting import without_places
from keras_nasnet.detection.model import FasterRCNN
from keras_nasnet.detection.records import Records, write_records

RESULTS = "detections.json"  # in COCO's result format
_THRESHOLDS = {"AP": slice(None), "AP50": 0, "AP75": 5}  # of COCO's ten, 0.5 to 0.95


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found.

    Args:
        metrics: of the official evaluator, by its names: "AP", "AP50", ...; -1 where there are no such boxes.
        detections: in COCO's result format; category ids are those of `Records.annotation_file`.
        summary: what `report.summarise` makes of the metrics, per class too.
    """

    metrics: dict[str, float]
    detections: list[dict[str, Any]]
    summary: dict[str, Any]


def evaluate(
    source: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    batch: int = 8,
    strict: bool = False,
) -> Evaluation:
    """Evaluates a detector.

    Args:
        source: what `FasterRCNN.load` takes.
        data: annotated images; their validation part, where the folder says which it is, else all. Default: the
            validation images of the run.
        folder: to hold results.json, results.md and detections.json; default: nowhere.
        batch: images at a time.
        strict: as in `train`.

    Raises:
        ValueError: if there is no detector or data, or the data has classes that the detector has not.
    """
    detector = FasterRCNN.load(source)
    with tempfile.TemporaryDirectory() as temporary:
        records = _of_the_run(Path(source)) if data is None else None
        if data is not None:
            records = write_records(_dataset(data, detector.class_names, strict), Path(temporary, "records"))
        if records is None:
            raise ValueError(f"{source}: no validation images in this folder; name annotated images with --data")
        with quiet(Path(temporary, "log")):
            metrics, detections = _run(detector, records, batch)
        classes = per_class(records.annotation_file, detections, detector.class_names)
    summary = report.summarise(metrics | classes, detector.class_names)
    if folder is not None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        report.write(summary, Path(folder))
        run_folder.write_json(detections, Path(folder) / RESULTS)
    return Evaluation(metrics, detections, summary)


def _run(detector: FasterRCNN, records: Records, batch: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    params = without_places(detector.params)
    params.task.override({"annotation_file": str(records.annotation_file)}, is_strict=True)
    params.task.validation_data.override(
        {"input_path": str(records.pattern), "global_batch_size": batch, "drop_remainder": False}, is_strict=True
    )
    task = task_factory.get_task(params.task)
    evaluator = COCOEvaluator(str(records.annotation_file), include_mask=False)
    step = tf.function(
        lambda images, labels: detector.model(
            images, anchor_boxes=labels["anchor_boxes"], image_shape=labels["image_info"][:, 1, :], training=False
        )
    )
    found: list[dict[str, Any]] = []
    for images, labels in task.build_inputs(params.task.validation_data):
        outputs = step(images, labels)
        names = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
        predictions = {name: outputs[name].numpy() for name in names}
        truths = labels["groundtruths"]
        predictions |= {"source_id": truths["source_id"].numpy(), "image_info": labels["image_info"].numpy()}
        evaluator.update_state({name: value.numpy() for name, value in truths.items()}, predictions)
        for i, source_id in enumerate(predictions["source_id"]):
            height, width = predictions["image_info"][i][0]
            detections = Detections.from_garden(
                {name: predictions[name][i] for name in names},
                predictions["image_info"][i],
                (round(float(height)), round(float(width))),
                detector.class_names,
            )
            found += detections.to_coco(int(source_id))
    return {name: float(value) for name, value in evaluator.result().items()}, found


def per_class(annotation_file: Path, detections: list[dict[str, Any]], names: tuple[str, ...]) -> dict[str, float]:
    """Returns AP, AP50 and AP75 of each class as {"AP/NAME": ...}; -1 for a class without boxes.

    The official evaluator takes these from an attribute that PyPI's pycocotools does not have.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotation_file))
        if not detections:
            return {
                f"{metric}/{name}": 0.0 if truth.getAnnIds(catIds=[number]) else -1.0
                for metric in _THRESHOLDS
                for number, name in enumerate(names, 1)
            }
        evaluation = COCOeval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # threshold, recall, class; all areas, 100 detections
    columns = {number: column for column, number in enumerate(evaluation.params.catIds)}
    result = {}
    for metric, thresholds in _THRESHOLDS.items():
        for number, name in enumerate(names, 1):
            values = precision[thresholds][..., columns[number]] if number in columns else np.array([-1.0])
            result[f"{metric}/{name}"] = float(values[values > -1].mean()) if (values > -1).any() else -1.0
    return result


def _of_the_run(folder: Path) -> Records | None:
    place = folder / "records" / "validation"
    return Records.read(place) if place.is_dir() else None


def _dataset(data: str | os.PathLike[str], class_names: tuple[str, ...], strict: bool) -> DetectionDataset:
    raise NotImplementedError


def write_report(metrics: dict[str, float], class_names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    """Writes results.json and results.md of a run, and returns what they say."""
    summary = report.summarise(metrics, class_names)
    report.write(summary, folder)
    return summary


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """What the Garden and pycocotools print goes to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    handler = absl_logging.get_absl_handler().python_handler
    with open(log, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
        before, handler.stream = handler.stream, file
        try:
            yield
        finally:
            handler.stream = before
