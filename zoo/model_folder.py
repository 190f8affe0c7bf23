"""A model as a folder, on this machine or on the Hub: what `publish` writes and `load` reads.

The layout is Keras' own for folders (config.json, metadata.json, model.weights.h5), so
`keras.saving.load_model` reads it too. Beside it, for people and other programs: class_names.json,
preprocessing.json, metrics.json, the model card README.md, and SHA256SUMS, which `sha256sum -c` reads.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.common import checksum
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing_folder
from keras_nasnet.zoo.formats.assign import same_weights

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

CONFIG, WEIGHTS, SUMS, CARD = "config.json", "model.weights.h5", checksum.SUMS, "README.md"
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

    keras.saving.save_model(model, folder, zipped=False)
    shutil.rmtree(folder / "assets", ignore_errors=True)  # of a NASNet always empty
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
        ValueError: if the folder holds no NASNet, or a file is missing or damaged.
    """
    checksum.check_sums(folder, (CONFIG, WEIGHTS), name)
    config = _read_config(folder / CONFIG, name)
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.zoo.formats import keras_weights

    try:
        with without_random_values():
            model = NASNet.from_config(config)
    except Exception as error:  # a config that is none raises anything
        raise ValueError(f"{name}: {CONFIG} is not a NASNet's ({one_line(error, 200)})") from None
    keras_weights.load(folder / WEIGHTS, model)
    return model


def _read_config(path: Path, name: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        found = data["registered_name"] or data["class_name"]
        config = data["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: {CONFIG} is not a model's ({one_line(error)})") from None
    # Only a NASNet is ever built: a model from elsewhere may name any code.
    if found != "keras_nasnet>NASNet" or not isinstance(config, dict) or "layers" in config:
        raise ValueError(f"{name}: holds a {found}, not a NASNet alone")
    return config
