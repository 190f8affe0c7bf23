"""Image files that nobody vouches for: decoded within limits of size, memory and work."""

import ctypes
import io
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, NamedTuple

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from keras_nasnet.common import exif, limits
from keras_nasnet.common.image_formats import FORMATS_TEXT, HEAD, format_of
from keras_nasnet.common.memory import MemoryBound
from keras_nasnet.common.pixels import to_rgb

DECODING = MemoryBound(lambda: limits.DECODING_BYTES)  # of all threads

ORIENTATION = "orientation of the file"  # of `Image.info`: EXIF's, 1 to 8, applied to the pixels or not

Reduction = Callable[[int, int], int]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _SAMPLES, _LARGEST = 256, 257, 258, 262, 273, 277, 281
_TILE_WIDTH, _TILE_HEIGHT, _TILES = 322, 323, 324
_TIFF_TAGS = (_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _STRIPS, _SAMPLES, _LARGEST, _TILE_WIDTH, _TILE_HEIGHT, _TILES, 274)


_MOST_SAMPLES = 6  # that Pillow takes: four colours and two more


def _hush_libtiff() -> None:
    """What is wrong with a TIFF is said by an error; libtiff writes it to the terminal as well, unless it is told."""
    try:
        # The library that Pillow is linked with, under whatever name it was packed.
        set_handler = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):  # linked statically, or Pillow without TIFF
        return
    set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
    set_handler(None)


_hush_libtiff()


class Refused(Exception):
    """A file asks for more than it may."""


class NoImage(Exception):
    """A file is none of the formats that are read."""


@contextmanager
def decoded(file: BinaryIO, upright: bool = True, reduction: Reduction | None = None) -> Iterator[Image.Image]:
    """Decodes an image as RGB, and holds its part of the memory for images while the block runs.

    Args:
        file: an open file, read from its beginning.
        upright: whether EXIF orientation is applied.
        reduction: by how much an image of this width and height may be reduced as it is decoded: so many pixels in a
            row and in a column become one. Images of up to `limits.EXACT_PIXELS` are not.

    Raises:
        NoImage: if it is none of our formats.
        Refused: if it is over a limit.
        Exception: Pillow's decoders raise anything on damaged files.
    """
    file.seek(0)
    kind = format_of(file.read(HEAD))
    if kind is None:
        raise NoImage(f"not an image ({FORMATS_TEXT})")
    with ExitStack() as held:
        metered = _Metered(file)
        said = _LOOKS[kind](file) if kind in _LOOKS else _Said()
        if said.whole:
            held.enter_context(DECODING.hold(said.whole))
        image = held.enter_context(_open(metered, kind))
        check_size(image.width, image.height)
        if not said.whole:
            held.enter_context(DECODING.hold(_bytes_needed(image) + said.extra * image.width * image.height))
        if image.info.get("progressive"):
            _check_scans(file)
        factor = 1
        if reduction is not None and image.width * image.height > limits.EXACT_PIXELS:
            factor = max(reduction(image.width, image.height), 1)
        if factor > 1 and kind == "JPEG":
            factor = factor // _draft(image, factor)
        image.load()
        turn = said.turn or exif.orientation(image.info)
        rgb = to_rgb(image, factor, said.bits)
        if said.white_is_0 and (image.mode.startswith("I") or image.mode == "F"):  # Pillow turns 8 bits itself
            rgb = ImageOps.invert(rgb)
        image.close()  # its memory is free again
        rgb.info[ORIENTATION] = turn
        if upright and turn in _TURNS:
            rgb = rgb.transpose(_TURNS[turn])
        yield rgb


def _open(metered: "_Metered", kind: str) -> ImageFile.ImageFile:
    metered.seek(0)
    if kind != "JPEG":
        return _READERS[kind](metered) if kind in _READERS else _heif(metered)
    whole, metered.bytes = metered.bytes, limits.IMAGE_HEADER_BYTES
    image = _Jpeg(metered)
    metered.bytes = whole
    return image


