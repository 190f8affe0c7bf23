"""What a run measured, as a file that `zoo publish` puts into the model card."""

import datetime
import json
import os
from pathlib import Path
from typing import Any

from keras_nasnet.hardware import hardware
from keras_nasnet.training.evaluation import Evaluation
from keras_nasnet.training.recipe import Recipe

FILE = "metrics.json"


def measured(evaluation: Evaluation, data: str, recipe: Recipe) -> list[dict[str, Any]]:
    """Returns the results of an evaluation, each as an entry of the catalog has them.

    Args:
        evaluation: of the trained network.
        data: which images, for example "cifar10 test".
        recipe: of the run.
    """
    shared = {
        "data": f"{data}, {evaluation.examples:,} images",
        "script": f"keras-nasnet train, recipe {recipe.name}",
        "seed": recipe.seed,
        "date": datetime.date.today().isoformat(),
        "hardware": hardware(),
    }
    results = {"top1": evaluation.accuracy}
    if len(evaluation.confusion) > 5:
        results["top5"] = evaluation.accuracy_5
    return [{"name": name, "value": round(value, 6)} | shared for name, value in results.items()]


def save(results: list[dict[str, Any]], folder: Path) -> None:
    """Writes the file into a run's folder; it appears when it is whole."""
    temporary = folder / f".{FILE}.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, folder / FILE)
