"""Damaged files for tests."""

import numpy as np

_NUMBERS = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\0\x80", b"\xff\xff", b"\xff\x7f", b"\0\0")


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return other content: bits flipped, bytes replaced, cut out, put in or doubled, or the end cut off.

    Half of it happens near the beginning, where most formats say what follows.
    """
    data = bytearray(content)
    while data == content:
        if random.random() < 0.1:
            del data[int(random.integers(len(data) + 1)) :]
        for _ in range(random.integers(1, 6)):
            end = min(len(data), 300) if random.random() < 0.5 else len(data)
            place, length = int(random.integers(max(end, 1))), int(random.integers(1, 20))
            kind = random.integers(6)
            if kind == 0 and data:
                data[place] ^= 1 << int(random.integers(8))
            elif kind == 1:
                data[place : place + length] = random.bytes(length)
            elif kind == 2:
                del data[place : place + length]
            elif kind == 3:
                data[place:place] = random.bytes(length)
            elif kind == 4:
                data[place:place] = data[place : place + length]
            else:  # what is a size, a count or a place becomes huge or nothing
                number = _NUMBERS[random.integers(len(_NUMBERS))]
                data[place : place + len(number)] = number
    return bytes(data)
