"""`keras-nasnet zoo convert`: trained weights in another format."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.cli.errors import InputError
from keras_nasnet.cli.model_options import class_names_option
from keras_nasnet.common.run_folder import output
from keras_nasnet.common.terminal import echo, say
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.formats.registry import format_by_name, format_of, format_to_write, save_weights

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet


@click.command("convert")
@click.argument("model", metavar="MODEL")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--to",
    metavar="FORMAT",
    help="The format to write, where the name of OUT does not say it: timm for a .safetensors with timm's names.",
)
@click.option("--network", metavar="VARIANT", help="Which network a MODEL of weights alone is for.")
@click.option("--no-top", is_flag=True, help="With --network: without its classifier, of which a detector has none.")
@class_names_option
def convert_command(
    model: str, out: Path, to: str | None, network: str | None, no_top: bool, class_names: Path | None
) -> None:
    """Write a model's weights in another format, read them back, and compare every bit.

    MODEL is what `classify --model` takes, or with --network a file of weights alone (.weights.h5,
    .h5 of keras.applications, .safetensors of ours or timm's, .pth, .tar.gz or .index of TF-slim).
    With --no-top that may be a Faster R-CNN of the TF Object Detection API on NASNet, such as
    faster_rcnn_nas_coco_2018_01_28.tar.gz: its backbone is taken.

    \b
    OUT says the format by the end of its name:
      .keras        the whole model
      .weights.h5   weights, for Keras' load_weights on this network
      .h5           weights, for keras.applications.NASNetMobile(weights=OUT) and NASNetLarge
      .safetensors  weights; with --to timm for timm.create_model("nasnetalarge", checkpoint_path=OUT)
    """
    try:
        # All that can be wrong without Keras is said before it is imported, which takes seconds.
        form = format_to_write(out, to)
        if os.path.lexists(out):
            raise ValueError(f"{out} is there already: delete it or choose another name")
        if no_top and network is None:
            raise ValueError("--no-top goes with --network, for files of weights alone")
        _check_source(model, network)
        loaded = loading.load(
            model if network is None else _load_weights(model, network, include_top=not no_top), class_names
        )
        with output(out):
            save_weights(loaded, out, to)
    except ValueError as error:
        raise InputError(error) from None
    except OSError as error:
        raise click.ClickException(f"{out} cannot be written ({error.strerror or error})") from None
    own = loaded.get_config()["pool_padding"]
    theirs = form.pool_padding or own
    if theirs != own:
        say(
            f"note: this model has pool_padding={own!r}; the other code pools like {theirs!r}, "
            "so its outputs differ by about 1e-2"
        )
    echo(f"wrote {out}")


def _check_source(model: str, network: str | None) -> None:
    is_alone = loading.entry_name(model) is None and _is_weights_alone(model)
    if network is None and is_alone and os.path.isfile(model):
        raise ValueError(
            f"{model} holds weights alone: say which network they are for, such as --network nasnet_a_4_1056_imagenet"
        )
    if network is None:
        loading.check(model)
    elif not is_alone:
        raise ValueError(f"{model}: --network is for files of weights alone")
    elif not os.path.isfile(model):
        raise ValueError(f"{model}: no such file")


def _is_weights_alone(model: str) -> bool:
    try:
        return not (format_of(model) if os.path.isfile(model) else format_by_name(model)).is_whole
    except ValueError:  # of no format
        return False


def _load_weights(path: str, network: str, include_top: bool) -> "NASNet":
    from keras_nasnet.models.named import variant

    form = format_of(path)
    with without_random_values():
        model = variant(network, include_top=include_top, pool_padding=form.pool_padding or "same")
    form.read(path, model)
    return model
