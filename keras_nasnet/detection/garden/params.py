"""A detector's experiment, which the Model Garden calls params: read, written, copied, changed and compared."""

import reprlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from official.core import exp_factory

from keras_nasnet.common import limits
from keras_nasnet.common.documents import parse_yaml, read_yaml
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import write_text
from keras_nasnet.detection.detector_folder import PARAMS
from keras_nasnet.detection.garden import experiments
from keras_nasnet.detection.garden.backbone import network_arguments


def write_params(params: Any, folder: Path) -> None:
    """Write an experiment into a folder; the file appears when it is whole."""
    write_text(folder / PARAMS, yaml.safe_dump(params.as_dict(), sort_keys=True))


def read_params(folder: Path) -> Any:
    """Return the experiment of a folder.

    Raises:
        ValueError: if there is none, or it is not one of this package.
    """
    path = folder / PARAMS
    if not path.exists():
        raise ValueError(f"{folder}: no detector in this folder (no {PARAMS})")
    try:
        params = exp_factory.get_exp_config(experiments.FASTER_RCNN)
        params.override(read_yaml(path), is_strict=True)
        _check(params.task.model)
    except (KeyError, TypeError, AttributeError, ValueError, AssertionError) as error:
        text = one_line(error).removeprefix(f"{path}: ")[:200]
        raise ValueError(f"{path}: not a detector's experiment ({text})") from None
    return params


def _check(model: Any) -> None:
    """Raise ValueError for a network that is unknown, or far larger than any that is of use."""
    network_arguments(model.backbone.get())
    size, most = model.input_size, limits.IMAGE_SIDE
    if len(size) != 3 or not all(isinstance(side, int) and 0 < side <= most for side in size):
        raise ValueError(f"its input_size is {size}: it must be height, width and channels, {most} at the most")
    wanted = {
        "num_classes": (model.num_classes, limits.NETWORK_CLASSES),
        "max_level": (model.max_level, 12),
        "decoder.fpn.num_filters": (getattr(model.decoder.get(), "num_filters", 0), limits.NETWORK_FILTERS),
        "rpn_head.num_convs": (model.rpn_head.num_convs, limits.CELL_BLOCKS),
        "rpn_head.num_filters": (model.rpn_head.num_filters, limits.NETWORK_FILTERS),
        "detection_head.num_convs": (model.detection_head.num_convs, limits.CELL_BLOCKS),
        "detection_head.num_filters": (model.detection_head.num_filters, limits.NETWORK_FILTERS),
        "detection_head.num_fcs": (model.detection_head.num_fcs, limits.CELL_BLOCKS),
        "detection_head.fc_dims": (model.detection_head.fc_dims, limits.NETWORK_FILTERS),
    }
    for name, (value, highest) in wanted.items():
        if not isinstance(value, int) or not 0 <= value <= highest:
            raise ValueError(f"its {name} is {value!r}: it must be a whole number up to {highest:,}")
    head = model.detection_head
    if 49 * max(head.num_filters, wanted["decoder.fpn.num_filters"][0]) * head.fc_dims > limits.NETWORK_PARAMETERS:
        raise ValueError(f"its detection_head has more than {limits.NETWORK_PARAMETERS:,} parameters")
    for name, value in _flat(model.as_dict()):
        many = isinstance(value, list) and len(value) > limits.SETTING_VALUES
        if many or (isinstance(value, int) and abs(value) > limits.NETWORK_CLASSES):
            raise ValueError(f"its {name} is {reprlib.repr(value)}: too large")


def copy_params(params: Any) -> Any:
    """Return an experiment of its own with the same settings, unlocked."""
    copied = exp_factory.get_exp_config(experiments.FASTER_RCNN)
    copied.override(params.as_dict(), is_strict=True)
    return copied


def without_paths(params: Any) -> Any:
    """Return a copy of an experiment without the paths of the machine that trained it."""
    copied = copy_params(params)
    copied.override(
        {
            "task": {
                "init_checkpoint": None,
                "annotation_file": None,
                "train_data": {"input_path": ""},
                "validation_data": {"input_path": ""},
            }
        },
        is_strict=True,
    )
    return copied


def override(params: Any, settings: Sequence[str]) -> None:
    """Replace settings of an experiment: "task.model.rpn_head.num_convs=2", values in YAML.

    Raises:
        ValueError: if there is no such setting, or it cannot have this value.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"a setting is NAME=VALUE, not {setting!r}")
        try:
            data: Any = parse_yaml(value, name)
            for part in reversed(name.split(".")):
                data = {part: data}
            params.override(data, is_strict=True)
            _check(params.task.model)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{setting}: no such setting or value ({one_line(error, 200)})") from None


def check_same(params: Any, folder: Path) -> None:
    """Check that the run in a folder is of this experiment.

    Raises:
        ValueError: if it is another, with the first setting that differs.
    """
    theirs, ours = (dict(_flat(each.as_dict())) for each in (read_params(folder), params))
    for name in sorted(theirs.keys() | ours.keys()):
        if name.startswith("runtime."):  # a run may go on with more GPUs or fewer
            continue
        if theirs.get(name) != ours.get(name):
            raise ValueError(
                f"{folder} holds another run: its {name} is {theirs.get(name)!r}, not {ours.get(name)!r}; "
                "give the same options, or choose another folder"
            )


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", list(value) if isinstance(value, tuple) else value
