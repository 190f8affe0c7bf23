"""Trains NASNet-A Mobile or Large on ImageNet as the paper's authors did, on one machine or on many.

    python scripts/train_imagenet.py --data-dir /data/tfds --strategy mirrored --resume

Reads `imagenet2012` through tensorflow-datasets (extra `[data]`), which `tfds build imagenet2012`
prepares once from the two archives that image-net.org gives out. `--resume` goes on from the
last checkpoint if there is one, so it can always be given.

With `--strategy multiworker` start one process on each machine, with one `--out` that all share;
the machines come from the environment variable TF_CONFIG, or from the options:

    python scripts/train_imagenet.py ... --strategy multiworker --workers a:2222,b:2222 --worker 0
"""

import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.training.recipe import STRATEGIES, get_recipe


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.option("--recipe", default="imagenet_mobile", show_default=True, help="Or imagenet_large, or a TOML file.")
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder.  [default: runs/RECIPE]")
@click.option("--strategy", type=click.Choice(STRATEGIES), default="default", show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint, if there is one.")
@click.option("--set", "assignments", metavar="NAME=VALUE", multiple=True, help="Replace a setting of the recipe.")
@click.option("--workers", metavar="HOST:PORT,...", help="Addresses of all workers, in place of TF_CONFIG.")
@click.option("--worker", type=int, default=0, help="This worker's place in --workers, from 0.")
def main(
    recipe: str,
    data_dir: str | None,
    out: Path | None,
    strategy: str,
    resume: bool,
    assignments: tuple[str, ...],
    workers: str | None,
    worker: int,
) -> None:
    with reporting_errors():
        if workers is not None:
            os.environ["TF_CONFIG"] = tf_config(workers, worker)
        chosen = get_recipe(recipe).with_settings(*assignments)
        from keras_nasnet.training.trainer import train

        result = train(chosen, out or Path("runs") / chosen.name, data_dir=data_dir, strategy=strategy, resume=resume)
    shown = result.test or result.validation
    if shown is not None:
        click.echo(f"top-1 accuracy {shown.accuracy:.4f}, top-5 {shown.accuracy_5:.4f} ({shown.examples} images)")


def tf_config(workers: str, worker: int) -> str:
    """Returns the TF_CONFIG of one of the workers, whose addresses are "host:port,host:port,..."."""
    task = {"type": "worker", "index": worker}
    return json.dumps({"cluster": {"worker": [address.strip() for address in workers.split(",")]}, "task": task})


if __name__ == "__main__":
    main()
