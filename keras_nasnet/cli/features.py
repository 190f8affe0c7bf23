"""`keras-nasnet features`: what a network sees in images, as a file of numbers."""

from pathlib import Path

import click

from keras_nasnet.cli.data_options import data_dir_option, label_options
from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.cli.model_options import MODEL
from keras_nasnet.common.terminal import echo, say


@click.command("features")
@click.argument("images", metavar="IMAGES_OR_FOLDER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    default="nasnet_a_cifar10",
    show_default=True,
    help=MODEL,
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .npz or .parquet file.")
@click.option("--image-size", type=int, help="Side in pixels of what the network sees.  [default: the model's own]")
@label_options
@data_dir_option
def features_command(
    images: tuple[Path, ...],
    model: str,
    out: Path,
    image_size: int | None,
    labels: Path | None,
    label_columns: tuple[str, str] | None,
    data_dir: str | None,
) -> None:
    """Write the features of images, the numbers in front of a network's classifier, with paths and labels.

    The labels are the names of the class folders, where there are some, or those of --labels.
    tfds:NAME takes all splits of a prepared set of tensorflow-datasets. What is no image, and
    images that cannot be read, are named and left out.
    """
    with reporting_errors():
        from keras_nasnet.training.features import check_format, extract_features, list_images
        from keras_nasnet.zoo import loading as zoo

        # All that can be wrong without Keras is said before it is imported, which takes seconds.
        check_format(out)
        zoo.check(model)
        list_images(images, labels, label_columns, data_dir)
        found = extract_features(
            model,
            images,
            out,
            image_size=image_size,
            labels=labels,
            label_columns=label_columns,
            data_dir=data_dir,
            say=lambda line: say(f"warning: {line}"),
        )
        echo(f"wrote {out}: {len(found.paths)} images, {found.features.shape[1]} features each")
