"""What is an image, decided by the first bytes of a file: its name counts for nothing."""

import os
import stat
import struct

# The formats that are read, by Pillow's names, and none of its others: EPS, say, starts an interpreter.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "HEIF")
FORMATS_TEXT = "JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or HEIC"  # in messages

HEAD = 4096  # bytes that are looked at

_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)  # sizes of the header that follows
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
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
        with open(path, "rb", opener=_open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return format_of(file.read(HEAD))
    except (OSError, ValueError):  # ValueError: a name with a zero byte
        return None


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # should it have become a pipe since


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
    if head[:4] in _TIFF:
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
    if head[8:10] == b"CR":
        return True
    order, big = _TIFF[head[:4]], 43 in head[2:4]
    try:
        (first,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
        (count,) = struct.unpack_from(order + ("Q" if big else "H"), head, first)
        start, length = first + (8 if big else 2), 20 if big else 12
        places = range(start, min(start + count * length, len(head)), length)
        tags = {struct.unpack_from(order + "H", head, place)[0]: place for place in places}
        is_thumbnail = 254 in tags and struct.unpack_from(order + "I", head, tags[254] + (12 if big else 8))[0] & 1
    except (struct.error, OverflowError):  # the directory lies further behind, as in most TIFF files
        return False
    return 50706 in tags or (bool(is_thumbnail) and 330 in tags)  # DNGVersion; SubIFDs
