"""Names of files as people and their tools write them, and the paths that they mean. Touches no file.

Annotations travel: their names have the slashes, the case, the accents and the folders of the machine that wrote them.
A name is read in several ways (`readings`), and means the path whose end it has (`Tails`): the longest end decides.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote

_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/]|[^\\/]*$)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/\\]*")
_UPLOAD = re.compile(r"(^|.*[/\\])[0-9a-f]{8}-(?=[^/\\]+$)", re.DOTALL)
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_PARTS |= {"minival": "val", "test": "test", "testing": "test", "trainval": "trainval"}
_FILLERS = {"annotations", "annotation", "coco", "images", "image", "imgs", "img", "instances", "labels", "list", "set"}


def part_of(name: str) -> str | None:
    """Return the part of a dataset that a file or folder is of by its name: train, val, test, trainval; else None.

    Example:
        >>> [part_of(name) for name in ("instances_Train2017.json", "valid", "my_trains")]
        ['train', 'val', None]
    """
    words = [word for word in re.split(r"[^a-z]+", PurePosixPath(name).name.casefold()) if word]
    if len(words) > 1 and words[-1] in ("json", "txt"):
        words.pop()
    words = [word for word in words if word not in _FILLERS]
    return _PARTS.get(words[0]) if len(words) == 1 else None


def fold(part: str) -> str:
    """Return one part of a path without what systems differ in: case, the form of accents, blanks at its ends."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", part).casefold()).strip()


def parts_of(path: str) -> tuple[str, ...]:
    """Return the parts of a path with slashes; what goes up is left out."""
    return tuple(part for part in path.split("/") if part.strip() not in ("", ".", ".."))


class Reading(NamedTuple):
    """A path that a name may mean.

    Args:
        path: with slashes.
        how: it was read, in words; nothing for the name itself.
    """

    path: str
    how: tuple[str, ...] = ()


def readings(name: str) -> Iterator[Reading]:
    r"""Yield the paths that a name may mean, the most literal first.

    Example:
        >>> [reading.path for reading in readings("C:\\my%20photos\\1.jpg")]
        ['C:\\my%20photos\\1.jpg', '/my%20photos/1.jpg', '/my photos/1.jpg']
    """
    seen = {name}
    found = [Reading(name)]
    yield found[0]

    def more(read: Iterable[Reading]) -> Iterator[Reading]:
        for reading in list(read):
            if reading.path not in seen:
                seen.add(reading.path)
                found.append(reading)
                yield reading

    path = _DRIVE.sub("", name, count=1) if _DRIVE.match(name) else name
    how: tuple[str, ...] = ()
    if "\\" in path:
        path, how = path.replace("\\", "/"), ("backslashes for slashes",)
    elif path != name:
        how = ("the drive left out",)
    yield from more([Reading(path, how)])
    address, _, query = _SCHEME.sub("", path, count=1).partition("?")
    if _SCHEME.match(path):
        address = address.partition("#")[0]
    # Label Studio: /data/local-files/?d=images/1.jpg
    values = [value for _, value in parse_qsl(query) if "." in value] if query else []
    yield from more(Reading(value.replace("\\", "/"), (*how, "an address")) for value in [address, *values])
    prefixed = [(reading, _UPLOAD.sub(r"\1", reading.path)) for reading in found]
    yield from more(Reading(path, (*reading.how, "Label Studio's prefix left out")) for reading, path in prefixed)
    for _ in range(2):  # some encode twice
        encoded = [reading for reading in found[1:] or found if "%" in reading.path]
        yield from more(Reading(unquote(path).replace("\\", "/"), (*how, "percent-encoding")) for path, how in encoded)
    plain = found[min(1, len(found) - 1)]  # a file that was saved under the name in its address
    if "%" not in plain.path:
        yield from more([Reading(quote(plain.path, errors="replace"), (*plain.how, "percent-encoding"))])


class Tails:
    """Paths, found by their ends.

    Args:
        paths: with slashes.
    """

    def __init__(self, paths: Iterable[str]):
        self.paths: list[str] = list(paths)
        self._names: dict[str, list[int]] = {}
        self._stems: dict[str, list[int]] = {}
        self._groups: dict[str, dict[str, list[int]]] = {}
        for number, path in enumerate(self.paths):
            last = fold(path.rpartition("/")[2])
            self._names.setdefault(last, []).append(number)
            self._stems.setdefault(stem(last), []).append(number)

    def named(self, parts: tuple[str, ...]) -> list[int]:
        """Return the numbers of the paths that share the longest end with these parts, of the last part at least."""
        return self._narrowed("name", fold(parts[-1]), self._names, parts)

    def stemmed(self, parts: tuple[str, ...]) -> list[int]:
        """Return them likewise where the last part lacks its suffix, or has another."""
        last = fold(parts[-1])
        return self._narrowed("stem", last, self._stems, parts) or self._narrowed(
            "stem", stem(last), self._stems, parts
        )

    def _narrowed(self, kind: str, last: str, index: dict[str, list[int]], parts: tuple[str, ...]) -> list[int]:
        found, tail, depth = index.get(last, []), f"{kind}:{last}", 1
        while len(found) > 1 and depth < len(parts):
            depth += 1
            groups = self._groups.get(tail)
            if groups is None:  # made once for each end that several paths share
                groups = self._groups[tail] = {}
                for number in found:
                    before = parts_of(self.paths[number])[-depth : -depth + 1]
                    groups.setdefault(fold(before[0]) if before else "", []).append(number)
            part = fold(parts[-depth])
            if part not in groups:
                break
            found, tail = groups[part], f"{tail}/{part}"
        return found


def stem(name: str) -> str:
    """Return a file's name without its suffix."""
    before, dot, suffix = name.rpartition(".")
    return before if before and dot and 0 < len(suffix) <= 5 else name


def shared(parts: tuple[str, ...], path: tuple[str, ...]) -> int:
    """Return how many parts two paths share at their ends, the last left out of the comparison."""
    count = 1
    while count < min(len(parts), len(path)) and fold(parts[-count - 1]) == fold(path[-count - 1]):
        count += 1
    return count


def differences(reading: Reading, path: str) -> tuple[str, ...]:
    """Return in which ways a name was not read as it is written; nothing where the path ends in it as it is."""
    parts, actual = parts_of(reading.path), parts_of(path)
    count = shared(parts, actual)
    pairs = list(zip(parts[-count:], actual[-count:], strict=True))
    how = list(reading.how)
    last, actual_last = pairs[-1]
    if fold(last) != fold(actual_last):
        how.append("a suffix added" if fold(stem(actual_last)) == fold(last) else "another suffix")
    nfc = [[unicodedata.normalize("NFC", part) for part in pair] for pair in pairs]
    if any(part != part.strip() for pair in pairs for part in pair if pair[0] != pair[1]):
        how.append("blanks left out")
    if any(one.casefold() == other.casefold() and one != other for one, other in nfc):
        how.append("another case")
    if any(one == other and pair[0] != pair[1] for (one, other), pair in zip(nfc, pairs, strict=True)):
        how.append("another form of Unicode")
    if count < len(parts):
        how.append("the last part alone" if count == 1 else f"the last {count} parts alone")
    return tuple(dict.fromkeys(how))
