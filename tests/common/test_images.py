"""Reading image files, and making inputs of them."""

import io
import math
import os
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from keras_nasnet.common import limits
from keras_nasnet.common.images import Preprocessing, read_fitted, read_header, read_image
from tests.support import ROOT, SUPPORT
from tests.support.damaged_images import odd_exif

RED, GREEN = (220, 30, 40), (20, 200, 60)


def two_colours(size=(48, 32)):
    """Red on the left, green on the right."""
    image = Image.new("RGB", size, RED)
    image.paste(GREEN, (size[0] // 2, 0, *size))
    return image


def near(pixel, colour, tolerance=12):
    return np.abs(np.subtract(pixel, colour)).max() <= tolerance


# === Formats ===


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "jfif", "jpe", "png", "webp", "bmp", "gif", "tif", "tiff", "avif"])
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


@pytest.mark.parametrize("name", ["photo", "photo.JPG", "photo.png", "photo.txt"])
def test_a_jpeg_has_any_name_or_none(tmp_path, name):
    two_colours().save(tmp_path / name, "JPEG")
    assert near(read_image(tmp_path / name).getpixel((4, 16)), RED)


@pytest.mark.parametrize(("suffix", "mode"), [("jpg", "CMYK"), ("png", "RGBA"), ("tif", "L"), ("webp", "RGB")])
def test_a_header_says_what_is_stored(tmp_path, suffix, mode):
    exif = Image.Exif()
    exif[0x0112] = 6
    two_colours().convert(mode).save(tmp_path / f"image.{suffix}", exif=exif)
    header = read_header(tmp_path / f"image.{suffix}")
    assert header[1:] == (mode, 48, 32)
    with pytest.raises(ValueError, match=r"nowhere\.png: no such file"):
        read_header(tmp_path / "nowhere.png")


def test_of_a_file_of_several_pages_the_first_is_taken(tmp_path):
    pages = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN)]
    pages[0].save(tmp_path / "image.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "image.jpg", "MPO", save_all=True, append_images=pages[1:])
    for name in ("image.tif", "image.jpg"):
        assert near(read_image(tmp_path / name).getpixel((5, 5)), RED)


def test_heic_is_read_by_its_plug_in_or_names_it(tmp_path, monkeypatch):
    path = tmp_path / "phone.HEIC"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as where it is not installed
    with pytest.raises(ValueError, match=r"phone\.HEIC: .*pip install 'keras-nasnet\[heif\]'") as raised:
        read_image(path)
    assert "\n" not in str(raised.value)
    monkeypatch.undo()
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(two_colours((64, 64))).save(path)
    assert near(read_image(path).getpixel((4, 16)), RED)


# === EXIF ===

UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored_as(upright, orientation):
    """The pixels of a picture as a camera held otherwise stores them."""
    return upright.transpose(UNDO[orientation]) if orientation in UNDO else upright


def marked():
    picture = two_colours()
    picture.paste((0, 0, 255), (0, 0, 8, 8))  # marks one corner
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_exif_orientation(tmp_path, orientation, suffix):
    upright, path = marked(), tmp_path / f"image.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored_as(upright, orientation).save(path, exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(path)), np.asarray(upright))
    stored = np.asarray(read_image(path, upright=False))
    np.testing.assert_array_equal(stored, np.asarray(stored_as(upright, orientation)))


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_a_photograph_with_damaged_exif_is_read_and_turned(tmp_path, kind, options):
    generator = np.random.default_rng(4)
    upright = marked()
    for number in range(250):
        orientation = number % 8 + 1
        block = b"Exif\0\0" + odd_exif(orientation, generator)
        stored_as(upright, orientation).save(tmp_path / "image", kind, exif=block, **options)
        np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "image")), np.asarray(upright), f"{block!r}")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, as it writes
@pytest.mark.parametrize("kind", ["JPEG", "AVIF"])
def test_damaged_exif_in_lossy_files(tmp_path, kind):
    generator, read = np.random.default_rng(5), 0
    picture = Image.new("RGB", (48, 32), RED)
    for number in range(200 if kind == "JPEG" else 40):
        orientation = number % 8 + 1
        try:
            picture.save(tmp_path / "image", kind, exif=b"Exif\0\0" + odd_exif(orientation, generator))
        except Exception:  # Pillow writes not every one into AVIF
            continue
        for upright in (True, False):
            size = (32, 48) if upright and orientation > 4 else (48, 32)
            if kind == "JPEG" or upright:
                assert read_image(tmp_path / "image", upright=upright).size == size
        read += 1
    assert read > 30


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"II",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08",
        b"MM\0*\0\0\0\x08\xff\xff",
        b"?" * 40,
        bytes(40),
    ],
)
def test_exif_without_a_word_of_orientation(tmp_path, block):
    for suffix in ("jpg", "png", "webp"):
        two_colours().save(tmp_path / f"image.{suffix}", exif=b"Exif\0\0" + block)
        assert read_image(tmp_path / f"image.{suffix}").size == (48, 32)


