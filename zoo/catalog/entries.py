"""What the catalog says: a TOML file for each set of trained weights. Imports no Keras.

The package's own files lie in catalog/. `KERAS_NASNET_CATALOG` names a folder of more; of
two entries of the same name its own is taken.
"""

import fnmatch
import os
import tomllib
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent
_FORMATS = ("keras_nasnet", "keras_h5", "slim", "timm")
TASKS = ("classification", "features")


def names() -> list[str]:
    """Returns the names in the catalog, sorted."""
    return sorted(_files())


def find(pattern: str = "*", task: str | None = None) -> list[str]:
    """Returns the names of entries, sorted.

    Args:
        pattern: which names, as in a shell: "*mobile*".
        task: "classification", or "features" for nets without their classifier; default both.

    Raises:
        ValueError: if there is no such task, or an entry is broken.
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"task is {task!r}: choose from {', '.join(TASKS)}")
    matching = fnmatch.filter(names(), pattern)
    return matching if task is None else [name for name in matching if entry(name)["task"] == task]


def entry(name: str) -> dict[str, Any]:
    """Returns what the catalog says about a model.

    Returns:
        The TOML file as a dict: "description", "task", "licence", "dataset" (what it was trained
        on, as tensorflow-datasets calls it), "parameters" (a number),
        "mult_adds" (for one image), "source" (format, place, checksum), "builder" (arguments
        of `NASNet`), "preprocessing" (of `Preprocessing`), "class_names" (a list; none without a
        classifier), "published" and "metrics" (results published, and measured by us; each a
        list); with "name", the file's, added, and a "file" of the source made absolute.

    Raises:
        ValueError: if the catalog has no such name (lists those it has), or its file is broken.
    """
    files = _files()
    if name not in files:
        raise ValueError(f"no model is called {name!r}: choose from {', '.join(sorted(files))}, or give a .keras file")
    path = files[name]
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path}: not a readable entry of the catalog ({error})") from None
    _check(path, data)
    source = data["source"]
    if "url" not in source and "repo" not in source:
        source["file"] = str((path.parent / source["file"]).resolve())
    if isinstance(data.get("class_names"), str):  # a table beside the entry: number, tab, name
        table = path.parent / data["class_names"]
        data["class_names"] = [line.split("\t")[-1] for line in table.read_text(encoding="utf-8").splitlines()]
    data.setdefault("published", [])
    data.setdefault("metrics", [])
    return {"name": name} | data | {"name": name}  # the file's name, and first


def _files() -> dict[str, Path]:
    folders = [_FOLDER]
    if more := os.environ.get("KERAS_NASNET_CATALOG"):
        if not Path(more).is_dir():
            raise ValueError(f"KERAS_NASNET_CATALOG is {more!r}: no such folder")
        folders.append(Path(more))
    return {file.stem: file for folder in folders for file in folder.glob("*.toml")}


def _check(path: Path, data: dict[str, Any]) -> None:
    required = ("description", "task", "licence", "parameters", "mult_adds", "source", "builder", "preprocessing")
    missing = [key for key in required if key not in data]
    source = data.get("source", {})
    if source.get("format") not in _FORMATS:
        missing.append(f"source.format (one of {', '.join(_FORMATS)})")
    if not {"md5", "sha256"} & source.keys():
        missing.append("source.md5 or source.sha256")
    if "url" not in source and not source.keys() >= ({"repo", "revision", "file"} if "repo" in source else {"file"}):
        missing.append("source.url, source.file, or source.repo with revision and file")
    if missing:
        raise ValueError(f"{path}: the entry has no {'; no '.join(missing)}")
