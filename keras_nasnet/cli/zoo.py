"""`keras-nasnet zoo`: trained weights by name."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from keras_nasnet.cli.errors import InputError
from keras_nasnet.cli.zoo_convert import convert_command
from keras_nasnet.cli.zoo_publish import publish_command
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.run_folder import output
from keras_nasnet.common.terminal import echo, echo_json, echo_text, say
from keras_nasnet.zoo import files, loading
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.catalog.entry import Entry

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON: a line for each entry.")
_NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True)


@click.group("zoo")
def zoo_group() -> None:
    """List, fetch and check trained weights.

    Downloads lie under KERAS_HOME (~/.keras), those of the Hugging Face Hub under HF_HOME.
    HF_HUB_OFFLINE=1 forbids the network.
    """


@zoo_group.command("list")
@click.argument("pattern", default="*")
@click.option("--task", type=click.Choice(entries.TASKS), help="Only entries for this.")
@_JSON
def list_command(pattern: str, task: str | None, as_json: bool) -> None:
    """List the entries whose names match PATTERN, for example '*mobile*'.

    MB is the size of the file, or where it is not there yet of the weights as 32-bit
    floats. A top-1 accuracy with a star is published and was not measured by us.
    """
    with _reporting_errors():
        found = [entries.entry(name) for name in entries.find(pattern, task)]
        if not found:
            raise ValueError(f"no entry matches {pattern!r}: `keras-nasnet zoo list` prints all")
        rows = [_row(entry) for entry in found]
    if as_json:
        for row in rows:
            echo_json(row)
    else:
        echo_text(_table(rows))


@zoo_group.command("info")
@click.argument("name", metavar="NAME_OR_MODEL")
@_JSON
def info_command(name: str, as_json: bool) -> None:
    """Print all that the catalog says about an entry, or what a folder, a file or an address holds."""
    with _reporting_errors():
        data = loading.describe(name)
    if as_json:
        echo_json(data)
        return
    if classes := data.pop("class_names", None):
        data["classes"] = len(classes)
    for key, value in _flat(data):
        echo(f"{key:<28} {value}")


@zoo_group.command("download")
@_NAMES
@_JSON
def download_command(names: tuple[str, ...], as_json: bool) -> None:
    """Download the files of entries, and print where they are."""
    _each(names, lambda name: {"name": name, "path": str(files.path(name))}, as_json)


@zoo_group.command("backbone")
@click.argument("source", metavar="NAME_OR_MODEL")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the checkpoint and its YAML.")
def backbone_command(source: str, out: Path) -> None:
    """Write a trained network as a backbone's checkpoint for the TensorFlow Model Garden.

    NAME_OR_MODEL is a name of the catalog, hf://ORG/NAME, a folder or a file; of a detector's folder the
    backbone is taken. backbone.yaml in the folder names the checkpoint and the network, for
    `python -m keras_nasnet.detection --config_file`. Needs the extra [detection].
    """
    with _reporting_errors():
        from keras_nasnet import detection

        with output(out):
            prefix, _ = detection.write_checkpoint(source, out)
        echo(f"checkpoint {prefix}")
        echo(f"config     {out / 'backbone.yaml'}")


@zoo_group.command("verify")
@click.argument("names", metavar="[NAME_OR_MODEL...]", nargs=-1)
@_JSON
def verify_command(names: tuple[str, ...], as_json: bool) -> None:
    """Check the files of entries against their checksums; by default of all that are cached.

    Of a published folder and a .keras file their own checksums are compared. A download that is wrong
    is deleted. Exit code 2 if one was.
    """

    def verify(name: str) -> dict[str, Any]:
        paths = loading.verify(name)
        if not paths and asked:
            raise ValueError(f"{name}: not in the cache; `keras-nasnet zoo download {name}` fetches it")
        return {"name": name, "paths": [str(path) for path in paths]}

    asked = bool(names)
    _each(names or tuple(entries.names()), verify, as_json)


@zoo_group.command("clear")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All entries, and all compiled networks.")
@_JSON
def clear_command(names: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Delete what entries have in the cache; of other networks, such as NAME.keras, what was compiled for them."""
    if bool(names) == everything:
        raise InputError("name the entries whose files shall be deleted, or give --all")
    _each(
        tuple(files.clearable()) if everything else names,
        lambda name: {"name": name, "bytes_freed": files.clear(name)},
        as_json,
    )


def _each(names: tuple[str, ...], act: Callable[[str], dict[str, Any]], as_json: bool) -> None:
    """Print what `act` returns for each name; errors are printed as they come, and make the exit code 2."""
    failed = False
    for name in names:
        try:
            result = act(name)
        except ValueError as error:
            say(f"Error: {one_line(error)}")
            failed = True
            continue
        if as_json:
            echo_json(result)
            continue
        for key, value in result.items():
            for item in value if isinstance(value, list) else [value]:
                if key != "name" and item != 0:
                    echo(f"{name}  {item}" if key != "bytes_freed" else f"{name}  {item / 1e6:.1f} MB freed")
    if failed:
        raise SystemExit(2)


@contextlib.contextmanager
def _reporting_errors() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InputError(error) from None


def _row(entry: Entry) -> dict[str, Any]:
    found = files.file_on_this_machine(entry)
    results = [("measured", result) for result in entry.metrics] + [("published", result) for result in entry.published]
    how, value = next(((how, result["value"]) for how, result in results if result["name"] == "top1"), (None, None))
    return {
        "name": entry.name,
        "task": entry.task,
        "bytes": found.stat().st_size if found else 4 * entry.parameters,
        "parameters": entry.parameters,
        "mult_adds": entry.mult_adds,
        "top1": value,
        "top1_is": how,
        "licence": entry.licence,
        "cached": found is not None,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [["name", "task", "MB", "parameters", "mult-adds", "top-1", "licence", "cached"]]
    for row in rows:
        star = "*" if row["top1_is"] == "published" else " "
        lines.append(
            [
                row["name"],
                row["task"],
                f"{row['bytes'] / 1e6:.1f}",
                f"{row['parameters'] / 1e6:.2f}M",
                f"{row['mult_adds'] / 1e6:.0f}M",
                "" if row["top1"] is None else f"{100 * row['top1']:.2f} %{star}",
                row["licence"],
                "yes" if row["cached"] else "no",
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    numbers = range(2, 6)
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in numbers else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for item in value:
                yield from _flat(item, f"{prefix}{key}.")
        elif value != []:
            yield f"{prefix}{key}", value


zoo_group.add_command(convert_command)
zoo_group.add_command(publish_command)
