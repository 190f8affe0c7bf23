"""`keras-nasnet detect`: Faster R-CNN on a NASNet, from annotated images to boxes on photographs."""

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from keras_nasnet.cli.detect_predict import predict_command
from keras_nasnet.cli.errors import InputError, reporting_errors
from keras_nasnet.common.run_folder import output
from keras_nasnet.common.terminal import echo, echo_json, echo_text, say


@click.group("detect")
def detect_group() -> None:
    """Train, evaluate, export and use detectors. Needs the extra [detection], but for `convert`."""
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of how annotated images are read."""
    images = click.option(
        "--images", type=click.Path(path_type=Path), help="Folder of the image files.  [default: that of the data]"
    )
    exif = click.option(
        "--exif",
        type=click.Choice(["apply", "ignore"]),
        help="Whether boxes are those of images turned upright by EXIF.  [default: the annotated sizes say]",
    )
    return images(exif(command))


@detect_group.command("train")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="Images with COCO JSON, Pascal VOC XML or YOLO's data.yaml.",
)
@click.option(
    "--validation", type=click.Path(path_type=Path), help="Annotated images to evaluate.  [default: part of --data]"
)
@_data_options
@click.option(
    "--model",
    default="nasnet_a_cifar10_64",
    show_default=True,
    help="Where the backbone starts: mobile or large (ImageNet), a catalog name, hf://ORG/NAME, folder, file.",
)
@click.option("--from-nothing", is_flag=True, help="Take the model's architecture without its weights.")
@click.option("--size", type=int, default=256, show_default=True, help="Pixels of the network's square input.")
@click.option("--epochs", type=int, default=100, show_default=True)
@click.option("--batch", type=int, default=8, show_default=True, help="Images of one step.")
@click.option("--learning-rate", type=float, default=0.02, show_default=True, help="The highest of the schedule.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/detect-DATA]")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if there is one.")
@click.option("--strict", is_flag=True, help="Refuse data with any defect; else defects are listed and dropped.")
@click.option(
    "--set", "settings", metavar="NAME=VALUE", multiple=True, help="Replace a setting of the Model Garden's experiment."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
def train_command(
    data: Path,
    validation: Path | None,
    images: Path | None,
    exif: str | None,
    model: str,
    from_nothing: bool,
    size: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    out: Path | None,
    resume: bool,
    strict: bool,
    settings: tuple[str, ...],
    seed: int,
) -> None:
    """Train a Faster R-CNN on annotated images.

    What the folder does not name as validation is split: a fifth is held out. The run's folder
    gets checkpoints, curves and the official COCO evaluation. All GPUs of the machine are used.
    """
    with reporting_errors():
        from keras_nasnet import detection

        result = detection.train(
            data,
            out,
            validation=validation,
            model=model,
            from_nothing=from_nothing,
            size=size,
            epochs=epochs,
            batch=batch,
            learning_rate=learning_rate,
            settings=settings,
            strict=strict,
            images=images,
            exif=exif,
            resume=resume,
            seed=seed,
        )
        echo(f"AP {result.summary['AP'] or 0:.3f}  AP50 {result.summary['AP50'] or 0:.3f}")
        echo(f"detector {result.folder}")


@detect_group.command("eval")
@click.argument("model", metavar="RUN")
@click.option(
    "--data", type=click.Path(path_type=Path), help="Annotated images.  [default: the run's validation images]"
)
@_data_options
@click.option("--out", type=click.Path(path_type=Path), help="Write results.json, results.md and detections.json here.")
@click.option("--batch", type=int, default=8, show_default=True, help="Images at a time.")
@click.option("--strict", is_flag=True, help="Refuse data with any defect.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def eval_command(
    model: str,
    data: Path | None,
    images: Path | None,
    exif: str | None,
    out: Path | None,
    batch: int,
    strict: bool,
    as_json: bool,
) -> None:
    """Evaluate the detector of RUN: a run's or an export's folder, or hf://ORG/NAME.

    By the official COCO evaluator: AP is the mean over IoU thresholds from 0.5 to 0.95, APs, APm and APl are
    those of boxes below 32 x 32 pixels of the original image, up to 96 x 96, and above.
    """
    with reporting_errors():
        if data is None and (images or exif):
            raise InputError("--images and --exif say how --data is read: give --data too")
        from keras_nasnet import detection
        from keras_nasnet.detection import report

        with nullcontext() if out is None else output(out):
            found = detection.evaluate(model, data, folder=out, batch=batch, strict=strict, images=images, exif=exif)
        if as_json:
            echo_json(json.loads(report.to_json(found.summary)), indent=2)
        else:
            echo_text(report.to_markdown(found.summary))


@detect_group.command("convert")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="Annotated images, as `train` takes them.")
@click.option("--validation", type=click.Path(path_type=Path), help="Annotated images of the part val.")
@_data_options
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
@click.option("--strict", is_flag=True, help="Refuse data with any defect.")
def convert_command(
    data: Path, validation: Path | None, images: Path | None, exif: str | None, out: Path, strict: bool
) -> None:
    """Write annotated images as YOLO reads them: data.yaml, images/ and labels/.

    What is trained on becomes the part train, what is held out the part val. Needs no TensorFlow.
    """
    with reporting_errors():
        from keras_nasnet import detection
        from keras_nasnet.detection import problems

        train, held_out = detection.read_splits(data, strict, validation, images=images, exif=exif)
        problems.tell(train.problems + held_out.problems, None, say)
        echo(f"YOLO {detection.write_yolo({'train': train, 'val': held_out}, out)}")


@detect_group.command("export")
@click.argument("model", metavar="RUN")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write.")
def export_command(model: str, out: Path) -> None:
    """Export the detector of RUN as a SavedModel that runs without this package."""
    with reporting_errors():
        from keras_nasnet import detection

        with output(out):
            echo(f"SavedModel {detection.export(model, out)}")


detect_group.add_command(predict_command)
