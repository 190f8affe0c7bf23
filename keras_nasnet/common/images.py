"""Images: read from files, and made into what a model takes. Imports no Keras."""

import io
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_nasnet.common.image_formats import sniff as sniff

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")

# What a file may ask of the machine, whoever sent it: the largest photographs stay well below both.
MAX_BYTES = 2**28  # 256 MiB
MAX_PIXELS = 2**27  # 134 million, 400 MB when decoded

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # and none of Pillow's others: EPS, say, starts an interpreter

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def read_image(file: str | os.PathLike[str] | BinaryIO, name: str | None = None, upright: bool = True) -> Image.Image:
    """Reads an image file as RGB.

    Grey, palette and CMYK become RGB; what is transparent becomes white; of an animation the first frame is taken.
    A file of more than `MAX_BYTES`, or an image of more than `MAX_PIXELS` (a decompression bomb), is refused before
    it is decoded.

    Args:
        file: its path, or the open file.
        name: by which messages call it; default: its path.
        upright: whether EXIF orientation is applied; else the pixels are as they lie in the file.

    Raises:
        ValueError: if the file is missing, unreadable, broken, too large, or no image; names it.
    """
    path = name or file
    try:
        _check_file(file)
        with Image.open(file, formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _Refused(f"a decompression bomb? {image.width}x{image.height} are over {MAX_PIXELS:,} pixels")
            image.load()
            return to_rgb(ImageOps.exif_transpose(image) if upright else image)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ValueError(f"{path}: a folder, not an image") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image (JPEG, PNG, WebP, BMP or GIF)") from None
    except (_Refused, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # or Pillow's own
        raise ValueError(f"{path}: refused ({_one_line(error)})") from None
    # Pillow's decoders raise all of these on damaged files.
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, OverflowError, EOFError, MemoryError) as error:
        raise ValueError(f"{path}: cannot be read ({_one_line(error)})") from None


class _Refused(Exception):
    """A file asks for more than it may."""


def _check_file(file: str | os.PathLike[str] | BinaryIO) -> None:
    """Raises _Refused for a file that is too large, and for a pipe or a device, which may never end."""
    if isinstance(file, str | os.PathLike):
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise _Refused("not a file: a pipe or a device")
        size = status.st_size
    else:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
    if size > MAX_BYTES:
        raise _Refused(f"{size:,} bytes are more than {MAX_BYTES:,}")


def to_rgb(image: Image.Image) -> Image.Image:
    """Returns an image in mode RGB; what is transparent becomes white."""
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey: Pillow would clip it
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Returns the given files, and the images below the given folders in order of name."""
    found = []
    for path in map(Path, paths):
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        else:
            found.append(path)
    return found


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a model's input. Plain data that travels with the weights.

    Args:
        height: of the input in pixels; None leaves the image's size as it is.
        width: likewise.
        crop_fraction: the part of the (shorter) side that the central crop keeps; None squashes
            the whole image into the input's shape instead.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos" or "box", all antialiased.
        mean: subtracted from the pixels' red, green and blue, 0..255.
        std: by which the difference is divided.
    """

    height: int | None
    width: int | None
    crop_fraction: float | None = 1.0
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (127.5, 127.5, 127.5)

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ValueError(f"interpolation is {self.interpolation!r}: choose from {', '.join(_RESAMPLING)}")
        if (self.height is None) != (self.width is None):
            raise ValueError("height and width are both given or both None")
        if self.crop_fraction is not None and not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction is {self.crop_fraction!r}: it must be above 0, at most 1")
        object.__setattr__(self, "mean", tuple(float(value) for value in self.mean))
        object.__setattr__(self, "std", tuple(float(value) for value in self.std))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Preprocessing":
        return cls(**data)

    def __call__(self, images: Any) -> np.ndarray:
        """Returns a float32 batch (n, height, width, 3).

        Args:
            images: one image or a sequence of them: paths, PIL images, or arrays
                (height, width, 3) of pixels 0..255; or one array (n, height, width, 3).
        """
        single = isinstance(images, str | os.PathLike | Image.Image) or (
            hasattr(images, "shape") and len(images.shape) == 3
        )
        batch: Sequence[Any] = [images] if single else images
        if len(batch) == 0:
            raise ValueError("there is no image to preprocess: give at least one")
        return np.stack([self.scale(self.fit(image)) for image in batch])

    def fit(self, image: Any) -> np.ndarray:
        """Returns one image as uint8 pixels (height, width, 3), cropped and resized."""
        if isinstance(image, str | os.PathLike):
            image = read_image(image)
        elif not isinstance(image, Image.Image):
            pixels = np.asarray(image)
            if pixels.ndim != 3 or pixels.shape[-1] != 3:
                raise ValueError(f"an image has shape {pixels.shape}: it must be (height, width, 3)")
            if (pixels.shape[0], pixels.shape[1]) == (self.height, self.width) or self.height is None:
                return pixels
            image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
        image = to_rgb(image)
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

    def scale(self, pixels: np.ndarray) -> np.ndarray:
        """Returns pixels 0..255 as the model's float32 values."""
        return (pixels.astype(np.float32) - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
