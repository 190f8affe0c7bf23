"""The catalog: a TOML file for each set of trained weights. Imports no Keras.

The package's own files lie in catalog/. `KERAS_NASNET_CATALOG` names a folder of more; of
two entries of the same name its own is taken.
"""

import fnmatch
import os
from pathlib import Path

from keras_nasnet.common.documents import read_toml
from keras_nasnet.common.escape import shown
from keras_nasnet.zoo.catalog.entry import Entry, read_entry

_FOLDER = Path(__file__).parent
TASKS = ("classification", "features")
# Names of other code, lower case, for the entry that `weights="imagenet"` takes there.
ALIASES = {
    "nasnetmobile": "nasnet_a_mobile_keras",
    "nasnet_mobile": "nasnet_a_mobile_keras",
    "nasnetlarge": "nasnet_a_large_slim",
    "nasnet_large": "nasnet_a_large_slim",
    "nasnetalarge": "nasnet_a_large_timm",
}


def names() -> list[str]:
    """Return the names in the catalog, sorted."""
    return sorted(_files())


def canonical(name: str) -> str | None:
    """Return the name of an entry by its name or an alias, such as "NASNetMobile"; None where there is none."""
    known = _files()
    return name if name in known else ALIASES.get(name.lower())


def find(pattern: str = "*", task: str | None = None) -> list[str]:
    """Return the names of entries, sorted.

    Args:
        pattern: which names, as in a shell: "*mobile*".
        task: "classification", or "features" for networks without their classifier; default: both.

    Raises:
        ValueError: if there is no such task, or an entry is broken.

    Example:
        >>> from keras_nasnet import zoo
        >>> zoo.list("*cifar10*")
        ['nasnet_a_cifar10', 'nasnet_a_cifar10_64']
        >>> zoo.list("*mobile*", task="features")
        ['nasnet_a_mobile_keras_no_top']
    """
    if task is not None and task not in TASKS:
        raise ValueError(f"task is {task!r}: choose from {', '.join(TASKS)}")
    matching = fnmatch.filter(names(), pattern)
    return matching if task is None else [name for name in matching if entry(name).task == task]


def entry(name: str) -> Entry:
    """Return what the catalog says about a set of trained weights.

    Raises:
        ValueError: if the catalog has no such name (lists those it has), or its file is broken.

    Example:
        >>> from keras_nasnet import zoo
        >>> entry = zoo.info("nasnet_a_mobile_keras")
        >>> entry.description
        'NASNet-A 4 @ 1056 for ImageNet, of keras.applications'
        >>> entry.published[0]["value"]
        0.74366
        >>> entry.to_dict()["source"]["format"]
        'keras_h5'
    """
    files = _files()
    found = canonical(name)
    if found is None or found not in files:
        raise ValueError(
            f"no model is called {shown(name)}: choose from {', '.join(sorted(files))}, or give a .keras file"
        )
    path = files[found]
    try:
        data = read_toml(path)
    except ValueError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: not a readable entry of the catalog ({reason})") from None
    return read_entry(path, data)


def _files() -> dict[str, Path]:
    folders = [_FOLDER]
    if more := os.environ.get("KERAS_NASNET_CATALOG"):
        if not Path(more).is_dir():
            raise ValueError(f"KERAS_NASNET_CATALOG is {more!r}: no such folder")
        folders.append(Path(more))
    return {file.stem: file for folder in folders for file in folder.glob("*.toml")}
