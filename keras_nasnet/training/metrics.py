"""What a run measured, as a file that `zoo publish` puts into the model card."""

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_nasnet.common.files import write_text
from keras_nasnet.common.hardware import hardware
from keras_nasnet.training.evaluation import Scores
from keras_nasnet.training.recipe import Recipe

FILE = "metrics.json"


def save(folder: Path, recipe: Recipe, dataset: str, scores: Mapping[str, Scores | None]) -> None:
    """Write what the trained network scored, in the form that the catalog has.

    Args:
        folder: of the run.
        recipe: of the run.
        dataset: its name.
        scores: by the name of the split; None where there is none.
    """
    results = [
        result
        for split, measured in scores.items()
        if measured is not None
        for result in _measured(measured, f"{dataset} {split}", recipe)
    ]
    write_text(folder / FILE, json.dumps(results, indent=1) + "\n")


def _measured(scores: Scores, data: str, recipe: Recipe) -> list[dict[str, Any]]:
    shared = {
        "data": f"{data}, {scores.examples:,} images",
        "script": f"keras-nasnet train, recipe {recipe.name}",
        "seed": recipe.seed,
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
    }
    values = {"top1": scores.accuracy}
    if len(scores.confusion) > 5:
        values["top5"] = scores.accuracy_5
    return [{"name": name, "value": round(value, 6)} | shared for name, value in values.items()]
