"""What a detector is worth: the COCO evaluator's numbers as plain data, as a table, and as files."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.common.escape import markdown
from keras_nasnet.common.files import write_text

JSON_FILE, MARKDOWN_FILE = "results.json", "results.md"

# Each figure, the official evaluator's name for it for one class, and the IoU threshold and the area it is of.
_FIGURES: dict[str, tuple[str, float | None, str]] = {
    "AP": ("Precision mAP ByCategory", None, "all"),
    "AP50": ("Precision mAP ByCategory@50IoU", 0.5, "all"),
    "AP75": ("Precision mAP ByCategory@75IoU", 0.75, "all"),
    "APs": ("Precision mAP ByCategory (small)", None, "small"),
    "APm": ("Precision mAP ByCategory (medium)", None, "medium"),
    "APl": ("Precision mAP ByCategory (large)", None, "large"),
}


def category_metrics(evaluated: Any, class_names: Sequence[str]) -> dict[str, float]:
    """Return the average precisions of each class under the official evaluator's names, for `summarise`.

    The official evaluator has them only under a pycocotools that keeps `category_stats`; the released one does not.

    Args:
        evaluated: a `pycocotools.cocoeval.COCOeval` after `accumulate`, of category ids 1, 2, ...
        class_names: of category ids 1, 2, ...

    Returns:
        The values, -1 where there are no such boxes.
    """
    params = evaluated.params
    precision = evaluated.eval["precision"][..., -1]  # (IoU, recall, class, area), of the most boxes an image
    metrics = {}
    for key, iou, area in _FIGURES.values():
        rows = slice(None) if iou is None else np.isclose(params.iouThrs, iou)
        for place, category in enumerate(params.catIds):
            values = precision[rows, :, place, params.areaRngLbl.index(area)]
            metrics[f"{key}/{class_names[category - 1]}"] = float(values.mean())  # without such boxes all are -1
    return metrics


def summarise(metrics: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the COCO evaluator's average precisions as JSON has them.

    Args:
        metrics: of the official `COCOEvaluator`, with -1 where there are no such boxes; those of the classes,
            "Precision mAP ByCategory/NAME" and so on, may be missing.
        class_names: all classes that the detector knows, in order.

    Returns:
        AP (mean over IoU 0.5, 0.55 ... 0.95), AP50, AP75, and APs, APm, APl of boxes below 32^2 pixels, up to 96^2,
        and above, as 0..1; and `per_class`: a dictionary of the same with `name` for each class, in order,
        empty if the metrics have none. None where there are no such boxes.

    Raises:
        ValueError: if a metric is missing, or there are metrics of a class that is not named.
    """
    missing = [name for name in _FIGURES if name not in metrics]
    if missing:
        raise ValueError(f"the metrics have no {missing[0]}: give those of the official COCO evaluator")
    summary: dict[str, Any] = {name: _value(metrics[name]) for name in _FIGURES}
    prefix = f"{_FIGURES['AP'][0]}/"
    measured = [key.removeprefix(prefix) for key in metrics if key.startswith(prefix)]
    unknown = [name for name in measured if name not in class_names]
    if unknown:
        raise ValueError(f"there are metrics of {unknown[0]!r}, which is none of the class names")
    summary["per_class"] = [
        {"name": name} | {figure: _value(metrics.get(f"{key}/{name}", -1)) for figure, (key, *_) in _FIGURES.items()}
        for name in (class_names if measured else ())
    ]
    return summary


def to_markdown(summary: Mapping[str, Any]) -> str:
    """Return the table of a summary: a row for all classes, and one for each; a dash where there are no boxes."""
    rows = [{"name": "all"} | {figure: summary[figure] for figure in _FIGURES}, *summary["per_class"]]
    lines = [["class", *_FIGURES], ["---", *("---:" for _ in _FIGURES)]]
    lines += [[markdown(" ".join(row["name"].split())), *(_shown(row[figure]) for figure in _FIGURES)] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_json(summary: Mapping[str, Any]) -> str:
    """Return a summary as JSON text; null where there are no boxes."""
    return json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write(summary: Mapping[str, Any], folder: str | os.PathLike[str]) -> None:
    """Write a summary as `results.json` and `results.md` into a folder; each file appears when it is whole.

    Raises:
        OSError: if a file cannot be written; an earlier one is then as it was.
    """
    write_text(Path(folder, JSON_FILE), to_json(summary))
    write_text(Path(folder, MARKDOWN_FILE), to_markdown(summary))


def _value(metric: Any) -> float | None:
    return None if metric < 0 else round(float(metric), 6)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
