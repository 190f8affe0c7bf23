"""JSON, TOML and YAML that may come from anywhere: read with limits, and refused in one line."""

import contextlib
import json
import os
import stat
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line


def read_text(path: str | os.PathLike[str], most: int | None = None, name: str | None = None) -> str:
    """Returns the text of a file, without a byte order mark.

    Args:
        path: of the file, in UTF-8.
        most: bytes that it may have; default `limits.DOCUMENT_BYTES`.
        name: by which messages call it; default: its path.

    Raises:
        ValueError: if it is missing, no regular file (a pipe would hang), too large, unreadable or not UTF-8.
    """
    name = name or str(path)
    try:
        return read_bytes(path, most, name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not text in UTF-8 ({one_line(error, 200)})") from None


def read_bytes(path: str | os.PathLike[str], most: int | None = None, name: str | None = None) -> bytes:
    """Returns the bytes of a file; see `read_text`."""
    name, most = name or str(path), limits.DOCUMENT_BYTES if most is None else most
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise ValueError(f"{name}: a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{name}: a pipe or a device, not a file")
        if status.st_size > most:
            raise ValueError(f"{name}: {status.st_size:,} bytes are more than the {most:,} that such a file may have")
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{name}: no such file") from None
    except OSError as error:
        raise ValueError(f"{name}: cannot be read ({error.strerror or one_line(error)})") from None


def parse_json(text: str | bytes, name: str, each: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """Returns the content of a JSON document.

    Args:
        text: the document; its size is for the caller to limit.
        name: of the document, for messages.
        each: is given each object as soon as it is read, and returns what takes its place, such as a smaller one.

    Raises:
        ValueError: if it is not JSON, or has values within each other too deeply or integers over 64 bits.

    Example:
        >>> parse_json('{"classes": 10}', "config.json")
        {'classes': 10}
        >>> parse_json("[" * 100_000, "config.json")
        Traceback (most recent call last):
            ...
        ValueError: config.json: lists or objects lie too deeply within each other
    """
    with _refusing(name, "JSON", "lists or objects", ValueError):
        return json.loads(text, parse_int=_integer, object_hook=each)


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Returns the content of a TOML document; see `parse_json`."""
    with _refusing(name, "TOML", "lists or tables", ValueError):
        return _checked(tomllib.loads(text))


def parse_yaml(text: str, name: str) -> Any:
    """Returns the content of a YAML document of plain data; see `parse_json`.

    Aliases are counted as often as they stand for something: a few of them can stand for billions of values.
    """
    import yaml

    errors = (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError)
    with _refusing(name, "YAML", "lists or tables", *errors):
        return _checked(yaml.safe_load(text))


def read_json(
    path: str | os.PathLike[str], most: int | None = None, each: Callable[[dict[str, Any]], Any] | None = None
) -> Any:
    """Returns the content of a JSON file; raises as `read_text` and `parse_json` do."""
    return parse_json(read_text(path, most), str(path), each)


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the content of a TOML file; raises as `read_text` and `parse_toml` do."""
    return parse_toml(read_text(path), str(path))


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Returns the content of a YAML file; raises as `read_text` and `parse_yaml` do."""
    return parse_yaml(read_text(path, limits.YAML_BYTES), str(path))


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > limits.INTEGER_DIGITS:
        raise ValueError(f"an integer of {len(digits):,} digits")
    return int(digits)


@contextlib.contextmanager
def _refusing(name: str, kind: str, nested: str, *errors: type[Exception]) -> Iterator[None]:
    """Make what a parser raises a ValueError of one line that names the document."""
    try:
        yield
    except RecursionError:
        raise ValueError(f"{name}: {nested} lie too deeply within each other") from None
    except errors as error:
        raise ValueError(f"{name}: not {kind} ({one_line(error, 200)})") from None


def _checked(data: Any) -> Any:
    """Return data, or raise ValueError for integers over 64 bits, and for more values or depth than allowed."""
    waiting, count = [(data, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if count > limits.DOCUMENT_VALUES:
            raise ValueError(f"more than {limits.DOCUMENT_VALUES:,} values")
        if depth > limits.DOCUMENT_DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for pair in value.items() for item in pair]
        elif isinstance(value, list | tuple | set):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, int) and abs(value) >= 2**63:
            raise ValueError("an integer of more than 64 bits")
    return data
