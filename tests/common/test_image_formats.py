"""What is an image, by its first bytes."""

import io
import os
import struct

import pytest
from PIL import Image, TiffImagePlugin

from keras_nasnet.common.image_formats import sniff


def encoded(kind, **options):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF"])
@pytest.mark.parametrize("name", ["image", "image.jfif", "IMAGE.JPG", "notes.txt"])
def test_content_decides(tmp_path, kind, name):
    (tmp_path / name).write_bytes(encoded(kind))
    assert sniff(tmp_path / name) == kind


def test_big_tiff(tmp_path):
    (tmp_path / "image.tif").write_bytes(encoded("TIFF", big_tiff=True))
    assert sniff(tmp_path / "image.tif") == "TIFF"


@pytest.mark.parametrize(
    ("brands", "expected"),
    [
        (["heic", "mif1"], "HEIF"),
        (["mif1", "mif1", "heic"], "HEIF"),
        (["mif1", "avif", "miaf"], "AVIF"),
        (["avis", "avif"], "AVIF"),
        (["isom", "mp41"], None),  # a film
        (["M4A ", "avif"], None),
    ],
)
def test_brands_of_the_container(tmp_path, brands, expected):
    box = b"ftyp" + brands[0].encode() + bytes(4) + "".join(brands[1:]).encode()
    (tmp_path / "image").write_bytes(struct.pack(">I", len(box) + 4) + box + bytes(100))
    assert sniff(tmp_path / "image") == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"B",
        b"BM",
        b"BMW drivers",
        b"%!PS-Adobe-3.0 EPSF",
        b"%PDF-1.7",
        b"<svg/>",
        b"II*",
        b"\xff\xd8",
        b"RIFF1234WAVE",
    ],
)
def test_other_files_are_none(tmp_path, content):
    (tmp_path / "image.png").write_bytes(content)
    assert sniff(tmp_path / "image.png") is None


@pytest.mark.parametrize("tags", [{50706: b"\1\4\0\0"}, {254: 1, 330: 8}])
@pytest.mark.parametrize("big", [False, True])
def test_raw_files_of_cameras_are_none(tmp_path, tags, big):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info.tagtype[tag] = {bytes: 1, int: 4}[type(value)]
        info[tag] = value
    content = encoded("TIFF", tiffinfo=info, big_tiff=big)
    (tmp_path / "image.dng").write_bytes(content)
    assert sniff(tmp_path / "image.dng") is None
    (tmp_path / "image.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(100))
    assert sniff(tmp_path / "image.cr2") is None


def test_a_thumbnail_flag_alone_makes_no_raw_file(tmp_path):
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[254] = 1
    (tmp_path / "image.tif").write_bytes(encoded("TIFF", tiffinfo=info))
    assert sniff(tmp_path / "image.tif") == "TIFF"


def test_what_is_no_regular_file_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for path in (
        tmp_path,
        tmp_path / "pipe.jpg",
        tmp_path / "dangling.jpg",
        tmp_path / "loop.jpg",
        "/dev/zero",
        "a\0b",
    ):
        assert sniff(path) is None


def test_links_are_followed(tmp_path):
    (tmp_path / "image").write_bytes(encoded("PNG"))
    (tmp_path / "link").symlink_to("image")
    assert sniff(tmp_path / "link") == "PNG"
