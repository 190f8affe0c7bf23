"""`keras-nasnet train`: runs a recipe."""

from pathlib import Path

import click

from keras_nasnet.cli.data_options import data_dir_option, label_options
from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.common.terminal import echo, echo_text
from keras_nasnet.training.recipe import RECIPES, STRATEGIES, get_recipe


@click.command("train")
@click.argument("recipe", metavar="RECIPE")
@click.option("--data", help="tfds:NAME, a folder of class folders or with --labels, a .npz file, or digits.")
@label_options
@data_dir_option
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/RECIPE]")
@click.option("--strategy", type=click.Choice(STRATEGIES), default="default", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if there is one.")
@click.option(
    "--checkpoint-seconds", type=click.FloatRange(0), default=180, show_default=True, help="Longest time between two."
)
@click.option("--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Replace a setting of the recipe.")
@click.option("--print", "only_print", is_flag=True, help="Print the recipe as TOML and do nothing.")
def train_command(
    recipe: str,
    data: str | None,
    labels: Path | None,
    label_columns: tuple[str, str] | None,
    data_dir: str | None,
    out: Path | None,
    strategy: str,
    resume: bool,
    checkpoint_seconds: float,
    assignments: tuple[str, ...],
    only_print: bool,
) -> None:
    """Train a network as RECIPE says: a name, or a TOML file.

    Recipes:"""
    with reporting_errors():
        chosen = get_recipe(recipe).with_settings(*assignments)
        if only_print:
            echo_text(chosen.to_toml())
            return
        from keras_nasnet.training.trainer import train

        result = train(
            chosen,
            out or Path("runs") / chosen.name,
            data=data,
            labels=labels,
            label_columns=label_columns,
            data_dir=data_dir,
            strategy=strategy,
            resume=resume,
            checkpoint_seconds=checkpoint_seconds,
        )
        if result.test is not None:
            echo(f"test accuracy {result.test.accuracy:.4f} ({result.test.examples} images)")
        echo(f"wrote {result.folder / 'model.keras'}")


train_command.epilog = f"Recipes: {', '.join(RECIPES)}."
