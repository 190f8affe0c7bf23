"""Reads damaged image files, as a program: `test_images.py` says how long it may take, and that it must not crash.

    python tests/damaged_images.py COUNT FOLDER

Prints how many files were read and how many refused; ends with an error where a file does neither in one line.
"""

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import keras_nasnet.cli.main  # noqa: F401  Pillow's warnings are silenced as in the commands
from keras_nasnet.common.images import Preprocessing, read_image


def originals() -> list[tuple[str, bytes]]:
    """Suffix and content of small images: photographs are smooth, so they are noise on a ramp."""
    generator = np.random.default_rng(0)
    ramp = np.linspace(0, 200, 48 * 40 * 3).reshape(40, 48, 3)
    image = Image.fromarray((ramp + generator.integers(0, 56, ramp.shape)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray((np.asarray(image)[..., 0].astype(np.uint16) << 8) + 77)
    kinds = [
        (image, "jpg", {"exif": exif}),
        (image, "jpg", {"progressive": True, "quality": 60}),
        (image.convert("L"), "jpg", {}),
        (image.convert("CMYK"), "jpg", {}),
        (image, "png", {"exif": exif}),
        (image.convert("RGBA"), "png", {}),
        (image.quantize(16), "png", {"transparency": 3}),
        (deep, "png", {}),
    ]
    contents = []
    for picture, suffix, options in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, {"jpg": "JPEG", "png": "PNG"}[suffix], **options)
        contents.append((suffix, buffer.getvalue()))
    return contents


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """Bits flipped, bytes replaced, cut out, put in or doubled, or the end cut off; half of it near the beginning."""
    data = bytearray(content)
    for _ in range(generator.integers(1, 6)):
        end = min(len(data), 200) if generator.random() < 0.5 else len(data)
        place = int(generator.integers(max(end, 1)))
        length = int(generator.integers(1, 20))
        kind = generator.integers(6)
        if kind == 0 and data:
            data[place] ^= 1 << int(generator.integers(8))
        elif kind == 1:
            data[place : place + length] = generator.bytes(length)
        elif kind == 2:
            del data[place : place + length]
        elif kind == 3:
            data[place:place] = generator.bytes(length)
        elif kind == 4:
            data[place:place] = data[place : place + length]
        elif generator.random() < 0.3:
            del data[place:]
    return bytes(data)


def main(count: int, folder: Path) -> None:
    generator, contents = np.random.default_rng(0), originals()
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
    main(int(sys.argv[1]), Path(sys.argv[2]))
