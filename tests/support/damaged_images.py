"""Reads damaged and hostile image files, as a program: the tests say how long it may take, and that it must not crash.

    python tests/support/damaged_images.py COUNT FOLDER [SEED]

Prints how many files were read and how many refused; ends with an error where a file does neither in one line.
"""

import io
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image, features

import keras_nasnet.cli.main  # noqa: F401  Pillow's warnings are silenced as in the commands
from keras_nasnet.common.images import Preprocessing, read_image
from tests.support.damage import damaged

SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "BMP": "bmp", "GIF": "gif", "TIFF": "tif", "AVIF": "avif"}
TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd")


def photograph(height: int = 40, width: int = 48) -> Image.Image:
    """Noise on a ramp: photographs are smooth."""
    ramp = np.linspace(0, 200, width * height * 3).reshape(height, width, 3)
    return Image.fromarray((ramp + np.random.default_rng(0).integers(0, 56, ramp.shape)).astype(np.uint8))


def originals() -> list[tuple[str, bytes]]:
    """Suffix and content of small images of every format that is read, in the forms in which it comes."""
    image = photograph()
    exif = Image.Exif()
    exif[0x0112] = 6
    grey, clear = image.convert("L"), image.convert("RGBA")
    deep = Image.fromarray((np.asarray(grey).astype(np.uint16) << 8) + 77)
    frames = [image, image.rotate(90), image.rotate(180)]
    kinds: list[tuple[Image.Image, str, dict]] = [
        (image, "JPEG", {"exif": exif}),
        (image, "JPEG", {"progressive": True, "quality": 60}),
        (grey, "JPEG", {}),
        (image.convert("CMYK"), "JPEG", {}),
        (image, "PNG", {"exif": exif}),
        (clear, "PNG", {}),
        (image.quantize(16), "PNG", {"transparency": 3}),
        (deep, "PNG", {}),
        (image, "WEBP", {"exif": exif}),
        (clear, "WEBP", {"lossless": True}),
        (image, "WEBP", {"save_all": True, "append_images": frames[1:]}),
        (image, "BMP", {}),
        (grey, "BMP", {}),
        (image.quantize(4), "BMP", {}),
        (image.quantize(16), "GIF", {}),
        (image, "GIF", {"save_all": True, "append_images": frames[1:], "transparency": 0}),
        *((image, "TIFF", {"compression": name, "exif": exif}) for name in TIFF),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (deep, "TIFF", {"compression": "tiff_lzw"}),
        (grey.convert("F"), "TIFF", {}),
        (image, "TIFF", {"save_all": True, "append_images": frames[1:]}),
    ]
    if features.check("avif"):
        kinds += [(image, "AVIF", {"exif": exif, "speed": 10}), (clear, "AVIF", {"speed": 10})]
    contents = []
    for picture, kind, options in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        contents.append((SUFFIXES[kind], buffer.getvalue()))
    return contents


def odd_exif(orientation: int, generator: np.random.Generator) -> bytes:
    """An EXIF block with a sound orientation, in any byte order, among tags that are not sound in any way."""
    order, name = ("<", b"II") if generator.random() < 0.5 else (">", b"MM")
    count = int(generator.integers(0, 8))
    entries = [struct.pack(order + "HHIHH", 274, 3, 1, orientation, 0)]
    tags = (34665, 34853, 330, 271, 282, 296, 306, 33434, 37500, 40965, 700, 513, 514, int(generator.integers(65536)))
    for _ in range(count):
        kind = int(generator.integers(0, 20))
        length = int(generator.choice([0, 1, 2, 3, 1000, 65536, 2**31 - 1, 2**32 - 1]))
        value = int(generator.choice([0, 1, 8, 9, 26, 60, 2**31, 2**32 - 1]))
        entries.append(struct.pack(order + "HHII", int(generator.choice(tags)), kind, length, value))
    generator.shuffle(entries)
    said = count + 1 + int(generator.choice([0, 0, 0, 1, 500, 60000]))
    behind = generator.bytes(int(generator.integers(0, 60)))
    return name + struct.pack(order + "HIH", 42, 8, said) + b"".join(entries) + behind


def main(count: int, folder: Path, seed: int) -> None:
    generator, contents = np.random.default_rng(seed), originals()
    fit = Preprocessing(32, 32).fit
    read = refused = 0
    for number in range(count):
        suffix, content = contents[number % len(contents)]
        path = folder / f"damaged.{suffix}"
        path.write_bytes(damaged(content, generator))
        try:
            image = read_image(path)
        except ValueError as error:
            text = str(error)
            if not text.startswith(f"{path}: ") or not text.isprintable():
                raise RuntimeError(f"file {number}: {text!r}") from error
            refused += 1
        else:
            if fit(image).shape != (32, 32, 3):
                raise RuntimeError(f"file {number}: {image}")
            read += 1
    print(read, refused)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
