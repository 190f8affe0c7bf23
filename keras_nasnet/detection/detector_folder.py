"""The folder of a detector, of a run or of an export: which files it has, and where it lies on this machine."""

import json
import os
from pathlib import Path

from keras_nasnet.common import checksum
from keras_nasnet.common.documents import read_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import write_text
from keras_nasnet.detection.data.dataset import checked_names
from keras_nasnet.zoo.sources import hub

PARAMS, CLASS_NAMES = "params.yaml", "class_names.json"
CHECKPOINTS = "checkpoint"  # an export's folder of them
RECORDS = "records"  # a run's folder of what it is trained and evaluated on
SUMS = checksum.SUMS
# All that a published detector is loaded from.
NEEDED = (
    PARAMS,
    CLASS_NAMES,
    *(f"{CHECKPOINTS}/{name}" for name in ("checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001")),
)


def locate(source: str | os.PathLike[str]) -> Path:
    """Return the folder of a detector on this machine; what lies on the Hub is downloaded.

    Args:
        source: the folder of a run or of an export, or "hf://ORG/NAME".

    Raises:
        ValueError: if there is none, or a published one is damaged.
    """
    text = os.fspath(source)
    if hub.is_address(text):
        folder = hub.download(text, (*NEEDED, SUMS))
    else:
        folder = Path(source)
        if not folder.is_dir():
            raise ValueError(f"{text}: no such folder")
    checksum.check_sums(folder, NEEDED, text)
    return folder


def is_detector(source: str | os.PathLike[str]) -> bool:
    """Return whether a path is the folder of a detector."""
    return Path(source, PARAMS).is_file()


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of classes 1, 2, ... of the network.

    Raises:
        ValueError: if the file is missing or no list of names.
    """
    path = folder / CLASS_NAMES
    try:
        return checked_names(read_json(path))
    except ValueError as error:
        text = one_line(error).removeprefix(f"{path}: ")
        raise ValueError(f"{path}: no class names ({text})") from None


def write_class_names(class_names: tuple[str, ...], folder: Path) -> None:
    """Write the names of classes 1, 2, ... of the network; the file appears when it is whole."""
    write_text(folder / CLASS_NAMES, json.dumps(list(class_names), indent=1, ensure_ascii=False) + "\n")
