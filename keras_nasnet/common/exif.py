"""The few numbers that are needed of the tags of EXIF and TIFF: read one by one, however damaged the others are."""

import io
import re
import struct
from collections.abc import Collection, Mapping
from typing import Any, BinaryIO, NamedTuple

ORIENTATION = 274

_ORDERS = {b"II": "<", b"MM": ">"}
_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q"}  # whole numbers
_MOST_TAGS = 4096
_MOST_VALUES = 8

_XMP = re.compile(rb'tiff:Orientation(?:="|>)([1-8])')


class Tag(NamedTuple):
    """How many numbers a tag says that it has, and the first of them, as far as they are there."""

    number: int
    values: tuple[int, ...]


def read_tags(file: BinaryIO, wanted: Collection[int]) -> dict[int, Tag]:
    """Returns the wanted tags of whole numbers of the first directory of a TIFF file or an EXIF block.

    Tags that are missing or damaged are left out. Nothing is raised, and no more is read than a few bytes of each tag.

    Args:
        file: that begins with the TIFF header.
        wanted: numbers of tags.
    """
    try:
        return _read_tags(file, wanted)
    except (OSError, OverflowError, ValueError, struct.error):  # places that no file has
        return {}


def _read_tags(file: BinaryIO, wanted: Collection[int]) -> dict[int, Tag]:
    file.seek(0)
    header = file.read(16)
    order = _ORDERS.get(header[:2], "")
    if not order:
        return {}
    big = struct.unpack_from(order + "H", header, 2)[0] == 43  # BigTIFF: places and counts of 64 bits
    place, number, room = ("Q", "Q", 8) if big else ("I", "H", 4)
    file.seek(struct.unpack_from(order + place, header, 8 if big else 4)[0])
    (count,) = struct.unpack(order + number, file.read(struct.calcsize(number)))
    entry = struct.Struct(f"{order}HH{place}{room}s")
    directory = file.read(min(count, _MOST_TAGS) * entry.size)
    tags = {}
    for start in range(0, len(directory) - entry.size + 1, entry.size):
        tag, kind, count, field = entry.unpack_from(directory, start)
        if tag not in wanted or kind not in _TYPES:
            continue
        size = struct.calcsize(_TYPES[kind])
        if count * size > room:
            field = _read_at(file, struct.unpack(order + place, field)[0], min(count, _MOST_VALUES) * size)
        there = min(count, _MOST_VALUES, len(field) // size)
        tags[tag] = Tag(count, struct.unpack_from(f"{order}{there}{_TYPES[kind]}", field))
    return tags


def _read_at(file: BinaryIO, place: int, length: int) -> bytes:
    try:
        file.seek(place)
        return file.read(length)
    except (OSError, OverflowError, ValueError):  # a place that no file has
        return b""


def orientation(info: Mapping[Any, Any]) -> int:
    """Returns how an image lies in its file, 1 to 8 as EXIF numbers it; 1, upright, where nothing is said.

    Args:
        info: of the Pillow image, after it is loaded.
    """
    tags = read_tags(io.BytesIO(_exif(info)), {ORIENTATION})
    said = tags.get(ORIENTATION)
    if said is not None and said.number == 1 and said.values and 1 <= said.values[0] <= 8:
        return said.values[0]
    if said is None:
        for key in ("xmp", "XML:com.adobe.xmp"):
            xmp = info.get(key, b"")
            found = _XMP.search(xmp.encode(errors="replace") if isinstance(xmp, str) else bytes(xmp))
            if found:
                return int(found[1])
    return 1


def _exif(info: Mapping[Any, Any]) -> bytes:
    """Returns the EXIF block of an image, also as ImageMagick writes it into PNG files: as text."""
    exif = info.get("exif") or b""
    if not exif and isinstance(raw := info.get("Raw profile type exif"), str):
        try:
            exif = bytes.fromhex("".join(raw.split("\n")[3:]))
        except ValueError:
            return b""
    exif = bytes(exif)
    while exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    return exif
