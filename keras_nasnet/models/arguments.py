"""The arguments of networks, checked against their kinds and limits before anything is built. Imports no Keras.

They may come from a file that anyone has written: nothing here costs more than a look.
"""

import math
import numbers
from collections.abc import Sequence
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.escape import shown
from keras_nasnet.genotype import CellSpec

# Weights of each operation as a multiple of filters * filters, at the least: pointwise and whole kernels.
_KERNELS = {
    "conv_1x1": 1,
    "conv_3x3": 9,
    "conv_1x3_3x1": 6,
    "conv_1x7_7x1": 14,
    "dil_conv_3x3": 9,
    "sep_conv_3x3": 2,
    "sep_conv_5x5": 2,
    "sep_conv_7x7": 2,
    "dil_sep_conv_3x3": 1,
    "dil_sep_conv_5x5": 1,
}


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number, NumPy's too, as Python's.

    Raises:
        ValueError: if it is none, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < least:
        raise ValueError(f"{name} is {shown(value)}: it must be a whole number from {least} up")
    if int(value) > most:
        raise ValueError(f"{name} is {shown(value)}: at most {most:,} are taken")
    return int(value)


def number(name: str, value: Any, least: float, below: float) -> float:
    """Return a number from `least` up, below another.

    Raises:
        ValueError: if it is none, not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} is {shown(value)}: it must be a number")
    try:
        found = float(value)
    except OverflowError:  # an integer of hundreds of digits
        found = math.inf
    if not least <= found < below:  # nor is NaN
        raise ValueError(f"{name} is {shown(value)}: it must be from {least:g} up, below {below:g}")
    return found


def truth(name: str, value: Any) -> bool:
    """Return a truth value; raises ValueError if it is none."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {shown(value)}: it must be true or false")
    return value


def one_of(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Raise ValueError unless a value is one of some."""
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ValueError(f"{name} is {shown(value)}: choose from {', '.join(map(str, choices))}")


def stage_sizes(num_blocks: int | Sequence[int]) -> tuple[int, ...]:
    """Return the normal cells at each of the three resolutions, from the paper's N or from three numbers."""
    stages = tuple(num_blocks) if isinstance(num_blocks, list | tuple) else (num_blocks,) * 3
    if len(stages) != 3 or any(isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1 for n in stages):
        raise ValueError(f"num_blocks is {shown(num_blocks)}: give N, or three numbers, each from 1 up")
    if sum(stages) > limits.NETWORK_CELLS:
        raise ValueError(f"num_blocks is {shown(num_blocks)}: at most {limits.NETWORK_CELLS:,} cells are taken")
    return tuple(map(int, stages))


def image_shape(input_shape: Sequence[int | None], channels_first: bool, smallest: int) -> tuple[int | None, ...]:
    """Return the checked shape of an image, without the batch."""
    if not isinstance(input_shape, list | tuple) or len(input_shape) != 3:
        raise ValueError(f"input_shape is {shown(input_shape)}: it must have three entries")
    shape = tuple(
        int(length) if isinstance(length, numbers.Integral) and not isinstance(length, bool) else length
        for length in input_shape
    )
    channels, sides = (shape[0], shape[1:]) if channels_first else (shape[-1], shape[:2])
    if channels is not None:
        whole("channels of input_shape", channels, 1, limits.NETWORK_FILTERS)
    for length in sides:
        if length is None:
            continue
        if not isinstance(length, int) or length < smallest:
            raise ValueError(f"input_shape is {shown(shape)}: images must be at least {smallest}x{smallest}")
        if length > limits.IMAGE_SIDE:
            raise ValueError(
                f"input_shape is {shown(shape)}: images of at most {limits.IMAGE_SIDE}x{limits.IMAGE_SIDE} are taken"
            )
    return shape


def class_names(names: Any, classes: int | None) -> tuple[str, ...] | None:
    """Return the names of classes.

    Args:
        names: a list or tuple of text. Equal names are taken: ImageNet's published lists have some.
        classes: how many there are; None where the network has no classifier.

    Raises:
        ValueError: if they are no text, or not as many as classes.
    """
    if names is None:
        return None
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ValueError(f"class_names is {shown(names)}: it must be a list of names")
    if classes is not None and len(names) != classes:
        raise ValueError(f"class_names has {len(names):,} names, but classes is {classes:,}")
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"class_names has {shown(name)}: names of classes are text")
        if len(name) > limits.NAME_CHARACTERS:
            raise ValueError(f"class_names has {shown(name)}: {len(name):,} characters are more than a name has")
    return tuple(names)


def least_parameters(cells: Sequence[tuple[CellSpec, int]], classes: int = 0) -> int:
    """Return how many weights a network has at the least, of operations of one's own none.

    Args:
        cells: each cell's wiring and filters, in order.
        classes: of the classifier; 0 where there is none.
    """
    total, channels = 0, 0
    for spec, filters in cells:
        if spec.fit_inputs:
            total += channels * filters
        for block in spec.blocks:
            for index, name in zip(block.inputs, block.operations, strict=True):
                # The width of other cell inputs is that of cells further in front.
                if index >= spec.num_inputs or (index == 0 and spec.fit_inputs):
                    total += _KERNELS.get(name, 0) * filters**2
        channels = spec.output_multipliers[0] * filters
    return total + channels * classes


def auxiliary_parameters(shape: Sequence[int | None], stem: str) -> int:
    """Return about how many weights the kernel of an auxiliary head has, which belongs to one size of images.

    Args:
        shape: height and width of the images.
        stem: of the network.
    """
    stride = 16 if stem == "imagenet" else 2  # behind the first reduction of a stage
    rows, columns = ((max(-(-(side or 0) // stride), 5) - 5) // 3 + 1 for side in shape)
    return 128 * 768 * rows * columns


def check_size(cells: Sequence[tuple[CellSpec, int]], classes: int = 0, more: int = 0) -> None:
    """Raise ValueError for a network that is larger than any that is meant.

    Args:
        cells: see `least_parameters`.
        classes: likewise.
        more: weights beside those.
    """
    blocks = sum(len(spec.blocks) for spec, _ in cells)
    if blocks > limits.NETWORK_BLOCKS:
        raise ValueError(f"the network has {blocks:,} blocks: at most {limits.NETWORK_BLOCKS:,} are taken")
    widest = max(filters for _, filters in cells)
    if widest > limits.NETWORK_FILTERS:
        raise ValueError(f"the network has {widest:,} filters: at most {limits.NETWORK_FILTERS:,} are taken")
    weights = least_parameters(cells, classes) + more
    if weights > limits.NETWORK_PARAMETERS:
        raise ValueError(
            f"the network has {weights:,} weights or more: at most {limits.NETWORK_PARAMETERS:,} are taken"
        )
