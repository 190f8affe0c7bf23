"""The command `keras-nasnet`."""

import keras_nasnet.cli.early  # noqa: F401

# isort: split
import importlib
import logging
import os
import re
import signal
import sys
import warnings
from typing import Any

# Before anything imports TensorFlow: the command's own words only.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from keras_nasnet.cli.errors import InputError, run
from keras_nasnet.common.errors import Interrupted
from keras_nasnet.common.signals import Stopped, ignore_more
from keras_nasnet.common.terminal import open_closed_streams
from keras_nasnet.common.version import __version__

# Of damaged and of large images the commands say it themselves.
warnings.filterwarnings("ignore", module="PIL")
logging.getLogger("PIL").setLevel(logging.CRITICAL)

# Each is imported when it is asked for: inside `run`, which makes one line of a Ctrl-C in the midst of it.
COMMANDS = {
    "classify": "classify:classify_command",
    "detect": "detect:detect_group",
    "evaluate": "evaluate:evaluate_command",
    "export": "export:export_command",
    "features": "features:features_command",
    "finetune": "finetune:finetune_command",
    "search": "search:search_group",
    "train": "train:train_command",
    "zoo": "zoo:zoo_group",
}


class Commands(click.Group):
    """The group of all commands, which reports whatever goes wrong in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command; None if there is none of this name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        return getattr(importlib.import_module(f"keras_nasnet.cli.{module}"), attribute)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse empty arguments, which stand for the folder in which one is."""
        for argument in args:
            if not argument.strip() or re.fullmatch(r"--[\w-]+=\s*", argument):
                raise InputError(f"an argument is empty ({argument!r}): is a variable of the shell not set?")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Call a command; what stops it is kept from click, which has words of its own for that."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            ignore_more()
            number = error.number if isinstance(error, Stopped) else signal.SIGINT
            raise Interrupted(str(Stopped(number)), number) from None

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Run the command line, and end the process with its exit code."""
        plain: Any = super().main
        if not standalone_mode:
            return plain(*args, standalone_mode=False, **kwargs)
        open_closed_streams()
        sys.exit(run(lambda: plain(*args, standalone_mode=False, **kwargs)))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="keras-nasnet")
def main() -> None:
    """NASNet on Keras 3."""


if __name__ == "__main__":
    main(prog_name="keras-nasnet")