def test_orientation_as_imagemagick_and_adobe_write_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    block = b"Exif\0\0" + exif.tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    two_colours().save(tmp_path / "image.png", pnginfo=text)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    two_colours().save(tmp_path / "image.jpg", xmp=xmp)
    for name in ("image.png", "image.jpg"):
        assert read_image(tmp_path / name).size == (32, 48)


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


@pytest.mark.parametrize(
    ("bits", "suffix"), [(8, "png"), (10, "png"), (12, "png"), (12, "tif"), (14, "png"), (16, "tif")]
)
def test_greys_of_fewer_bits_than_their_file_are_scaled_by_their_own(tmp_path, bits, suffix):
    """An X-ray of 12 bits is no black picture."""
    ramp = np.linspace(0, 2**bits - 1, 32 * 32).astype(np.uint16).reshape(32, 32)
    Image.fromarray(ramp).save(tmp_path / f"image.{suffix}")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / f"image.{suffix}"))[..., 1], ramp >> bits - 8)


def test_a_dark_grey_is_scaled_by_the_bits_that_its_file_states(tmp_path):
    dark = np.full((32, 32), 160, np.uint16)
    Image.fromarray(dark).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").getpixel((0, 0)) == (160, 160, 160)  # 8 bits, as far as can be seen
    content = (tmp_path / "image.png").read_bytes()
    chunk = b"sBIT\x0c"
    stated = content[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    (tmp_path / "image.png").write_bytes(stated)
    assert read_image(tmp_path / "image.png").getpixel((0, 0)) == (10, 10, 10)
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[281] = 4095  # MaxSampleValue
    Image.fromarray(dark).save(tmp_path / "image.tif", tiffinfo=info)
    assert read_image(tmp_path / "image.tif").getpixel((0, 0)) == (10, 10, 10)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 99.6, 255]], np.float32), [0, 100, 255]),
        (np.array([[0, 2048, 4095]], np.float32), [0, 128, 255]),
        (np.array([[-1000, 0, 1000]], np.float32), [0, 128, 255]),  # rounded to even
        (np.array([[-1024, -1024 + 510, -1024 + 2040]], np.int32), [0, 64, 255]),
        (np.array([[0, 2**19, 2**24 - 1]], np.int32), [0, 8, 255]),
        (np.zeros((1, 3), np.float32), [0, 0, 0]),
    ],
)
def test_greys_of_32_bits(tmp_path, values, expected):
    Image.fromarray(values).save(tmp_path / "image.tif")
    assert np.asarray(read_image(tmp_path / "image.tif"))[0, :, 0].tolist() == expected


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_negatives_are_turned(tmp_path, kind):
    """X-rays often come with white as 0."""
    values = np.array([[0, 4095 if kind is np.uint16 else 255]], kind)
    Image.fromarray(values).save(tmp_path / "image.tif")
    content = (tmp_path / "image.tif").read_bytes()
    place = content.index(b"\x06\x01\x03\0\1\0\0\0") + 8  # of PhotometricInterpretation
    (tmp_path / "image.tif").write_bytes(content[:place] + bytes(2) + content[place + 2 :])
    assert np.asarray(read_image(tmp_path / "image.tif"))[0, :, 0].tolist() == [255, 0]


def test_greys_of_12_bits_packed(tmp_path):
    head = [
        (256, 3, 2),
        (257, 3, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 122),
        (277, 3, 1),
        (278, 3, 1),
        (279, 4, 3),
    ]
    entries = b"".join(
        struct.pack("<HHIHH" if kind == 3 else "<HHII", tag, kind, 1, value, *[0] * (kind == 3))
        for tag, kind, value in head
    )
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(head)) + entries + bytes(4)
    assert len(content) == 122
    (tmp_path / "image.tif").write_bytes(content + bytes([0x0A, 0x0F, 0xFF]))  # 160 and 4095
    assert np.asarray(read_image(tmp_path / "image.tif"))[0, :, 0].tolist() == [10, 255]


def test_greys_that_are_no_numbers_are_refused(tmp_path):
    Image.fromarray(np.array([[0, np.nan]], np.float32)).save(tmp_path / "image.tif")
    with pytest.raises(ValueError, match=r"image\.tif: cannot be read \(its greys are not all finite"):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I;16B"]
)
def test_every_mode_of_pillow_becomes_rgb(mode):
    if mode in ("La", "PA", "I;16B"):
        steps = {"La": ("LA", "La"), "PA": ("P", "PA"), "I;16B": ("I", "I;16", "I;16B")}[mode]
    else:
        steps = {"RGBa": ("RGBA", "RGBa"), "I;16": ("I", "I;16")}.get(mode, (mode,))
    image = Image.new("RGB", (32, 32), "white")
    for step in steps:
        image = image.convert(step)
    assert Preprocessing(32, 32).fit(image).min() >= 254


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


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "gif", "tiff", "avif"])
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
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 2000)
    assert read_image(tmp_path / "image.png").size == (50, 40)
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 1999)
    with pytest.raises(ValueError, match=r"50x40 are over 1,999 pixels"):
        read_image(tmp_path / "image.png")


