"""Tags of TIFF and EXIF, one by one."""

import io
import struct

import numpy as np
import pytest

from keras_nasnet.common.exif import ORIENTATION, Tag, orientation, read_tags
from tests.support.damaged_images import odd_exif


class Counted(io.BytesIO):
    taken = 0

    def read(self, count=-1):
        content = super().read(count)
        self.taken += len(content)
        return content


@pytest.mark.parametrize("order", ["<", ">"])
def test_values_in_and_outside_the_directory(order):
    entries = struct.pack(order + "HHIHH", 258, 3, 2, 8, 9) + struct.pack(order + "HHII", 273, 4, 3, 38)
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 2)
    content = head + entries + bytes(4) + struct.pack(order + "3I", 7, 8, 9)
    tags = read_tags(io.BytesIO(content), {258, 273, 999})
    assert tags == {258: Tag(2, (8, 9)), 273: Tag(3, (7, 8, 9))}


def test_no_more_is_read_than_a_few_values():
    """However many the tags say that there are."""
    entries = b"".join(struct.pack("<HHII", 273, 4, 2**31, 20) for _ in range(5000))
    file = Counted(b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + entries + bytes(10**6))
    assert read_tags(file, {273})[273].number == 2**31
    assert file.taken < 200_000


def test_places_that_no_file_has_are_left_out():
    big = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2)
    entries = struct.pack("<HHQQ", 273, 4, 100, 2**64 - 1) + struct.pack("<HHQQ", ORIENTATION, 3, 1, 6)
    assert read_tags(io.BytesIO(big + entries), {273, ORIENTATION}) == {273: Tag(100, ()), ORIENTATION: Tag(1, (6,))}
    assert read_tags(io.BytesIO(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 2**64 - 1)), {273}) == {}


def test_orientation_among_damaged_tags():
    generator = np.random.default_rng(0)
    for number in range(2000):
        wanted = number % 8 + 1
        assert orientation({"exif": b"Exif\0\0" + odd_exif(wanted, generator)}) == wanted


def test_any_bytes_are_some_orientation():
    generator = np.random.default_rng(1)
    for number in range(2000):
        block = bytearray(odd_exif(number % 8 + 1, generator))
        for _ in range(4):
            block[generator.integers(len(block))] = generator.integers(256)
        assert 1 <= orientation({"exif": bytes(block[: generator.integers(len(block) + 1)])}) <= 8


@pytest.mark.parametrize("value", [0, 9, 255, 65535])
def test_orientations_that_are_none(value):
    block = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHH", ORIENTATION, 3, 1, value, 0)
    assert orientation({"exif": block}) == 1
