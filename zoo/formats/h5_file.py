"""HDF5 files with a checksum in front, so that no byte of them can change unseen.

The first 512 bytes are a user block, which HDF5 leaves to its users: here it holds the SHA-256 of
all that is behind it. HDF5 has no checksum of its own over most of a file, and an attribute inside
could vanish by the same damage. Keras reads such files like any other. Files that others wrote
have no user block, and nothing to be checked against.
"""

import hashlib
import os
from collections.abc import Callable

import h5py

from keras_nasnet.common.files import replacing

_BLOCK = 512  # the smallest that HDF5 allows
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def write(path: str | os.PathLike[str], fill: Callable[[h5py.File], None]) -> None:
    """Write a file that `check` can check; it appears when it is whole.

    Args:
        path: of the file.
        fill: puts everything into the open file.
    """
    with replacing(path) as temporary:
        with h5py.File(temporary, "w", userblock_size=_BLOCK) as file:
            fill(file)
        block = _block(temporary)
        with open(temporary, "r+b") as written:
            written.write(block)


def check(path: str | os.PathLike[str]) -> None:
    """Check a file, if `write` wrote it.

    Raises:
        ValueError: if it is no HDF5 file, or damaged.
    """
    try:
        with open(path, "rb") as file:
            block = file.read(_BLOCK)
        if not block.startswith(_SIGNATURE) and block != _block(path):
            raise ValueError(f"{path}: not a readable HDF5 file of weights, or damaged")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None


def _block(path: str | os.PathLike[str]) -> bytes:
    with open(path, "rb") as file:
        file.seek(_BLOCK)
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"keras_nasnet: sha256 of what follows byte {_BLOCK} is {digest}\n".encode().ljust(_BLOCK, b"\0")
