"""Reading image files, and making inputs of them."""

import io
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common import images
from keras_nasnet.common.images import Preprocessing, find_images, read_image
from tests.support import ROOT, SUPPORT

RED, GREEN = (220, 30, 40), (20, 200, 60)


def two_colours(size=(48, 32)):
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, *size))
    return image


def near(pixel, colour, tolerance=12):
    return np.abs(np.subtract(pixel, colour)).max() <= tolerance


# === Formats ===


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp", "bmp", "gif"])
def test_reads_format(tmp_path, suffix):
    path = tmp_path / f"image.{suffix}"
    two_colours().save(path)
    image = read_image(path)
    assert (image.mode, image.size) == ("RGB", (48, 32))
    assert near(image.getpixel((4, 16)), RED)
    assert near(image.getpixel((44, 16)), GREEN)


def test_content_counts_not_the_ending(tmp_path):
    path = tmp_path / "image.jpg"
    two_colours().save(path, "PNG")
    assert read_image(path).getpixel((0, 0)) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = two_colours()
    upright.paste((0, 0, 255), (0, 0, 8, 8))  # marks one corner
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "image.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "image.png")), np.asarray(upright))


def test_animation_gives_first_frame(tmp_path):
    path = tmp_path / "image.gif"
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert near(read_image(path).getpixel((5, 5)), RED)


# === Modes ===


def test_grey(tmp_path):
    Image.new("L", (32, 32), 77).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").getpixel((0, 0)) == (77, 77, 77)


def test_bilevel(tmp_path):
    Image.new("1", (32, 32), 1).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_grey(tmp_path):
    ramp = np.linspace(0, 65535, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / "image.png")
    pixels = np.asarray(read_image(tmp_path / "image.png"))
    np.testing.assert_array_equal(pixels, np.repeat((ramp >> 8).astype(np.uint8)[..., None], 3, axis=-1))


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (32, 32), 0)
    image.putpalette([*RED, *GREEN])
    image.paste(1, (16, 0, 32, 32))
    image.save(tmp_path / "image.png", transparency=1)
    read = read_image(tmp_path / "image.png")
    assert read.getpixel((0, 0)) == RED
    assert read.getpixel((31, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "colour"), [("RGBA", (0, 0, 0, 128)), ("LA", (0, 128))])
def test_alpha_lies_on_white(tmp_path, mode, colour):
    Image.new(mode, (32, 32), colour).save(tmp_path / "image.png")
    assert near(read_image(tmp_path / "image.png").getpixel((0, 0)), (127, 127, 127), 1)


def test_cmyk(tmp_path):
    two_colours().convert("CMYK").save(tmp_path / "image.jpg", quality=95)
    read = read_image(tmp_path / "image.jpg")
    assert read.mode == "RGB"
    assert near(read.getpixel((4, 16)), RED)


# === Broken Files ===


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif"])
@pytest.mark.parametrize("part", [0.02, 0.5])
def test_truncated(tmp_path, suffix, part):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(buffer.getvalue()[: int(len(buffer.getvalue()) * part)])
    with pytest.raises(ValueError, match=f"cut.{suffix}") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"no image at all", bytes(5000), b"\x89PNG\r\n\x1a\n" + b"x" * 99, b"\xff\xd8" + b"y" * 99]
)
def test_garbage(tmp_path, content):
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png"):
        read_image(tmp_path / "bad.png")


def test_damaged_bytes(tmp_path):
    """Whatever bytes are flipped: an image or a ValueError that names the file."""
    generator = np.random.default_rng(1)
    for suffix in ("jpg", "png", "webp", "bmp", "gif"):
        path = tmp_path / f"damaged.{suffix}"
        two_colours().save(path)
        good = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            bad = good.copy()
            places = generator.integers(0, len(bad), 8)
            bad[places] = generator.integers(0, 256, 8)
            path.write_bytes(bad.tobytes())
            try:
                assert read_image(path).mode == "RGB"
            except ValueError as error:
                assert path.name in str(error)


