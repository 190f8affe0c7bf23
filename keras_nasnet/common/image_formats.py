"""What is an image, decided by the first bytes of a file: its name counts for nothing."""

import io
import os
import stat

from keras_nasnet.common.exif import read_tags

# The formats that are read, by Pillow's names, and none of its others: EPS, say, starts an interpreter.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
FORMATS_TEXT = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"  # in messages

HEAD = 4096  # bytes that are looked at

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the header that follows
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 330, 50706
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def sniff(path: str | os.PathLike[str]) -> str | None:
    """Returns the format of an image file, one of `FORMATS`, by its first bytes.

    None stands for everything else: files of other kinds, raw files of cameras, folders, pipes and devices (which are
    not opened), and what is not there or cannot be opened. That the rest of the file is sound is not said: read it.

    Example:
        >>> keras.utils.save_img("grey.png", np.full((32, 32, 3), 128, np.uint8))
        >>> sniff("grey.png")
        'PNG'
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb", opener=open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return format_of(file.read(HEAD))
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return None


def open_without_waiting(path: str, flags: int) -> int:
    """Opens a file for `open(..., opener=...)`, also one that has become a pipe since somebody looked."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def format_of(head: bytes) -> str | None:
    """Returns the format of an image that begins with these bytes, the first `HEAD` of the file, or None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head.startswith(b"BM") and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head.startswith(_TIFF):
        return None if _is_camera_raw(head) else "TIFF"
    if head[4:8] == b"ftyp":
        return _format_of_brands(head)
    return None


def _format_of_brands(head: bytes) -> str | None:
    """AVIF and HEIC lie in the same container: its brands, the main one first, say which it is."""
    end = min(int.from_bytes(head[:4], "big"), 256)
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, end, 4))]
    if brands[0] in _AVIF_BRANDS:
        return "AVIF"
    if brands[0] in _HEIF_BRANDS:
        return "AVIF" if _AVIF_BRANDS.intersection(brands) and b"heic" not in brands else "HEIF"
    return None


def _is_camera_raw(head: bytes) -> bool:
    """Whether a TIFF is the raw file of a camera (DNG, CR2, NEF, ARW), of which TIFF readers see a thumbnail."""
    tags = read_tags(io.BytesIO(head), {_SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION})
    is_reduced = any(value & 1 for value in tags[_SUBFILE_TYPE].values) if _SUBFILE_TYPE in tags else False
    return head[8:10] == b"CR" or _DNG_VERSION in tags or (is_reduced and _SUB_IFDS in tags)
