"""The command `keras-nasnet`."""

import logging
import os
import warnings

# Before anything imports TensorFlow: the command's own words only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from keras_nasnet.cli.classify import classify_command
from keras_nasnet.cli.detect import detect_group
from keras_nasnet.cli.evaluate import evaluate_command
from keras_nasnet.cli.export import export_command
from keras_nasnet.cli.features import features_command
from keras_nasnet.cli.finetune import finetune_command
from keras_nasnet.cli.search import search_group
from keras_nasnet.cli.train import train_command
from keras_nasnet.cli.zoo import zoo_group
from keras_nasnet.cli.zoo_convert import convert_command
from keras_nasnet.cli.zoo_publish import publish_command
from keras_nasnet.common.version import __version__

# Of damaged and of large images the commands say it themselves.
warnings.filterwarnings("ignore", module="PIL")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keras-nasnet")
def main() -> None:
    """NASNet on Keras 3."""


for command in (
    classify_command,
    detect_group,
    evaluate_command,
    export_command,
    features_command,
    finetune_command,
    search_group,
    train_command,
    zoo_group,
):
    main.add_command(command)
zoo_group.add_command(convert_command)
zoo_group.add_command(publish_command)

if __name__ == "__main__":
    main(prog_name="keras-nasnet")
