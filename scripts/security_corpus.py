"""Reads hostile and damaged inputs of every format that is read, and prints the counts of docs/security.md.

    python -m scripts.security_corpus --count 500

Each input must give a result or an error of one line: no traceback, no crash, no hang, no file outside of its folder,
no more memory than a limit. `tests/security` says how inputs are made and read. Formats whose reader is not installed
are named. Ends with 1 if there is a fault.
"""

import datetime
import platform
import sys
import tempfile
from pathlib import Path

import click

from keras_nasnet.common.version import __version__
from tests.security.corpus import run, summary
from tests.security.formats import FORMATS, is_installed


@click.command()
@click.option("--count", default=500, show_default=True, help="Inputs of each format.")
@click.option("--first", default=0, show_default=True, help="Number of the first; the seed of each is its number.")
@click.option("--format", "names", multiple=True, type=click.Choice(list(FORMATS)), help="Default: all.")
def main(count: int, first: int, names: tuple[str, ...]) -> None:
    """Print a table of what came of the corpus."""
    faults = []
    print(f"keras-nasnet {__version__}, Python {platform.python_version()}, {datetime.date.today()}\n")
    print("| format | inputs | read | refused | faults |\n|---|---:|---:|---:|---:|")
    for name in names or FORMATS:
        if not is_installed(name):
            print(f"| {name} | not installed | | | |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            counts = run(name, count, Path(folder), first)
        print(f"| {name} | {count:,} | {counts.read:,} | {counts.refused:,} | {len(counts.faults):,} |", flush=True)
        if counts.faults:
            print(summary(counts.faults), file=sys.stderr, flush=True)
        faults += counts.faults
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
