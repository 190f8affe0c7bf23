"""`keras-nasnet export`: a model for another runtime."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_nasnet.cli.model_options import class_names_option
from keras_nasnet.common.terminal import echo
from keras_nasnet.inference import exporting
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.zoo import loading

if TYPE_CHECKING:
    from keras_nasnet.inference.comparison import Comparison


@click.command("export")
@click.argument("model", metavar="MODEL")
@click.option("--to", required=True, type=click.Choice(list(FORMATS)), help="The format.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The file or folder to write.  [default: the model's name, here]"
)
@click.option(
    "--dynamic-batch/--no-dynamic-batch", default=True, show_default=True, help="Any number of images at once, or one."
)
@click.option("--dynamic-size", is_flag=True, help="Images of any size from 32x32 up, not only of the model's own.")
@click.option("--fold/--no-fold", default=True, show_default=True, help="Fold batch normalization into convolutions.")
@click.option(
    "--int8",
    metavar="FOLDER|weights",
    help="In 8 bits, calibrated on the images of FOLDER; or the weights alone. onnx, openvino and litert.",
)
@class_names_option
def export_command(
    model: str,
    to: str,
    out: Path | None,
    dynamic_batch: bool,
    dynamic_size: bool,
    fold: bool,
    int8: str | None,
    class_names: Path | None,
) -> None:
    """Write MODEL for another runtime, load it there, and compare it with the original on photographs.

    MODEL is what `classify --model` takes. The file carries the constants of the preprocessing and the names of
    the classes.
    """
    form = FORMATS.get(to)
    name = Path(model).stem or Path(model).resolve().stem  # of the folder in which one is
    path = out or Path(f"{name}{form.suffix or '_saved_model'}")

    def report(found: "Comparison") -> None:
        same = f", same class in {found.agreement:.0%}" if int8 else ""
        echo(f"compared on {found.images} images: differs by {found.difference:.1e}{same}")

    # All that can be wrong without Keras is said before it is imported, which takes seconds.
    exporting.check(to, path, int8, dynamic_batch=dynamic_batch, dynamic_size=dynamic_size)
    loading.check(model)
    exporting.export(
        loading.load(model, class_names),
        to,
        path,
        fold=fold,
        dynamic_batch=dynamic_batch,
        dynamic_size=dynamic_size,
        int8=int8,
        compared=report,
    )
    echo(f"wrote {path}")
