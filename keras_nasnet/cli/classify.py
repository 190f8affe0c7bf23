"""`keras-nasnet classify`: says what is in images."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from keras_nasnet.cli.errors import InputError
from keras_nasnet.cli.model_options import MODEL, class_names_option
from keras_nasnet.common.escape import printable
from keras_nasnet.common.image_folders import find_images
from keras_nasnet.common.terminal import Stderr, clear_line, echo_json, echo_text, say
from keras_nasnet.inference.engines.engine import PRECISIONS
from keras_nasnet.inference.engines.registry import ENGINES, candidates
from keras_nasnet.zoo import loading as zoo

BAR_WIDTH = 24
PROGRESS_FROM = 100  # more images than these show their progress


@click.command("classify")
@click.argument("paths", metavar="IMAGE_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    "name",
    default="nasnet_a_cifar10",
    show_default=True,
    help=MODEL,
)
@class_names_option
@click.option("--top", type=int, help="How many classes to show for each image.  [default: 5, or all if fewer]")
@click.option("--engine", help=f"What computes: {', '.join(ENGINES)}.  [default: the first of these that is installed]")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="bfloat16 is faster where the processor knows it, and a little less exact. OpenVINO only.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line and image.")
def classify_command(
    paths: tuple[Path, ...],
    name: str,
    class_names: Path | None,
    top: int | None,
    engine: str | None,
    precision: str,
    as_json: bool,
) -> None:
    """Say what is in images, or in all images below folders.

    The first time an engine gets a model it is compiled, which takes a while; from then on it is there at
    once. Files that cannot be read are named on stderr, the others are still done; the exit
    code is then 2.
    """
    # All that can be wrong without Keras is said before it is imported, which takes seconds.
    try:
        images = _images(paths)
        zoo.check(name)
        candidates(engine, precision)
        if (known := zoo.entry_name(name)) is not None:
            classes = zoo.entry(known).class_names
            if classes is None:
                raise ValueError(f"{name} has no classifier: it gives features only (`keras-nasnet features`)")
            _check_top(top, len(classes))
        elif top is not None:
            _check_top(top, None)
        from keras_nasnet.zoo.prediction import load_predictor

        report = say if Stderr().isatty() else None
        predictor = load_predictor(name, engine, precision, report, class_names)
        _check_top(top, predictor.classes)
        broken = show(predictor, images, min(5, predictor.classes) if top is None else top, as_json)
    except ValueError as error:
        raise InputError(error) from None
    if broken:
        sys.exit(2)


def show(model: Any, images: Sequence[Path], top: int, as_json: bool = False) -> int:
    """Prints what is in images and returns how many could not be read."""
    from keras_nasnet.inference.classification import classify

    broken = 0
    stderr: Any = Stderr()
    watched = len(images) > PROGRESS_FROM and stderr.isatty()
    progress = click.progressbar(length=len(images), label="Images", show_pos=True, file=stderr) if watched else None
    with progress or contextlib.nullcontext():
        for path, result in classify(model, images, top):
            if progress:
                clear_line()
            if isinstance(result, ValueError):
                broken += 1
                say(result)
            elif as_json:
                predictions = [prediction._asdict() for prediction in result]
                echo_json({"path": os.fspath(path), "predictions": predictions})
            else:
                echo_text(table(os.fspath(path), result))
            if progress:
                progress.update(1)
    return broken


def table(path: str, predictions: Sequence[tuple[str, float]]) -> str:
    """Returns the lines for one image: its path, then label, percentage and bar of each class."""
    rows = [(printable(label), probability) for label, probability in predictions]
    width = max(len(label) for label, _ in rows)
    lines = [printable(path)]
    for label, probability in rows:
        lines.append(f"  {label:<{width}}  {100 * probability:5.1f} %  {_bar(probability)}".rstrip())
    return "\n".join(lines)


def _bar(fraction: float) -> str:
    eighths = round(fraction * BAR_WIDTH * 8)
    bar = "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()
    try:
        bar.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "#" * round(fraction * BAR_WIDTH)
    return bar


def _images(paths: Sequence[Path]) -> list[Path]:
    """Return the images that are meant, and say on stderr what folders hold beside them."""
    found = [find_images(path) for path in paths]
    for problem in (problem for listing in found for problem in listing.problems()):
        say(f"warning: {problem}")
    return [image for listing in found for image in listing.images]


def _check_top(top: int | None, classes: int | None) -> None:
    if top is not None and (top < 1 or (classes is not None and top > classes)):
        until = "up" if classes is None else f"to {classes}, the number of classes"
        raise InputError(f"--top is {top}: it must be from 1 {until}")
