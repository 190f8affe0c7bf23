"""`keras-nasnet evaluate`: how right trained nets are on labelled images."""

import json
from pathlib import Path

import click

from keras_nasnet.cli.data_options import data_dir_option, label_options
from keras_nasnet.cli.errors import InputError
from keras_nasnet.cli.model_options import class_names_option
from keras_nasnet.common.terminal import echo_json, echo_text, say


@click.command("evaluate")
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--data", required=True, help="tfds:NAME, or a folder of class folders or with --labels.")
@label_options
@click.option(
    "--split",
    help="A split of tensorflow-datasets, or the folder in the data's folder.  [default: test, else validation]",
)
@data_dir_option
@class_names_option
@click.option("--crop", type=float, help="The part of the side that the central crop keeps.  [default: the model's]")
@click.option("--size", type=int, help="Side in pixels of what the net sees.  [default: the model's]")
@click.option("--batch", type=int, default=32, show_default=True, help="Images at a time.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each model, with the recall per class.")
def evaluate_command(
    models: tuple[str, ...],
    data: str,
    labels: Path | None,
    label_columns: tuple[str, str] | None,
    split: str | None,
    data_dir: str | None,
    class_names: Path | None,
    crop: float | None,
    size: int | None,
    batch: int,
    as_json: bool,
) -> None:
    """Measure trained nets on labelled images: top-1, top-5, calibration (ECE), images per second.

    MODEL is a catalog name, an address hf://ORG/NAME, or a model's file or folder. Prints a
    markdown table with a row for each. Images are read one by one, however many there are.
    Classes are matched by name, however it is written, by WordNet number or by index; where some of
    the model's are not in the data, a second row is for a network that knows those only. An image that
    cannot be read ends it.
    """
    try:
        from keras_nasnet import zoo
        from keras_nasnet.zoo.evaluation import MARKDOWN_HEADER
        from keras_nasnet.zoo.loading import check

        for model in models:  # before the first of them takes its time
            check(model)
        for number, model in enumerate(models):
            result = zoo.evaluate(
                model,
                data,
                split=split,
                crop=crop,
                size=size,
                batch=batch,
                data_dir=data_dir,
                class_names=class_names,
                labels=labels,
                label_columns=label_columns,
            )
            for problem in result.problems if number == 0 else ():
                say(f"warning: {problem}")
            if number == 0 and not as_json:
                echo_text(MARKDOWN_HEADER)
            if as_json:
                echo_json(json.loads(result.to_json()))
            else:
                echo_text(result.to_markdown_row())
    except ValueError as error:
        raise InputError(error) from None
