"""The index of a TF checkpoint, looked through before TensorFlow reads it, which ends the process at damaged entries.

The file is a table as in LevelDB: blocks of sorted names, each with the fields of a tensor as a protocol buffer. What
is not written as TensorFlow writes it is refused.

Source: tensorflow/core/lib/io/table_format.txt, tensorflow/core/protobuf/tensor_bundle.proto.
"""

import math
import os
from collections.abc import Iterator

from keras_nasnet.common import limits

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")  # the end of the file
_FOOTER = 48  # bytes: places of two blocks, nothing up to byte 40, `MAGIC`
_TRAILER = 5  # bytes behind a block: its compression, of which TensorFlow uses none, and its checksum
_TYPES = 23  # the largest number of a type
_SIZES = {1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 9: 8, 10: 1, 14: 2, 17: 2, 19: 2, 22: 4, 23: 8}  # bytes, by type
_DIMENSIONS = 254
_SHARDS = 1000


def read_shapes(prefix: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor of a checkpoint, by its name.

    Args:
        prefix: of the checkpoint's files.

    Raises:
        ValueError: if the index is not as TensorFlow writes it, or a tensor lies outside the checkpoint's files.
        OSError: if a file cannot be read.
    """
    size = os.path.getsize(f"{prefix}.index")
    if size > limits.METADATA_BYTES:
        raise ValueError(f"the index has {size:,} bytes, more than {limits.METADATA_BYTES:,}")
    with open(f"{prefix}.index", "rb") as file:
        content = file.read()
    if len(content) < _FOOTER or not content.endswith(MAGIC):
        raise ValueError("no index of a TF checkpoint, or cut off")
    entries = _entries(content)
    if next(entries, ("?", b""))[0] != "":
        raise ValueError("the index has no header")
    shapes, shards = {}, dict[int, int]()
    for name, value in entries:
        shapes[name] = _shape(name, dict(_fields(value)), prefix, shards)
    return shapes


def _entries(content: bytes) -> Iterator[tuple[str, bytes]]:
    footer, places = content[-_FOOTER:-8], []
    at = 0
    for _ in range(4):
        number, at = _number(footer, at)
        places.append(number)
    before, count = "", 0
    end = 0
    for _, handle in _block(content, *places[2:]):
        start, at = _number(handle, 0)
        size, _ = _number(handle, at)
        if start < end:
            raise ValueError("blocks of the index lie over each other")
        end = start + size
        for key, value in _block(content, start, size):
            name, count = key.decode("utf-8"), count + 1
            if count > limits.ARCHIVE_MEMBERS or (count > 1 and name <= before) or not (name.isprintable() or not name):
                raise ValueError("the names in the index are not as TensorFlow writes them")
            before = name
            yield name, value


def _block(content: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    end = start + size
    if size < 4 or end + _TRAILER > len(content) - _FOOTER or content[end] != 0:
        raise ValueError("a block of the index lies outside it, or is compressed")
    restarts = int.from_bytes(content[end - 4 : end], "little")
    stop = end - 4 - 4 * restarts
    if stop < start:
        raise ValueError("a block of the index is damaged")
    key, at = b"", start
    while at < stop:
        shared, at = _number(content, at)
        own, at = _number(content, at)
        length, at = _number(content, at)
        if shared > len(key) or shared + own > limits.NAME_CHARACTERS or at + own + length > stop:
            raise ValueError("an entry of the index is damaged")
        key = key[:shared] + content[at : at + own]
        at += own + length
        yield key, content[at - length : at]


def _shape(name: str, fields: dict[int, int | bytes], prefix: str, shards: dict[int, int]) -> tuple[int, ...]:
    """Returns the shape of an entry whose values are in its file; `shards` has the sizes of files seen so far."""
    kind, shard, offset, size = (fields.get(field, 0) for field in (1, 3, 4, 5))
    shape_field = fields.get(2, b"")
    if fields.keys() - {1, 2, 3, 4, 5, 6} or not all(isinstance(number, int) for number in (kind, shard, offset, size)):
        raise ValueError(f"{name} is in parts, or its entry is damaged")
    assert isinstance(kind, int) and isinstance(shard, int) and isinstance(offset, int) and isinstance(size, int)
    if not isinstance(shape_field, bytes) or not 0 < kind <= _TYPES or shard >= _SHARDS:
        raise ValueError(f"the entry of {name} is damaged")
    shape = tuple(_dimension(name, field, value) for field, value in _fields(shape_field))
    if len(shape) > _DIMENSIONS or (kind in _SIZES and math.prod(shape) * _SIZES[kind] != size):
        raise ValueError(f"{name} has {size:,} bytes, which is not the size of its shape {shape}")
    if shard not in shards:
        # The number of files is part of their names: whichever is there.
        folder, start = os.path.split(prefix)
        wanted = f"{start}.data-{shard:05d}-of-"
        found = [each for each in os.listdir(folder or ".") if each.startswith(wanted)]
        shards[shard] = max((os.path.getsize(os.path.join(folder, each)) for each in found), default=0)
    if offset + size > shards[shard]:
        raise ValueError(f"{name} lies outside the file of values, which is missing or cut off")
    return shape


def _dimension(name: str, field: int, value: int | bytes) -> int:
    parts = dict(_fields(value)) if field == 2 and isinstance(value, bytes) else {0: 0}
    size = parts.get(1, 0)
    if parts.keys() - {1, 2} or not isinstance(size, int) or size > limits.WEIGHTS_BYTES:
        raise ValueError(f"the shape of {name} is damaged")
    return size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yields the number and value of each field of a protocol buffer."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value: int | bytes
            value, at = _number(message, at)
        elif kind in (2, 5):
            length, at = _number(message, at) if kind == 2 else (4, at)
            if at + length > len(message):
                raise ValueError("an entry of the index is damaged")
            value = message[at : at + length]
            at += length
        else:
            raise ValueError("an entry of the index is damaged")
        yield field, value


def _number(content: bytes, at: int) -> tuple[int, int]:
    """Returns a number of seven bits a byte, and the place behind it."""
    number = 0
    for shift in range(0, 63, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number in the index is damaged")
