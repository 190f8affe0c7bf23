"""The files that the catalog names: where they lie, downloaded and checked. Imports no Keras.

Files of web servers lie under `KERAS_HOME` (default ~/.keras) in models/keras_nasnet, files of
the Hugging Face Hub where huggingface_hub keeps them (`HF_HOME`). `HF_HUB_OFFLINE=1` means no
network for both. `KERAS_NASNET_MIRROR` is the address of a server that has the former under
the paths of their own servers; `HF_ENDPOINT` is that of another Hub.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keras_nasnet.common import cache, checksum
from keras_nasnet.common.home import home
from keras_nasnet.zoo.catalog.entries import entry
from keras_nasnet.zoo.sources import hub


def path(name: str) -> Path:
    """Returns the path of the file that an entry names, downloaded if it is not there, and checked.

    Raises:
        ValueError: if there is no such entry, or the file cannot be had or is not the one that
            it should be.
    """
    return fetch(entry(name))


def fetch(data: dict[str, Any]) -> Path:
    """Returns `path` for what `entry` has returned."""
    source = data["source"]
    found = cached(data)
    if found is None:
        if _offline():
            raise ValueError(f"{data['name']} is not in the cache, and HF_HUB_OFFLINE forbids to download it")
        if "url" in source:
            from keras_nasnet.zoo.sources.download import download

            found = _place(source)
            download(_address(source["url"]), found, *checksum.expected(source))
            return found  # checked
        if "repo" not in source:
            raise ValueError(f"{source['file']}: no such file")
        found = hub.download_file(source["repo"], source["file"], source["revision"])
    checksum.check(found, *checksum.expected(source), delete=_is_ours(source))
    return found


def cached(data: dict[str, Any]) -> Path | None:
    """Returns the path of an entry's file if it is on this machine; it is not checked."""
    source = data["source"]
    if "repo" in source:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source["repo"], source["file"], revision=source["revision"])
        return Path(found) if isinstance(found, str) else None
    place = _place(source) if "url" in source else Path(source["file"])
    return place if place.exists() else None


def on_this_machine(data: dict[str, Any]) -> Path | None:
    """Returns the path of an entry's file, or of its converted weights; None if `load` has to download."""
    return cached(data) or (kept(data) if kept(data).exists() else None)


def kept(data: dict[str, Any]) -> Path:
    """Returns where an entry's weights are kept in our own format after they were converted."""
    digest = checksum.expected(data["source"])[1]
    return home() / "converted" / f"{data['name']}.{digest[:8]}.safetensors"


def verify(name: str) -> list[Path]:
    """Checks the files of an entry that are on this machine; one that is wrong is deleted.

    Returns:
        The paths of the files, which are right: what was downloaded, and what was converted
        from it. None where nothing is cached.

    Raises:
        ValueError: if there is no such entry, or a file is wrong.
    """
    data = entry(name)
    right = []
    if (found := cached(data)) is not None:
        checksum.check(found, *checksum.expected(data["source"]), delete=_is_ours(data["source"]))
        right.append(found)
    if kept(data).exists():
        from keras_nasnet.zoo.formats import weights_file

        with deleted_on(weights_file.Damaged, kept(data)):
            weights_file.read(kept(data))
        right.append(kept(data))
    return right


@contextlib.contextmanager
def deleted_on(kind: type[ValueError], file: Path) -> Iterator[None]:
    """Deletes a kept file when reading it raises an error of this kind, and says so.

    Raises:
        ValueError: if it does.
    """
    try:
        yield
    except kind as error:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise ValueError(f"{error}; the file is deleted: run again to convert the weights anew") from None


def clear(name: str) -> int:
    """Deletes what an entry has in the cache, also what was compiled, or downloaded in part. Returns the bytes freed.

    What the package ships stays.

    Raises:
        ValueError: if there is no such entry, or a file cannot be deleted.
    """
    data = entry(name)
    source = data["source"]
    files = [kept(data), *kept(data).parent.glob(f"{kept(data).name}.*.tmp")]  # .tmp: of a process that was killed
    if _is_ours(source) and (found := cached(data)) is not None:
        files.append(found)
    if "url" in source:
        place = _place(source)
        files += place.parent.glob(f"{place.name}.*.part")
        files.append(place.with_name(f"{place.name}.lock"))
    try:
        return sum(checksum.remove(file) for file in files if file.exists()) + cache.clear(name)
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be deleted ({error.strerror})") from None


def _is_ours(source: dict[str, Any]) -> bool:
    """Whether the file is a download of ours, which may be deleted."""
    return "url" in source or "repo" in source


def _place(source: dict[str, Any]) -> Path:
    return home() / Path(urlsplit(source["url"]).path).name


def _address(url: str) -> str:
    mirror = os.environ.get("KERAS_NASNET_MIRROR")
    return mirror.rstrip("/") + urlsplit(url).path if mirror else url


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
