"""The command `python -m scripts.benchmarks`."""

import click

from scripts.benchmarks import detect, inference, inference_gpu, search, shared, train


@click.group()
def main() -> None:
    """Measures how fast this package is beside others; prints a table for the documentation."""


for topic in (train, search, shared, detect, inference, inference_gpu):
    main.add_command(topic.command)

if __name__ == "__main__":
    main(prog_name="python -m scripts.benchmarks")