def test_2000_damaged_files_are_read_or_refused_in_one_line_each(tmp_path):
    """In a process of its own, for a crash or a hang of a decoder would be the process'."""
    command = [sys.executable, SUPPORT / "damaged_images.py", "2000", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    read, refused = map(int, result.stdout.split())
    assert read + refused == 2000
    assert min(read, refused) > 200


def png_of(width, height, compressed):
    """A PNG file that promises more pixels than anyone would write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", compressed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 60_000])  # ours is the smaller limit, Pillow's own the larger
def test_a_decompression_bomb_is_refused_by_name(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png_of(side, side, zlib.compress(bytes(10_000_000))))
    with pytest.raises(ValueError, match=r"bomb\.png: refused \(.*decompression bomb") as raised:
        read_image(tmp_path / "bomb.png")
    assert "\n" not in str(raised.value)


def test_pixels_up_to_the_limit_are_read(tmp_path, monkeypatch):
    Image.new("RGB", (50, 40)).save(tmp_path / "image.png")
    monkeypatch.setattr(images, "MAX_PIXELS", 2000)
    assert read_image(tmp_path / "image.png").size == (50, 40)
    monkeypatch.setattr(images, "MAX_PIXELS", 1999)
    with pytest.raises(ValueError, match=r"50x40 are over 1,999 pixels"):
        read_image(tmp_path / "image.png")


def test_a_file_of_too_many_bytes_is_refused(tmp_path):
    path = tmp_path / "huge.jpg"
    with open(path, "wb") as file:
        file.truncate(images.MAX_BYTES + 1)  # a hole: takes no room
    with pytest.raises(ValueError, match=r"huge\.jpg: refused \(268,435,457 bytes are more than 268,435,456"):
        read_image(path)
    with open(path, "rb") as file, pytest.raises(ValueError, match="upload: refused"):
        read_image(file, "upload")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png: refused"):
        read_image(tmp_path / "pipe.png")


def test_only_the_formats_that_we_name_are_opened(tmp_path):
    two_colours().save(tmp_path / "image.eps")  # which Pillow hands to an interpreter
    with pytest.raises(ValueError, match="not an image"):
        read_image(tmp_path / "image.eps")


def test_missing_and_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.png: no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="folder"):
        read_image(tmp_path)


def test_find_images(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("b.PNG", "a.jpg", "notes.txt", "below/c.webp"):
        (tmp_path / name).touch()
    notes = tmp_path / "notes.txt"
    found = find_images([notes, tmp_path])
    assert found == [notes, tmp_path / "a.jpg", tmp_path / "b.PNG", tmp_path / "below/c.webp"]


# === Preprocessing ===


def test_scale():
    preprocessing = Preprocessing(32, 32, mean=(10, 20, 30), std=(2, 4, 5))
    batch = preprocessing(Image.new("RGB", (32, 32), (12, 28, 25)))
    assert (batch.shape, batch.dtype) == ((1, 32, 32, 3), np.float32)
    np.testing.assert_allclose(batch[0, 0, 0], [1, 2, -1])


def test_image_of_the_right_size_is_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Preprocessing(32, 32).fit(Image.fromarray(pixels)), pixels)


def test_central_crop():
    image = Image.new("RGB", (96, 32), RED)
    image.paste(GREEN, (32, 0, 64, 32))
    assert (Preprocessing(32, 32).fit(image) == GREEN).all()
    squashed = Preprocessing(32, 32, crop_fraction=None).fit(image)
    assert near(squashed[16, 2], RED) and near(squashed[16, 16], GREEN) and near(squashed[16, 29], RED)


def test_crop_fraction():
    image = Image.new("RGB", (64, 64), RED)
    image.paste(GREEN, (16, 16, 48, 48))
    assert (Preprocessing(32, 32, crop_fraction=0.5).fit(image) == GREEN).all()
    assert near(Preprocessing(32, 32, crop_fraction=1.0).fit(image)[1, 1], RED)


def test_resize_is_antialiased():
    board = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = Preprocessing(32, 32, interpolation="bilinear").fit(np.repeat(board[..., None], 3, -1))
    assert np.abs(pixels.astype(int) - 127).max() <= 3


def test_size_left_as_it_is():
    assert Preprocessing(None, None)(two_colours((50, 40))).shape == (1, 40, 50, 3)


def test_paths_arrays_and_images_agree(tmp_path):
    image = two_colours()
    image.save(tmp_path / "image.png")
    batch = Preprocessing(32, 32)([tmp_path / "image.png", image, np.asarray(image)])
    np.testing.assert_array_equal(batch[0], batch[1])
    np.testing.assert_array_equal(batch[0], batch[2])


def test_round_trip():
    preprocessing = Preprocessing(32, 40, 0.875, "bilinear", (1, 2, 3), (4, 5, 6))
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing


@pytest.mark.parametrize(
    "arguments",
    [{"interpolation": "magic"}, {"crop_fraction": 0}, {"crop_fraction": 1.1}, {"width": None}],
)
def test_refuses(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Preprocessing(**{"height": 32, "width": 32} | arguments)


def test_refuses_shapes_and_nothing():
    with pytest.raises(ValueError, match="shape"):
        Preprocessing(32, 32)(np.zeros((2, 32, 32, 4)))
    with pytest.raises(ValueError, match="at least one"):
        Preprocessing(32, 32)([])


@pytest.mark.parametrize("side", [56, 90, 224, 331])
def test_crops_never_reach_beyond_the_image(side):
    """The crop of the whole image rounds to more than the image for some sizes."""
    preprocessing = Preprocessing(side, side)
    for width in range(32, 700, 3):
        assert preprocessing.fit(np.zeros((width, width, 3), np.uint8)).shape == (side, side, 3)
