"""What all commands that take a model share."""

from pathlib import Path

import click

MODEL = "A catalog name, hf://ORG/NAME, the folder of a run or of a published model, or a .keras file."

class_names_option = click.option(
    "--class-names",
    type=click.Path(path_type=Path),
    help="A file with the names of the classes, a line each or a JSON list, for a model that has none.",
)
