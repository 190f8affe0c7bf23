"""`keras-nasnet zoo publish`: a model to the Hugging Face Hub."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

import click

from keras_nasnet.cli.errors import InputError
from keras_nasnet.cli.model_options import class_names_option
from keras_nasnet.common.run_folder import output
from keras_nasnet.common.terminal import echo, echo_text
from keras_nasnet.zoo import publishing
from keras_nasnet.zoo.sources import hub


@click.command("publish")
@click.argument("model", metavar="RUN_OR_MODEL")
@click.option("--to", required=True, metavar="ORG/NAME", help="The repository; made if it is missing.")
@click.option("--revision", help="A branch.  [default: the main one]")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep here what is uploaded.")
@click.option("--licence", help="Of the weights.  [default: the catalog's, or Apache-2.0]")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    help="What `evaluate RUN_OR_MODEL --json` printed.  [default: what the run or the catalog says]",
)
@click.option(
    "--backbone", is_flag=True, help="Publish the network without its classifier; of a detector, its backbone alone."
)
@class_names_option
@click.option("--private", is_flag=True, help="A new repository is private.")
@click.option("--dry-run", is_flag=True, help="Make the folder and print what it holds; upload nothing.")
def publish_command(
    model: str,
    to: str,
    revision: str | None,
    folder: Path | None,
    licence: str | None,
    results: Path | None,
    backbone: bool,
    class_names: Path | None,
    private: bool,
    dry_run: bool,
) -> None:
    """Publish a trained model: weights, config, class names, preprocessing, metrics and a model card, in one commit.

    RUN_OR_MODEL is the folder of a training run or a detector, a name of the catalog, or a .keras file. The
    Hub's token is HF_TOKEN, or what `hf auth login` has stored. `keras_nasnet.load("hf://ORG/NAME")`
    then loads the model anywhere.
    """
    try:
        # All that can be wrong without Keras is said before it is imported, which takes seconds.
        publishing.publisher_of(model).check(model)
        hub.check_target(to, revision)
        options: dict[str, Any] = {"revision": revision, "licence": licence, "results": results, "backbone": backbone}
        options["class_names"] = class_names
        if not dry_run:
            with contextlib.nullcontext() if folder is None else output(folder):
                echo(publishing.publish(model, to, folder=folder, private=private, **options))
            return
        with tempfile.TemporaryDirectory() as temporary, output(folder or Path(temporary) / "model"):
            place = folder or Path(temporary) / "model"
            publishing.prepare(model, to, place, **options)
            for file in sorted(file for file in place.rglob("*") if file.is_file()):
                echo(f"{file.stat().st_size:>12,} bytes  {file.relative_to(place)}")
            echo_text(f"\n{(place / 'README.md').read_text(encoding='utf-8')}")
    except ValueError as error:
        raise InputError(error) from None