def test_a_file_of_too_many_bytes_is_refused(tmp_path):
    path = tmp_path / "huge.jpg"
    with open(path, "wb") as file:
        file.truncate(limits.IMAGE_BYTES + 1)  # a hole: takes no room
    with pytest.raises(ValueError, match=r"huge\.jpg: refused \(268,435,457 bytes are more than 268,435,456"):
        read_image(path)
    with open(path, "rb") as file, pytest.raises(ValueError, match="upload: refused"):
        read_image(file, "upload")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"pipe\.png: refused"):
        read_image(tmp_path / "pipe.png")


def test_a_line_of_pixels_without_end_is_refused(tmp_path):
    (tmp_path / "line.png").write_bytes(png_of(limits.IMAGE_LENGTH + 1, 1, zlib.compress(bytes(10))))
    with pytest.raises(ValueError, match=r"line\.png: refused \(262145x1 pixels: one side is over 262,144"):
        read_image(tmp_path / "line.png")


def test_a_jpeg_of_endless_scans_is_refused(tmp_path):
    two_colours().save(tmp_path / "image.jpg", progressive=True)
    content = (tmp_path / "image.jpg").read_bytes()
    last = content[content.rindex(b"\xff\xda") : -2]
    (tmp_path / "image.jpg").write_bytes(content[:-2] + last * limits.IMAGE_SCANS + content[-2:])
    with pytest.raises(ValueError, match=r"refused \(a JPEG of \d+ scans, over 100"):
        read_image(tmp_path / "image.jpg")


def test_files_of_endless_parts_are_refused(tmp_path, monkeypatch):
    """What takes seconds for each megabyte: segments, chunks and blocks of nothing."""
    monkeypatch.setattr(limits, "IMAGE_READS", 1000)
    two_colours().save(tmp_path / "image.png")
    two_colours().save(tmp_path / "image.jpg")
    png, jpeg = ((tmp_path / f"image.{suffix}").read_bytes() for suffix in ("png", "jpg"))
    nothing = b"\0\0\0\0tEXt" + struct.pack(">I", zlib.crc32(b"tEXt"))
    (tmp_path / "many.png").write_bytes(png[:33] + nothing * 1000 + png[33:])
    (tmp_path / "many.jpg").write_bytes(jpeg[:2] + b"\xff\xe1\0\x08Exif\0\0" * 1000 + jpeg[2:])
    (tmp_path / "junk.jpg").write_bytes(jpeg[:2] + b"\xff" + bytes(5000) + jpeg[2:])
    for name in ("many.png", "many.jpg", "junk.jpg"):
        with pytest.raises(ValueError, match=rf"{name}: refused \(its parts are too many"):
            read_image(tmp_path / name)


@pytest.mark.parametrize(
    ("tag", "kind", "value", "message"),
    [
        (273, 4, [8] * 300, "301 strips or tiles|300 strips or tiles"),
        (277, 3, 40_000, "40,000 numbers a pixel"),
        (322, 4, 2**30, "over"),
    ],
)
def test_a_tiff_of_claims_is_refused(tmp_path, monkeypatch, tag, kind, value, message):
    monkeypatch.setattr(limits, "IMAGE_TILES", 100)
    values = value if isinstance(value, list) else [value]
    entries = [(256, 4, [8]), (257, 4, [8]), (258, 3, [8]), (tag, kind, values)]
    data, behind = b"", 8 + 2 + len(entries) * 12 + 4
    for number, type_, numbers in sorted(entries):
        packed = struct.pack(f"<{len(numbers)}{'HI'[type_ - 3]}", *numbers)
        field = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", behind)
        data += struct.pack("<HHI", number, type_, len(numbers)) + field
    content = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + data + bytes(4)
    (tmp_path / "image.tif").write_bytes(content + struct.pack("<300I", *[8] * 300))
    with pytest.raises(ValueError, match=rf"image\.tif: refused \(.*({message})"):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize("suffix", ["webp", "avif"])
