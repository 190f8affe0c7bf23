"""Draws what a run of `keras-nasnet detect train` came to, and prints its figures.

    python scripts/detection_figures.py runs/detect-raccoon docs/detection_raccoon --sheet 6

Writes PREFIX_curves.png and, of the first images of the run's validation set in which it finds something,
PREFIX_predictions.jpg; prints a line for the documentation.
"""

import argparse
import datetime
import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image, ImageOps

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.common.hardware import hardware
from keras_nasnet.detection import FasterRCNN, draw, read_splits
from keras_nasnet.detection.garden.params import read_params
from keras_nasnet.training.history import duration, read_history

TILE = 240  # pixels of a picture's side


def curves(run: Path, path: Path) -> None:
    """Draws loss and AP over the epochs."""
    rows = read_history(run / "history.csv")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot([row["epoch"] for row in rows], [row["loss"] for row in rows], color="tab:gray")
    left.set(xlabel="epoch", ylabel="loss")
    measured = [row for row in rows if row["AP50"] is not None]
    for name, colour in (("AP50", "tab:blue"), ("AP", "tab:orange"), ("AP75", "tab:green")):
        right.plot([row["epoch"] for row in measured], [row[name] for row in measured], label=name, color=colour)
    right.set(xlabel="epoch", ylim=(0, 1))
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def sheet(run: Path, data: Path, count: int, path: Path) -> None:
    """Draws predictions on validation images side by side."""
    detector = FasterRCNN.load(run)
    tiles = []
    for image in read_splits(data)[1].images:
        with Image.open(image.path) as opened:
            pixels = opened.convert("RGB")
        found = detector.predict([pixels], threshold=0.5)[0]
        if len(found):
            tiles.append(ImageOps.pad(draw(pixels, found), (TILE, TILE), color="white"))
        if len(tiles) == count:
            break
    columns = min(3, len(tiles))
    whole = Image.new("RGB", (columns * TILE, math.ceil(len(tiles) / columns) * TILE), "white")
    for number, tile in enumerate(tiles):
        whole.paste(tile, (number % columns * TILE, number // columns * TILE))
    whole.save(path, quality=85)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("prefix", type=Path, help="of the files to write")
    parser.add_argument("--data", type=Path, help="what the run was trained on: draws a sheet of predictions")
    parser.add_argument("--sheet", type=int, default=6, help="pictures on the sheet (default: %(default)s)")
    options = parser.parse_args()
    with reporting_errors():
        params = read_params(options.run)
        rows = read_history(options.run / "history.csv")
        seconds = sum(float(row["seconds"] or 0) for row in rows)
        curves(options.run, options.prefix.with_name(f"{options.prefix.name}_curves.png"))
        if options.data is not None:
            picture = options.prefix.with_name(f"{options.prefix.name}_predictions.jpg")
            sheet(options.run, options.data, options.sheet, picture)
        found = json.loads((options.run / "results.json").read_text(encoding="utf-8"))
        height, width = params.task.model.input_size[:2]
        print(
            f"{options.run.name}: AP {found['AP']:.3f}, AP50 {found['AP50']:.3f}, AP75 {found['AP75']:.3f}; "
            f"{height} x {width} pixels, {rows[-1]['epoch']} epochs, {params.trainer.train_steps} steps of "
            f"{params.task.train_data.global_batch_size} images in {duration(seconds)} "
            f"of training; seed {params.task.train_data.seed}, {hardware()}, Python {sys.version.split()[0]}, "
            f"{datetime.date.today()}"
        )


if __name__ == "__main__":
    main()
