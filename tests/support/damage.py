"""Damaged files for tests."""


def damaged(content, random):
    """Cut off at random, or with 1 to 3 bytes changed; half of the changes are among the first 2000 bytes."""
    content = bytearray(content)
    if random.random() < 0.3:
        return bytes(content[: random.integers(len(content))])
    for _ in range(random.integers(1, 4)):
        end = min(len(content), 2000) if random.random() < 0.5 else len(content)
        content[random.integers(end)] ^= int(random.integers(1, 256))
    return bytes(content)
