"""The files of entries on this machine: downloaded, checked, and converted. Imports no Keras.

An entry has a source file, which is shipped with the package or downloaded; and, once `load` has converted it, a
converted file with its weights in our own format.

Files of web servers lie under `KERAS_HOME` (default ~/.keras) in models/keras_nasnet, files of
the Hugging Face Hub where huggingface_hub keeps them (`HF_HOME`). `HF_HUB_OFFLINE=1` means no
network for both. `KERAS_NASNET_MIRROR` is the address of a server that has the former under
the paths of their own servers; `HF_ENDPOINT` is that of another Hub.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_nasnet.common import cache, checksum
from keras_nasnet.common.files import leftovers
from keras_nasnet.common.home import home
from keras_nasnet.zoo.catalog.entries import canonical, entry, names
from keras_nasnet.zoo.catalog.entry import Entry
from keras_nasnet.zoo.formats.assign import Unreadable


def path(name: str) -> Path:
    """Return the path of an entry's source file, downloaded if it is not on this machine, and checked.

    Raises:
        ValueError: if there is no such entry, or the file cannot be had or is not the one that
            it should be.

    Example:
        >>> from keras_nasnet import zoo
        >>> zoo.path("nasnet_a_cifar10").name
        'nasnet_a_cifar10.safetensors'
    """
    return source_file(entry(name))


def source_file(found: Entry) -> Path:
    """Return `path` of an entry."""
    place = found.source.place
    file = place.find()
    if file is None:
        if _offline():
            raise ValueError(f"{found.name} is not in the cache, and HF_HUB_OFFLINE forbids to download it")
        return place.download(found.source.checksum)
    found.source.checksum.check(file, delete=place.is_remote)
    return file


def converted_file(found: Entry) -> Path:
    """Return where an entry's weights lie in our own format, once they are converted."""
    return home() / "converted" / f"{found.name}.{found.source.checksum.digest[:8]}.safetensors"


def file_on_this_machine(found: Entry) -> Path | None:
    """Return the path of an entry's source file, or of its converted one; None if `load` has to download."""
    converted = converted_file(found)
    return found.source.place.find() or (converted if converted.exists() else None)


def verify(name: str) -> list[Path]:
    """Check the files of an entry that are on this machine; one that is wrong is deleted.

    Returns:
        The paths of the files, which are right: the source file, and the converted one. Empty where there is none.

    Raises:
        ValueError: if there is no such entry, or a file is wrong.

    Example:
        >>> from keras_nasnet import zoo
        >>> [path.name for path in zoo.verify("nasnet_a_cifar10")]
        ['nasnet_a_cifar10.safetensors']
    """
    found, right = entry(name), []
    if (file := found.source.place.find()) is not None:
        found.source.checksum.check(file, delete=found.source.place.is_remote)
        right.append(file)
    if (converted := converted_file(found)).exists():
        from keras_nasnet.zoo.formats import weights_file

        with deleted_on(weights_file.Damaged, converted):
            weights_file.read(converted)
        right.append(converted)
    return right


@contextlib.contextmanager
def deleted_on(kind: type[ValueError], converted: Path) -> Iterator[None]:
    """Delete a converted file when reading it raises an error of this kind, and say so.

    What may not be read is somebody else's, and stays: nothing says that it is damaged.

    Raises:
        ValueError: if it does.
    """
    try:
        yield
    except Unreadable as error:
        raise ValueError(f"{error}: let its owner allow it, or let KERAS_HOME name another folder") from None
    except kind as error:
        try:
            converted.unlink()
        except FileNotFoundError:
            what = "run again to convert the weights anew"
        except OSError as unlinking:
            what = f"the file cannot be deleted ({unlinking.strerror}): let its owner do it"
        else:
            what = "the file is deleted: run again to convert the weights anew"
        raise ValueError(f"{error}; {what}") from None


def clear(name: str) -> int:
    """Delete an entry's files on this machine, also compiled networks and what broke off; return the bytes freed.

    What the package ships stays. Of a network that is no entry, such as one of a file, the compiled ones are deleted.

    Args:
        name: of an entry, or under which a network was compiled: that of its folder, or of its file without the end.

    Raises:
        ValueError: if there is nothing of this name, or a file cannot be deleted.
    """
    if canonical(name) is None and cache.has(name):
        return _without_errors(lambda: cache.clear(name))
    found = entry(name)
    converted, place = converted_file(found), found.source.place
    files = [converted, *leftovers(converted), *place.leftovers()]
    if place.is_remote and (file := place.find()) is not None:
        files.append(file)
    return _without_errors(
        lambda: sum(checksum.remove(file) for file in files if file.exists()) + cache.clear(found.name)
    )


def clearable() -> list[str]:
    """Return all names that `clear` takes: the entries, and what else has been compiled."""
    return [*names(), *sorted(cache.names() - {*names()})]


def _without_errors(delete: Callable[[], int]) -> int:
    try:
        return delete()
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be deleted ({error.strerror})") from None


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