def test_formats_that_decode_as_they_open_are_refused_before(tmp_path, suffix, monkeypatch):
    two_colours((500, 400)).save(tmp_path / f"image.{suffix}")
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 100_000)
    with pytest.raises(ValueError, match="500x400 are over 100,000 pixels"):
        read_image(tmp_path / f"image.{suffix}")
    monkeypatch.undo()
    monkeypatch.setattr(limits, "DECODING_BYTES", 16 * 500 * 400 - 1)  # which one alone takes
    with pytest.raises(ValueError, match="500x400 are over 199,999 pixels"):
        read_image(tmp_path / f"image.{suffix}")


def test_only_the_formats_that_we_name_are_opened(tmp_path):
    two_colours().save(tmp_path / "image.eps")  # which Pillow hands to an interpreter
    with pytest.raises(ValueError, match="not an image"):
        read_image(tmp_path / "image.eps")


def test_missing_and_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.png: no such file"):
        read_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="folder"):
        read_image(tmp_path)


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


def test_an_opened_image_that_is_damaged_is_a_line(tmp_path):
    two_colours((500, 400)).save(tmp_path / "image.png")
    (tmp_path / "image.png").write_bytes((tmp_path / "image.png").read_bytes()[:300])
    with Image.open(tmp_path / "image.png") as image, pytest.raises(ValueError, match="an image: cannot be read"):
        Preprocessing(32, 32).fit(image)


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


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("height", value) for value in ("32", 0, -1, 32.5, math.nan, True, 4097, 10**400, [32])],
        *[("crop_fraction", value) for value in ("1", math.nan, -0.5, [1], True)],
        *[("interpolation", value) for value in (None, 3, ["bicubic"], "magic\n\x1b[2J")],
        *[
            ("mean", value)
            for value in (None, 0, "abc", [1, 2], [1, 2, "3"], [1, 2, math.nan], [1, 2, 10**400], [[1]] * 3)
        ],
        *[("std", value) for value in ([1, 0, 1], [1, 1, math.inf], [1, 1, None], {"a": 1})],
        *[(value, 1) for value in ("heigth", "\x1b[2J", 3)],
    ],
)
def test_hostile_settings_are_refused_in_one_line(key, value):
    with pytest.raises(ValueError) as raised:
        Preprocessing.from_dict({"height": 32, "width": 32} | {key: value})
    assert str(key).isprintable() <= (str(key) in str(raised.value))
    assert str(raised.value).isprintable() and len(str(raised.value)) < 300


@pytest.mark.parametrize("data", [None, 3, "height", [1], {}, {"height": 32}])
def test_what_are_no_settings_is_refused(data):
    with pytest.raises(ValueError, match="preprocessing"):
        Preprocessing.from_dict(data)


def test_refuses_shapes_and_nothing():
    with pytest.raises(ValueError, match="shape"):
        Preprocessing(32, 32)(np.zeros((2, 32, 32, 5)))
    with pytest.raises(ValueError, match="at least one"):
        Preprocessing(32, 32)([])


def test_very_large_images_are_reduced_as_they_are_decoded(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((800, 600), Image.Resampling.BICUBIC)
    clear = picture.convert("RGBA")
    clear.putalpha(200)
    pictures = {"jpg": picture, "png": picture, "tif": clear, "webp": picture}
    preprocessing = Preprocessing(48, 48, 0.875)
    for suffix, image in pictures.items():
        image.save(tmp_path / f"image.{suffix}")
    exact = {suffix: preprocessing.read(tmp_path / f"image.{suffix}") for suffix in pictures}
    monkeypatch.setattr(limits, "EXACT_PIXELS", 800 * 600)
    for suffix in pictures:  # not over the limit
        np.testing.assert_array_equal(preprocessing.read(tmp_path / f"image.{suffix}"), exact[suffix])
    monkeypatch.setattr(limits, "EXACT_PIXELS", 800 * 600 - 1)
    for suffix in pictures:
        reduced = preprocessing.read(tmp_path / f"image.{suffix}")
        assert not np.array_equal(reduced, exact[suffix])
        assert np.abs(reduced.astype(int) - exact[suffix]).max() <= 6


def test_threads_decode_within_one_bound(tmp_path, monkeypatch):
    two_colours((400, 300)).save(tmp_path / "image.png")
    monkeypatch.setattr(limits, "DECODING_BYTES", 8 * 400 * 300 * 2)  # two of them
    together, inside, most, lock = threading.Barrier(2, timeout=60), 0, 0, threading.Lock()

    def fit(image):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait()
        with lock:
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: read_fitted(tmp_path / "image.png", fit), range(16)))
    assert most == 2


@pytest.mark.parametrize("side", [56, 90, 224, 331])
def test_crops_never_reach_beyond_the_image(side):
    """The crop of the whole image rounds to more than the image for some sizes."""
    preprocessing = Preprocessing(side, side)
    for width in range(32, 700, 3):
        assert preprocessing.fit(np.zeros((width, width, 3), np.uint8)).shape == (side, side, 3)
