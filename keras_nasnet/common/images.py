"""Images: read from files, and made into what a model takes. Imports no Keras."""

import io
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO, TypeVar

import numpy as np
from PIL import Image

from keras_nasnet.common import decoding, limits
from keras_nasnet.common.decoding import Header, NoImage, Reduction, Refused, decoded
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import shown
from keras_nasnet.common.image_formats import open_without_waiting
from keras_nasnet.common.image_formats import sniff as sniff
from keras_nasnet.common.pixels import from_array, to_bytes
from keras_nasnet.common.pixels import to_rgb as to_rgb

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}

Result = TypeVar("Result")


def read_image(file: str | os.PathLike[str] | BinaryIO, name: str | None = None, upright: bool = True) -> Image.Image:
    """Reads an image file as RGB.

    JPEG, PNG, WebP, BMP, GIF, TIFF and AVIF are read, and HEIC where pillow-heif is installed; the content decides,
    not the name. Grey, palette and CMYK become RGB, greys of more than 8 bits by their range (see `to_rgb`); what is
    transparent becomes white; of several images in a file the first is taken. Of EXIF only the orientation counts.
    A file or image over the limits (`keras_nasnet.common.limits`) is refused before it is decoded. Threads wait for
    each other where they would need more memory than `limits.DECODING_BYTES` together.

    Args:
        file: its path, or the open file.
        name: by which messages call it; default: its path.
        upright: whether EXIF orientation is applied; else the pixels are as they lie in the file.

    Raises:
        ValueError: if the file is missing, unreadable, broken, too large, or no image; names it.
    """
    return read_fitted(file, lambda image: image, name, upright)


def read_fitted(
    file: str | os.PathLike[str] | BinaryIO,
    fit: Callable[[Image.Image], Result],
    name: str | None = None,
    upright: bool = True,
    reduction: Reduction | None = None,
) -> Result:
    """Reads an image file and returns what `fit` makes of it, within the memory that all threads share.

    Of a large image no more than the result is left when this returns.

    Args:
        file: as in `read_image`.
        fit: called with the image, RGB.
        name: as in `read_image`.
        upright: likewise.
        reduction: by which factor a very large image (`limits.EXACT_PIXELS`) of a width and height may be reduced
            as it is decoded.

    Raises:
        ValueError: as `read_image`.
    """
    with ExitStack() as held:
        with _one_line_errors(file if name is None else name):
            image = held.enter_context(decoded(held.enter_context(_opened(file)), upright, reduction))
        return fit(image)  # whose errors are its own


def read_header(file: str | os.PathLike[str] | BinaryIO, name: str | None = None) -> Header:
    """Returns what an image file says of its format, mode and size, as it is stored; nothing is decoded.

    Raises:
        ValueError: as `read_image`, as far as the beginning of the file shows it.
    """
    with _one_line_errors(file if name is None else name), _opened(file) as content:
        return decoding.read_header(content)


