"""Prepares everything that the zoo publishes as a tree of folders, and uploads it.

    python scripts/publish_zoo.py --org ORG --out tree            # every entry of the catalog, nothing is uploaded
    python scripts/publish_zoo.py --org ORG --out tree --upload   # and to the Hub (HF_TOKEN)
    python scripts/publish_zoo.py --org ORG --out tree nasnet_a_cifar10 runs/found   # only these; also runs

What is not on this machine is downloaded and converted. Each folder is read back before it counts as
prepared. Run again it replaces them; downloads and conversions are kept.
"""

import sys
from pathlib import Path

import click
from tqdm import tqdm

from keras_nasnet.cli.errors import InputError
from keras_nasnet.zoo import loading
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.publishing import prepare
from keras_nasnet.zoo.sources import hub


@click.command(help=__doc__.splitlines()[0])
@click.argument("models", metavar="[NAME_OR_RUN]...", nargs=-1)
@click.option("--org", required=True, help="The organisation or user on the Hub.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="The tree: a folder for each model.")
@click.option("--upload", is_flag=True, help="Upload the folders, each in one commit.")
def main(models: tuple[str, ...], org: str, out: Path, upload: bool) -> None:
    names: dict[str, str] = {}
    try:
        for model in models or entries.names():
            name = Path(model).name.replace("_", "-")
            if name in names:
                raise ValueError(
                    f"{names[name]} and {model} would both be called {name}: rename one, or publish it alone"
                )
            names[name] = model
        for name, model in names.items():
            hub.check_target(f"{org}/{name}", None)
            loading.check(model)
    except ValueError as error:
        raise InputError(error) from None
    failed = 0
    for name, model in tqdm(names.items(), unit="model", disable=None):
        try:
            folder = prepare(model, f"{org}/{name}", out / name)
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{folder}  {size / 1e6:.1f} MB", flush=True)
            if upload:
                print(hub.upload(folder, f"{org}/{name}", None, f"Publish {name}", private=False), flush=True)
        except ValueError as error:  # the others are still done
            failed += 1
            print(f"Error: {model}: {error}", file=sys.stderr, flush=True)
    print(f"{len(names) - failed} of {len(names)} models {'published' if upload else 'prepared'}")
    if failed:
        sys.exit(2)


if __name__ == "__main__":
    main()
