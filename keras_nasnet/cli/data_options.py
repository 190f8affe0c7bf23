"""Options that name data, the same for all commands that take some."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., None])

data_dir_option = click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")


def label_options(command: Command) -> Command:
    """Add the options of a table of labels to a command: `labels`, and `label_columns`, a pair or None."""
    columns = click.option(
        "--label-columns",
        metavar="PATH,LABEL",
        callback=_pair,
        help="Its columns.  [default: the usual names, such as filename and label]",
    )
    table = click.option(
        "--labels",
        metavar="FILE.csv",
        type=click.Path(path_type=Path),
        help="A table with a path and a label in each row, for images that lie flat in the folder.",
    )
    return table(columns(command))


def _pair(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    path, _, label = value.partition(",")
    if not path.strip() or not label.strip():
        raise click.BadParameter(f"{value!r}: give two names of columns, of the paths and of the labels: PATH,LABEL")
    return path, label
