"""What a run measured, as a file that `zoo publish` puts into the model card."""

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_nasnet.common.hardware import hardware
from keras_nasnet.training.evaluation import Evaluation
from keras_nasnet.training.recipe import Recipe

FILE = "metrics.json"


def save(folder: Path, recipe: Recipe, dataset: str, evaluations: Mapping[str, Evaluation | None]) -> None:
    """Writes what the trained network came to, as the catalog has it; the file appears when it is whole.

    Args:
        folder: of the run.
        recipe: of the run.
        dataset: its name.
        evaluations: by the name of the split; None where there is none.
    """
    results = [
        result
        for split, evaluation in evaluations.items()
        if evaluation is not None
        for result in _measured(evaluation, f"{dataset} {split}", recipe)
    ]
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / FILE)


def _measured(evaluation: Evaluation, data: str, recipe: Recipe) -> list[dict[str, Any]]:
    shared = {
        "data": f"{data}, {evaluation.examples:,} images",
        "script": f"keras-nasnet train, recipe {recipe.name}",
        "seed": recipe.seed,
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
    }
    values = {"top1": evaluation.accuracy}
    if len(evaluation.confusion) > 5:
        values["top5"] = evaluation.accuracy_5
    return [{"name": name, "value": round(value, 6)} | shared for name, value in values.items()]
