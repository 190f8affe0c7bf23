"""A model as a folder, on this machine or on the Hub: what `publish` writes and `load` reads.

The layout is Keras' own for folders (config.json, metadata.json, model.weights.h5), so
`keras.saving.load_model` reads it too. Beside it, for people and other programs: class_names.json,
preprocessing.json, metrics.json, the model card README.md, and SHA256SUMS, which `sha256sum -c` reads.
"""

import contextlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.common import checksum
from keras_nasnet.common.documents import read_json
from keras_nasnet.common.files import replacing_folder
from keras_nasnet.zoo.formats import saved
from keras_nasnet.zoo.formats.assign import same_weights

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

CONFIG, WEIGHTS, SUMS, CARD = saved.CONFIG, saved.WEIGHTS, checksum.SUMS, "README.md"
READ = (CONFIG, WEIGHTS, SUMS)  # all that `read` needs


def is_model_folder(path: Path) -> bool:
    """Return whether `read` may find a model there."""
    return (path / CONFIG).is_file() and (path / WEIGHTS).is_file()


def write(model: "NASNet", folder: Path, metrics: Sequence[dict[str, Any]], card: str) -> None:
    """Write a model and read it back; the folder appears then, in place of one that was written before.

    Args:
        model: a `NASNet`.
        folder: to be written.
        metrics: measured results, as the catalog has them.
        card: text of the model card.

    Raises:
        ValueError: if something else is there, it cannot be written, or another model is read back.
    """
    if folder.exists() and not (folder / SUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and is no model's folder: choose another name")
    try:
        with replacing_folder(folder) as new:
            _fill(model, new, metrics, card)
            if not same_weights(read(new, str(folder)), model):
                raise ValueError(f"{folder}: another model was read back than was written, so nothing is kept")
    except OSError as error:
        raise ValueError(f"{folder} cannot be written ({error.strerror or error})") from None


def _fill(model: "NASNet", folder: Path, metrics: Sequence[dict[str, Any]], card: str) -> None:
    import keras

    # In memory, and then as plain files: where a disk is full while HDF5 writes to it, the process ends in a
    # segmentation fault.
    keras.saving.save_model(model, folder / "model.keras")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        for name in ("metadata.json", CONFIG, WEIGHTS):
            (folder / name).write_bytes(archive.read(name))
    (folder / "model.keras").unlink()
    _write_json(folder / "class_names.json", None if model.class_names is None else list(model.class_names))
    _write_json(folder / "preprocessing.json", model.preprocessing.to_dict())
    _write_json(folder / "metrics.json", list(metrics))
    # The card may be edited later, so it has no checksum.
    checksum.write_sums(folder)
    (folder / CARD).write_text(card, encoding="utf-8")


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")


def read(folder: Path, name: str) -> "NASNet":
    """Return the model in a folder.

    Args:
        folder: that `write` or `keras.saving.save_model(..., zipped=False)` wrote. Only the
            former has checksums, which are checked before anything is parsed.
        name: of the model, for messages.

    Raises:
        ValueError: if the folder holds no NASNet, nor a model around one that is understood, or a file is missing or
            damaged.
    """
    checksum.check_sums(folder, (CONFIG, WEIGHTS), name)
    weights = folder / WEIGHTS

    @contextlib.contextmanager
    def fetch(most: int) -> Iterator[Path]:
        yield weights

    return saved.load(read_json(folder / CONFIG), name, weights.stat().st_size, fetch)
