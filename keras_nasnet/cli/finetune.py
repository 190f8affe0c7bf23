"""`keras-nasnet finetune`: a trained network learns the classes of a folder."""

from pathlib import Path

import click

from keras_nasnet.cli.data_options import data_dir_option, label_options
from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.cli.model_options import MODEL
from keras_nasnet.common.terminal import echo


@click.command("finetune")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--model",
    default="nasnet_a_cifar10",
    show_default=True,
    help=f"Where to start. {MODEL}",
)
@click.option("--epochs", type=int, help="At most this many.  [default: the recipe's]")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/finetune-FOLDER]")
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if there is one.")
@click.option(
    "--set", "settings", metavar="NAME=VALUE", multiple=True, help="Replace a setting of the recipe 'finetune'."
)
@click.option("--seed", type=int, help="Of everything random.  [default: 0]")
@label_options
@data_dir_option
def finetune_command(
    folder: Path,
    model: str,
    epochs: int | None,
    out: Path | None,
    resume: bool,
    settings: tuple[str, ...],
    seed: int | None,
    labels: Path | None,
    label_columns: tuple[str, str] | None,
    data_dir: str | None,
) -> None:
    """Teach a trained network the classes of FOLDER: a folder of images for each class.

    Or such folders in FOLDER/train and FOLDER/val; without val a fifth of the images is
    held out. Or a folder of images with --labels, a .npz file, or tfds:NAME. What is no image,
    and images that cannot be read, are named and left out. The new network is model.keras in
    the run's folder, which `classify --model` takes.
    """
    with reporting_errors():
        from keras_nasnet.training.finetuning import finetune

        result = finetune(
            folder,
            model,
            epochs,
            out,
            settings=settings,
            resume=resume,
            seed=seed,
            labels=labels,
            label_columns=label_columns,
            data_dir=data_dir,
        )
        what, shown = ("test", result.test) if result.test else ("validation", result.validation)
        if shown is not None:
            echo(f"{what} accuracy {shown.accuracy:.4f} ({shown.examples} images)")
            echo(f"confusion matrix {result.folder / 'confusion.png'}")
        echo(f"model {result.folder / 'model.keras'}")
