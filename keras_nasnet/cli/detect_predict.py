"""`keras-nasnet detect predict`: finds things on photographs and video frames."""

import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_nasnet.cli.errors import InputError
from keras_nasnet.common.run_folder import output
from keras_nasnet.common.terminal import Stderr, clear_line, echo, echo_json, say

if TYPE_CHECKING:
    from keras_nasnet.detection.detections import Detections
    from keras_nasnet.detection.prediction import FileDetections

PROGRESS_FROM = 100  # more images than these show their progress


@click.command("predict")
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", "name", metavar="RUN", required=True, help="Folder of a run or an export, or hf://ORG/NAME.")
@click.option(
    "--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Lower scores are left out."
)
@click.option("--top", type=click.IntRange(1), help="At most so many boxes an image.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object in COCO's format.")
@click.option("--draw", "draw_folder", type=click.Path(path_type=Path), help="Draw the boxes, into this folder.")
def predict_command(
    paths: tuple[Path, ...], name: str, threshold: float, top: int | None, as_json: bool, draw_folder: Path | None
) -> None:
    """Find things on images, or on all images or video frames below folders.

    A line is: file, class, score, and left, top, right and bottom of the box in pixels of the image
    turned upright. Files that cannot be read are named on stderr, the others are still done; the exit
    code is then 2.
    """
    try:
        # All that can be wrong without TensorFlow is said before it is imported, which takes seconds.
        from keras_nasnet.detection.prediction import list_images, predict_files

        count = len(list_images(paths, draw_folder, lambda line: say(f"warning: {line}")))
        from keras_nasnet.detection import FasterRCNN

        model = FasterRCNN.load(name)
        with contextlib.nullcontext() if draw_folder is None else output(draw_folder):
            results = predict_files(model, paths, threshold, draw_folder, top)
            broken = show(model.class_names, results, threshold, as_json, count)
    except (ValueError, TypeError) as error:
        raise InputError(error) from None
    except OSError as error:
        raise click.ClickException(str(error)) from None
    if broken:
        sys.exit(2)


def show(
    class_names: Iterable[str],
    results: Iterable["FileDetections"],
    threshold: float,
    as_json: bool = False,
    count: int = 0,
) -> int:
    """Print what was found on images and returns how many could not be read.

    Args:
        class_names: of the detector.
        results: as `predict_files` yields them.
        threshold: that they have passed.
        as_json: print one JSON object at the end instead of lines.
        count: how many results there will be.
    """
    broken = 0
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    stderr: Any = Stderr()
    watched = count > PROGRESS_FROM and stderr.isatty()
    progress = click.progressbar(length=count, label="Images", show_pos=True, file=stderr) if watched else None
    with progress or contextlib.nullcontext():
        for result in results:
            if progress:
                clear_line()
            if isinstance(result.detections, ValueError):
                broken += 1
                say(result.detections)
            elif as_json:
                number = len(images) + 1
                width, height = result.size
                images.append({"id": number, "file_name": os.fspath(result.path), "width": width, "height": height})
                annotations += result.detections.to_coco(number)
            else:
                for line in lines(result.detections, threshold):
                    echo(f"{result.path}  {line}")
            if progress:
                progress.update(1)
    if as_json:
        categories = [{"id": number, "name": name} for number, name in enumerate(class_names, 1)]
        echo_json({"images": images, "categories": categories, "annotations": annotations})
    return broken


def lines(detections: "Detections", threshold: float) -> list[str]:
    """Return a line for each box of an image: class, score, and left, top, right, bottom in whole pixels."""
    if not len(detections):
        return [f"nothing from {threshold:g} up"]
    return [
        f"{label}  {' '.join(str(round(value)) for value in box)}"
        for label, box in zip(detections.labels(), detections.boxes.tolist(), strict=True)
    ]
