"""Pixels of any kind, made into red, green and blue from 0 to 255. Imports no Keras."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

_BAND = 2**20  # pixels that are converted at once
_DEPTHS = (8, 10, 12, 14, 16, 24, 32)  # bits in which greys are measured
_CHANNELS = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_TOLERANCE = 1e-3  # by which arithmetic may leave 0..255

_EXPECTED = "pixels from 0 to 255 are expected"


class _Range(NamedTuple):
    """The values that become black and (almost) white."""

    low: float
    high: float
    floor: bool  # else rounded: to (high - low) / 255 from low


def to_rgb(image: Image.Image, factor: int = 1, bits: int | None = None) -> Image.Image:
    """Returns an image in mode RGB; what is transparent becomes white.

    Greys of more than 8 bits are scaled by their range. Whole numbers: by the bits that they have, which are `bits`,
    or the fewest of 8, 10, 12, 14, 16, 24 and 32 that hold the largest. Fractions from 0 to 1 become 0 to 255; those
    from 0 to 255 stay. Everything else (negative values) is stretched from its least to its largest value.

    Args:
        image: of any mode of Pillow's.
        factor: so many pixels in a row and in a column become one.
        bits: of greys, where the file says it.

    Raises:
        ValueError: if Pillow has no such conversion, or greys are no finite numbers.
    """
    span = _range_of(image, bits) if image.mode.startswith("I") or image.mode == "F" else None
    if factor == 1 and span is None and not image.has_transparency_data:
        return image.convert("RGB")
    width, height = image.size
    result = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    for top, band in _bands(image, factor):
        band = _opaque(band) if span is None else _scaled(band, span)
        result.paste(band.reduce(factor) if factor > 1 else band, (0, top // factor))
    return result


def _bands(image: Image.Image, factor: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yields an image in bands, each with its top: copies of the whole would take its memory again."""
    rows = max(_BAND // image.width // factor, 1) * factor
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def _scaled(image: Image.Image, span: _Range) -> Image.Image:
    values = np.asarray(image).astype(np.float64) - span.low
    if span.floor:
        values = np.floor(values * (256 / (span.high - span.low)))
    else:
        values = np.rint(values * (255 / (span.high - span.low)))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8)).convert("RGB")


def _range_of(image: Image.Image, bits: int | None) -> _Range:
    bands = [np.asarray(band) for _, band in _bands(image)]
    low, high = float(min(band.min() for band in bands)), float(max(band.max() for band in bands))
    if not np.isfinite([low, high]).all():
        raise ValueError("its greys are not all finite numbers")
    if low < 0 or high >= 2.0 ** _DEPTHS[-1]:
        return _Range(low, high if high > low else low + 1, floor=False)
    if image.mode == "F" and high <= 255:
        return _Range(0, 1 if high <= 1 else 255, floor=False)
    depth = next(depth for depth in _DEPTHS if high < 2**depth)
    return _Range(0, 2.0 ** max(depth, bits or 0), floor=True)


def to_bytes(pixels: Any) -> np.ndarray:
    """Returns an array of pixels 0..255 of any type of numbers as uint8.

    Raises:
        ValueError: if the values are others: fractions that are all within 0..1 (but for an image that is black),
            negative ones, NaN or infinite ones, or larger ones, such as those of 16 bits.
    """
    pixels = np.asarray(pixels)
    if pixels.dtype == np.uint8 or pixels.size == 0:
        return pixels.astype(np.uint8, copy=False)
    if pixels.dtype.kind == "b":
        raise ValueError(f"pixels are True or False: {_EXPECTED}")
    if pixels.dtype.kind == "V" and pixels.dtype.names is None:
        pixels = pixels.astype(np.float32)  # bfloat16 and the like
    if pixels.dtype.kind not in "iuf":
        raise ValueError(f"pixels are of type {pixels.dtype}: {_EXPECTED}")
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite([low, high]).all():
        raise ValueError(f"pixels are not all finite numbers (NaN or infinity): {_EXPECTED}")
    found = f"pixels are {pixels.dtype} from {low:g} to {high:g}"
    if low < -_TOLERANCE:
        raise ValueError(f"{found}: {_EXPECTED}, not preprocessed ones")
    if high > 255 + _TOLERANCE:
        raise ValueError(f"{found}: {_EXPECTED}; scale them, 16 bits by // 256")
    if pixels.dtype.kind == "f" and 0 < high <= 1:
        raise ValueError(f"{found}: {_EXPECTED}; multiply by 255 those from 0 to 1")
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def from_array(array: Any) -> Image.Image:
    """Returns an array of pixels 0..255 as the RGB image that a file of the same picture would give.

    Args:
        array: grey (height, width), grey (height, width, 1), grey with alpha (height, width, 2), RGB (height, width,
            3) or RGBA (height, width, 4), of any type of numbers.

    Raises:
        ValueError: if it has another shape or other values.
    """
    pixels = np.asarray(array)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in _CHANNELS or 0 in pixels.shape:
        raise ValueError(
            f"an image has shape {np.shape(array)}: it must be (height, width, 3), or of a grey one (height, width)"
        )
    pixels = to_bytes(pixels)
    return to_rgb(Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def batch_from_array(array: Any) -> np.ndarray:
    """Returns an array of several images, each as `from_array` takes it, as uint8 RGB (n, height, width, 3).

    Raises:
        ValueError: if it has another shape or other values.
    """
    pixels = np.asarray(array)
    if pixels.ndim == 3:
        pixels = pixels[..., None]
    if pixels.ndim != 4 or pixels.shape[-1] not in _CHANNELS or 0 in pixels.shape[1:]:
        raise ValueError(
            f"images have shape {np.shape(array)}: it must be (n, height, width, 3), or of grey ones (n, height, width)"
        )
    pixels = to_bytes(pixels)
    if pixels.shape[-1] == 3:
        return pixels
    rgb = np.empty((*pixels.shape[:3], 3), np.uint8)
    for place, one in enumerate(pixels):
        rgb[place] = np.asarray(from_array(one))
    return rgb
