"""Evaluating a detector by the official COCO evaluator."""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from official.core import task_factory
from official.vision.evaluation.coco_evaluator import COCOEvaluator

from keras_nasnet.common import terminal
from keras_nasnet.common.files import write_text
from keras_nasnet.detection import problems, report
from keras_nasnet.detection.data.annotations import read_dataset
from keras_nasnet.detection.data.records import Records, read_records, write_records
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.detector_folder import RECORDS
from keras_nasnet.detection.garden.logs import printed_to
from keras_nasnet.detection.garden.model import OUTPUTS, FasterRCNN
from keras_nasnet.detection.garden.params import without_paths

RESULTS = "detections.json"  # in COCO's result format


@dataclass(frozen=True)
class DetectionEvaluation:
    """What the evaluation of a detector found.

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
    images: str | os.PathLike[str] | None = None,
    exif: str | None = None,
    say: Callable[[str], None] = terminal.say,
) -> DetectionEvaluation:
    """Evaluate a detector by the official COCO evaluator.

    Args:
        source: what `FasterRCNN.load` takes.
        data: a dataset as `annotations.read_dataset` takes it. Default: the validation images of the run.
        folder: to hold results.json, results.md and detections.json; default: nowhere.
        batch: images at a time.
        strict: whether any defect of the annotations is refused; else they are dropped.
        images: folder of the image files, where it is not that of the data.
        exif: "apply" or "ignore": whether boxes are those of images turned upright; default: the annotated sizes say.
        say: is given a line for each of the first defects; problems.txt in `folder` has all of them.

    Raises:
        ValueError: if there is no detector or data, or the data has classes that the detector has not.

    Example:
        A run is evaluated on its validation images; here there is no run yet:

        >>> evaluate("runs/detect-raccoon")
        Traceback (most recent call last):
        ValueError: runs/detect-raccoon: no such folder
    """
    detector = FasterRCNN.load(source)
    with tempfile.TemporaryDirectory() as temporary:
        records = _of_the_run(Path(source)) if data is None else None
        if data is not None:
            dataset = read_dataset(data, images, strict, detector.class_names, exif)
            problems.tell(dataset.problems, None if folder is None else Path(folder), say)
            records = write_records(dataset, Path(temporary, "records"))
        if records is None:
            raise ValueError(f"{source}: no validation images in this folder; name annotated images with --data")
        with printed_to(Path(temporary, "log")):
            metrics, detections = _run(detector, records, batch)
        classes = metrics_by_class(records.annotation_file, detections, detector.class_names)
    summary = report.summarise(metrics | classes, detector.class_names)
    if folder is not None:
        report.write(summary, folder)
        write_text(Path(folder, RESULTS), json.dumps(detections, ensure_ascii=False) + "\n")
    return DetectionEvaluation(metrics, detections, summary)


def _run(detector: FasterRCNN, records: Records, batch: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    params = without_paths(detector.params)
    params.task.override({"annotation_file": str(records.annotation_file)}, is_strict=True)
    params.task.validation_data.override(
        {"input_path": str(records.pattern), "global_batch_size": batch, "drop_remainder": False}, is_strict=True
    )
    task = task_factory.get_task(params.task)
    # Boxes are given in pixels of the image, clipped to it: what is measured is what `predict` returns.
    evaluator = COCOEvaluator(str(records.annotation_file), include_mask=False, need_rescale_bboxes=False)
    step = tf.function(
        lambda images, labels: detector.model(
            images, anchor_boxes=labels["anchor_boxes"], image_shape=labels["image_info"][:, 1, :], training=False
        )
    )
    found: list[dict[str, Any]] = []
    for images, labels in task.build_inputs(params.task.validation_data):
        outputs = step(images, labels)
        arrays = {name: outputs[name].numpy() for name in OUTPUTS}
        truths = labels["groundtruths"]
        source_ids = truths["source_id"].numpy()
        in_batch: list[Detections] = []
        for i, info in enumerate(labels["image_info"].numpy()):
            height, width = (round(float(side)) for side in info[0])
            one = {name: value[i] for name, value in arrays.items()}
            in_batch.append(Detections.from_garden(one, info, (height, width), detector.class_names))
            found += in_batch[-1].to_coco(int(source_ids[i]))
        most = arrays["detection_scores"].shape[1]
        evaluator.update_state(truths, _as_outputs(in_batch, most, source_ids))
    return {name: float(value) for name, value in evaluator.result().items()}, found


def _as_outputs(batch: list[Detections], most: int, source_ids: np.ndarray) -> dict[str, Any]:
    """Return detections as the official evaluator reads them: tensors of `most` boxes an image, padded with zeros."""
    boxes = np.zeros((len(batch), most, 4), np.float32)
    scores, classes = np.zeros((len(batch), most), np.float32), np.zeros((len(batch), most), np.int32)
    for i, one in enumerate(batch):
        boxes[i, : len(one)] = one.boxes[:, [1, 0, 3, 2]]
        scores[i, : len(one)], classes[i, : len(one)] = one.scores, one.classes + 1
    arrays = {
        "source_id": source_ids,
        "num_detections": np.array([len(one) for one in batch], np.int32),
        "detection_boxes": boxes,
        "detection_scores": scores,
        "detection_classes": classes,
    }
    return {name: tf.constant(value) for name, value in arrays.items()}


def metrics_by_class(
    annotation_file: Path, detections: list[dict[str, Any]], names: tuple[str, ...]
) -> dict[str, float]:
    """Return the average precisions of each class, by pycocotools on detections in COCO's format."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotation_file))
        # pycocotools takes no empty list, but a set without anything in it.
        found = truth.loadRes(detections) if detections else COCO()
        evaluated = COCOeval(truth, found, "bbox")
        evaluated.evaluate()
        evaluated.accumulate()
    return report.category_metrics(evaluated, names)


def _of_the_run(folder: Path) -> Records | None:
    place = folder / RECORDS / "validation"
    return read_records(place) if place.is_dir() else None