def _draft(image: ImageFile.ImageFile, factor: int) -> int:
    """Has a JPEG decoded at 1/2, 1/4 or 1/8 of its size, as far as `factor` allows it; returns which."""
    width = image.width
    image.draft(None, (max(width // factor, 1), max(image.height // factor, 1)))
    return round(width / image.width)


class Header(NamedTuple):
    """What a file says of its image; nothing is decoded.

    Args:
        format: as Pillow calls it.
        mode: of the pixels as they are stored, likewise.
        width: of them as they are stored.
        height: likewise.
    """

    format: str
    mode: str
    width: int
    height: int


def read_header(file: BinaryIO) -> Header:
    """Returns what a file says of its image.

    Raises:
        NoImage: as `decoded`.
        Refused: likewise.
        Exception: likewise.
    """
    file.seek(0)
    kind = format_of(file.read(HEAD))
    if kind is None:
        raise NoImage(f"not an image ({FORMATS_TEXT})")
    if kind in _LOOKS:
        _LOOKS[kind](file)
    with _open(_Metered(file), kind) as image:
        check_size(image.width, image.height)
        return Header(kind, image.mode, image.width, image.height)


def check_size(width: int, height: int, most: int | None = None) -> None:
    """Raises Refused for an image of more than `most` pixels, or `limits.IMAGE_PIXELS`."""
    most = limits.IMAGE_PIXELS if most is None else most
    if width * height > most:
        raise Refused(f"a decompression bomb? {width}x{height} are over {most:,} pixels")
    if max(width, height) > limits.IMAGE_LENGTH:
        raise Refused(f"{width}x{height} pixels: one side is over {limits.IMAGE_LENGTH:,}")


def _bytes_needed(image: ImageFile.ImageFile) -> int:
    """Returns how much memory it takes to decode an opened image and to make RGB of it."""
    each = 8  # measured: Pillow takes four bytes a pixel for most modes, and four for the RGB image
    if image.info.get("progressive"):
        each += 6  # its coefficients, two bytes each
    return each * image.width * image.height


def _check_scans(file: BinaryIO) -> None:
    """Raises Refused for a JPEG of very many scans, each of which takes the time of the whole image."""
    file.seek(0)
    found, last = 0, b""
    while block := file.read(2**20):
        found += (last + block).count(b"\xff\xda")
        last = block[-1:]
    if found > limits.IMAGE_SCANS:
        raise Refused(f"a JPEG of {found:,} scans, over {limits.IMAGE_SCANS}")


class _Metered:
    """A file that lets itself be read so often, and so many times over: small files can ask for endless work."""

    def __init__(self, file: BinaryIO):
        self._file = file
        size = file.seek(0, io.SEEK_END)
        self.reads = limits.IMAGE_READS + size // 256
        self.bytes = limits.IMAGE_HEADER_BYTES + 8 * size
        self.seek, self.tell = file.seek, file.tell

    def read(self, count: int = -1) -> bytes:
        content = self._file.read(count)
        self.reads -= 1
        self.bytes -= len(content)
        if self.reads < 0 or self.bytes < 0:
            raise Refused("its parts are too many, or overlap")
        return content

    def close(self) -> None:
        """Leave it to whom the file belongs."""

    def __getattr__(self, name: str) -> Any:  # such as fileno, by which libtiff reads
        return getattr(self._file, name)


# === What a file says of itself, read before Pillow sees it ===


class _Said(NamedTuple):
    """What is known before a file is opened.

    Args:
        bits: of its greys, where it says so.
        turn: its orientation, where that is no matter of EXIF.
        whole: bytes of memory for a format that is decoded as it is opened; 0 for the others.
        extra: bytes a pixel that its decoder needs besides.
        white_is_0: whether its greys are those of a negative.
    """

    bits: int | None = None
    turn: int = 0
    whole: int = 0
    extra: int = 0
    white_is_0: bool = False


def _look_at_png(file: BinaryIO) -> _Said:
    """How many bits count (chunk sBIT), which stands among the first chunks."""
    place = 8
    for _ in range(16):
        file.seek(place)
        head = file.read(12)
        if len(head) < 12 or head[4:8] == b"IDAT":
            break
        if head[4:8] == b"sBIT":
            return _Said(bits=head[8])
        place += 12 + int.from_bytes(head[:4], "big")
    return _Said()


def _look_at_tiff(file: BinaryIO) -> _Said:
    tags = exif.read_tags(file, _TIFF_TAGS)

    def first(tag: int, otherwise: int) -> int:
        return tags[tag].values[0] if tag in tags and tags[tag].values else otherwise

    check_size(first(_WIDTH, 1), first(_HEIGHT, 1))
    for tag in (_STRIPS, _TILES):
        if tag in tags and tags[tag].number > limits.IMAGE_TILES:
            raise Refused(f"{tags[tag].number:,} strips or tiles are over {limits.IMAGE_TILES:,}")
    check_size(first(_TILE_WIDTH, 1), first(_TILE_HEIGHT, 1))
    if first(_SAMPLES, 1) > _MOST_SAMPLES:
        raise Refused(f"{first(_SAMPLES, 1):,} numbers a pixel are over {_MOST_SAMPLES}")
    bits, largest = first(_BITS, 1), first(_LARGEST, 0)
    known = bits if 8 < bits < 16 else largest.bit_length() if bits > 8 and largest > 255 else None
    turn = first(exif.ORIENTATION, 1)
    return _Said(
        bits=known,
        turn=turn if turn in _TURNS else 1,
        extra=-(-max(bits, 8) // 8) * first(_SAMPLES, 1),  # a strip may hold the whole image, and has its own bytes
        white_is_0=first(_PHOTOMETRIC, 1) == 0,
    )


def _look_at_webp(file: BinaryIO) -> _Said:
    file.seek(0)
    head = file.read(30)
    width = height = 0
    if head[12:16] == b"VP8X" and len(head) == 30:
        width, height = (1 + int.from_bytes(head[place : place + 3], "little") for place in (24, 27))
    elif head[12:16] == b"VP8L" and len(head) == 30:
        size = int.from_bytes(head[21:25], "little")
        width, height = (size & 0x3FFF) + 1, (size >> 14 & 0x3FFF) + 1
    elif head[12:16] == b"VP8 " and len(head) == 30:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", head, 26))
    return _whole(file, width, height)


def _look_at_container(file: BinaryIO) -> _Said:
    """AVIF and HEIC: the largest of the sizes that it holds, of the image, its tiles and thumbnails."""
    file.seek(0)
    head = file.read(2**16)
    sizes = [struct.unpack_from(">II", head, found.end() + 4) for found in re.finditer(b"ispe", head[:-16])]
    return _whole(file, *max(sizes, key=lambda size: size[0] * size[1], default=(0, 0)))


def _whole(file: BinaryIO, width: int, height: int) -> _Said:
    most = min(limits.IMAGE_PIXELS, limits.DECODING_BYTES // _WHOLE)
    check_size(width, height, most)
    pixels = width * height or most  # who says nothing decodes alone
    return _Said(whole=_WHOLE * pixels + 2 * file.seek(0, io.SEEK_END))


_WHOLE = 16  # bytes a pixel of formats that are decoded in one piece; measured: WebP 16, AVIF 10

_LOOKS: dict[str, Callable[[BinaryIO], _Said]] = {
    "PNG": _look_at_png,
    "TIFF": _look_at_tiff,
    "WEBP": _look_at_webp,
    "AVIF": _look_at_container,
    "HEIF": lambda file: _look_at_container(file)._replace(turn=1),  # its reader has turned it
}


# === Pillow's readers, which would parse all of EXIF ===


class _NoExif:
    def getexif(self) -> Image.Exif:
        return Image.Exif()


class _Jpeg(_NoExif, JpegImagePlugin.JpegImageFile):
    """Of a file of several images (MPO) the first."""


class _Tiff(_NoExif, TiffImagePlugin.TiffImageFile):
    """As it is stored: not turned as it is loaded."""

    def _setup(self) -> None:
        super()._setup()
        self._size = self.tag_v2[_WIDTH], self.tag_v2[_HEIGHT]

    def load_end(self) -> None:
        pass


class _Avif(AvifImagePlugin.AvifImageFile):
    """Takes the container's own orientation where EXIF cannot be parsed."""

    def _open(self) -> None:
        try:
            super()._open()
        except Exception:
            decoder = getattr(self, "_decoder", None)
            if decoder is None:
                raise
            turn = decoder.get_info()[5]
            self.info["exif"] = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHII", exif.ORIENTATION, 4, 1, turn)
            self.seek(0)


def _heif(metered: _Metered) -> ImageFile.ImageFile:
    try:
        import pillow_heif
    except ImportError:
        raise Refused("HEIC is read where pillow-heif is: pip install 'keras-nasnet[heif]', or convert it") from None
    return pillow_heif.HeifImageFile(metered)


_READERS: dict[str, Callable[[Any], ImageFile.ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "TIFF": _Tiff,
    "AVIF": _Avif,
}