@contextmanager
def _one_line_errors(path: object) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: a folder, not an image") from None
    except NoImage as error:
        raise ValueError(f"{path}: {error}") from None
    except (Refused, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # or Pillow's own
        raise ValueError(f"{path}: refused ({one_line(error)})") from None
    except Exception as error:  # on damaged files Pillow's decoders raise anything
        raise ValueError(f"{path}: cannot be read ({one_line(error)})") from None


@contextmanager
def _opened(file: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """Opens a file that is not too large, and no pipe or device, which may never end."""
    if not isinstance(file, str | os.PathLike):
        _check_bytes(file.seek(0, io.SEEK_END))
        yield file
        return
    status = os.stat(file)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError
    if not stat.S_ISREG(status.st_mode):
        raise Refused("not a file: a pipe or a device")
    _check_bytes(status.st_size)
    with open(file, "rb", opener=open_without_waiting) as content:
        yield content


def _check_bytes(size: int) -> None:
    if size > limits.IMAGE_BYTES:
        raise Refused(f"{size:,} bytes are more than {limits.IMAGE_BYTES:,}")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input. Plain data that travels with the weights.

    Args:
        height: of the input in pixels, 1 to 4096; None leaves the image's size as it is.
        width: likewise.
        crop_fraction: the part of the (shorter) side that the central crop keeps; None squashes
            the whole image into the input's shape instead.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos" or "box", all antialiased.
        mean: subtracted from the pixels' red, green and blue, 0..255.
        std: by which the difference is divided, not 0.

    Raises:
        ValueError: if a value is none of these.
    """

    height: int | None
    width: int | None
    crop_fraction: float | None = 1.0
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _side(name, value))
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are both given or both None")
        if self.crop_fraction is not None and not 0 < _number("crop_fraction", self.crop_fraction) <= 1:
            raise ValueError(f"crop_fraction is {self.crop_fraction!r}: it must be above 0, at most 1")
        if not isinstance(self.interpolation, str) or self.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation is {shown(self.interpolation)}: choose from {', '.join(_RESAMPLING)}")
        object.__setattr__(self, "mean", _three_numbers("mean", self.mean))
        object.__setattr__(self, "std", _three_numbers("std", self.std))
        if 0 in self.std:
            raise ValueError(f"std is {self.std}: nothing can be divided by 0")
        for name, values, least in (("mean", self.mean, 0.0), ("std", self.std, 1 / limits.PIXEL_SCALE)):
            if not all(least <= abs(value) <= limits.PIXEL_SCALE for value in values):
                raise ValueError(f"{name} is {values}: absurd for pixels of 0 to 255")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Preprocessing":
        """Returns the preprocessing that `to_dict` gave, or a file from elsewhere holds.

        Raises:
            ValueError: if a setting is missing, unknown, or has a value that it cannot have.
        """
        if not isinstance(data, Mapping):
            raise ValueError(f"preprocessing is {shown(data)}: it must be a table of settings")
        names = [field.name for field in fields(cls)]
        for key in data:
            if key not in names:
                raise ValueError(f"preprocessing has no setting {shown(key)}: choose from {', '.join(names)}")
        for key in ("height", "width"):
            if key not in data:
                raise ValueError(f"preprocessing has no {key}: a number of pixels, or None")
        return cls(**data)

    def __call__(self, images: Any) -> np.ndarray:
        """Returns a float32 batch (n, height, width, 3).

        Args:
            images: one image or a sequence of them: paths, PIL images, or arrays of pixels 0..255, (height, width, 3),
                grey (height, width) or (height, width, 1), or RGBA (height, width, 4); or one array (n, height, width,
                channels).

        Raises:
            ValueError: if there is none, one cannot be read, or pixels are not 0..255 (`pixels.to_bytes`).
        """
        batch = as_several(images)
        if len(batch) == 0:
            raise ValueError("there is no image to preprocess: give at least one")
        return np.stack([self.scale(self.fit(image)) for image in batch])

    def fit(self, image: Any) -> np.ndarray:
        """Returns one image, as `__call__` takes it, as uint8 pixels (height, width, 3), cropped and resized.

        An array of the right size is not cropped: it has been.
        """
        if isinstance(image, str | os.PathLike):
            return self.read(image)
        if not isinstance(image, Image.Image):
            image = from_array(image)
            if image.size == (self.width, self.height):
                return np.asarray(image)
        else:
            with _one_line_errors("an image"):  # one that is opened may not be read yet
                image.load()
                if image.mode != "RGB" or image.has_transparency_data:
                    image = to_rgb(image)
        return self._cropped(image)

    def _cropped(self, image: Image.Image) -> np.ndarray:
        if self.height is None or self.width is None:
            return np.asarray(image)
        width, height = image.size
        box = (0.0, 0.0, float(width), float(height))
        if self.crop_fraction is not None:
            scale = min(width / self.width, height / self.height) * self.crop_fraction
            # The product may round to more than there is.
            crop_width, crop_height = min(self.width * scale, width), min(self.height * scale, height)
            left, top = (width - crop_width) / 2, (height - crop_height) / 2
            box = (left, top, left + crop_width, top + crop_height)
        if (width, height) != (self.width, self.height) or box != (0, 0, width, height):
            image = image.resize((self.width, self.height), _RESAMPLING[self.interpolation], box=box)
        return np.asarray(image)

    def read(self, file: str | os.PathLike[str] | BinaryIO, name: str | None = None) -> np.ndarray:
        """Returns what `fit` makes of an image file.

        Threads that call this hold no more memory together than `limits.DECODING_BYTES`, and images of more than
        `limits.EXACT_PIXELS` are reduced as they are decoded, to no less than twice what is wanted.

        Args:
            file: its path, or the open file.
            name: by which messages call it; default: its path.

        Raises:
            ValueError: as `read_image`.
        """
        return read_fitted(file, self._cropped, name, reduction=self._reduction)

    def _reduction(self, width: int, height: int) -> int:
        if self.height is None or self.width is None:
            return 1
        return int(min(width, height) * (self.crop_fraction or 1) / max(self.width, self.height) / 2)

    def scale(self, pixels: np.ndarray) -> np.ndarray:
        """Returns pixels 0..255 as the model's float32 values."""
        return (pixels.astype(np.float32) - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)


def as_several(images: Any) -> Any:
    """Returns one image or several, as `Preprocessing` takes them, as several.

    An array of several is judged as a whole: in a film whose pixels are fractions from 0 to 255, one dark frame may
    hold none above 1.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    dimensions = len(getattr(images, "shape", ()))
    if dimensions in (2, 3):
        return [images]
    return to_bytes(images) if dimensions == 4 else images


def _side(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= limits.IMAGE_SIDE:
        raise ValueError(f"{name} is {shown(value)}: it must be a number of pixels, 1 to {limits.IMAGE_SIDE}")
    return int(value)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise ValueError(f"{name} is {shown(value)}: it must be a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name} is {shown(value)}: it must be a finite number")
    return number


def _three_numbers(name: str, value: Any) -> tuple[float, float, float]:
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"{name} is {shown(value)}: it must be three numbers, for red, green and blue")
    red, green, blue = (_number(name, part) for part in value)
    return red, green, blue
