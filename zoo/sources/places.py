"""Where a file of weights is: on this machine, on a web server, or on the Hugging Face Hub. Imports no Keras."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from keras_nasnet.common.checksum import Checksum
from keras_nasnet.common.escape import shown
from keras_nasnet.common.home import home
from keras_nasnet.zoo.sources import hub


class Place(Protocol):
    """A place that a file is taken from.

    Attributes:
        is_remote: whether the file on this machine is a download, which may be deleted.
    """

    @property
    def is_remote(self) -> bool: ...

    def find(self) -> Path | None:
        """Return the path of the file if it is on this machine; it is not checked."""

    def download(self, checksum: Checksum) -> Path:
        """Download the file, check it, and return its path.

        Raises:
            ValueError: if it cannot be had, or is not the one that it should be.
        """

    def leftovers(self) -> list[Path]:
        """Return the paths of what downloads that broke off have left."""

    def to_dict(self) -> dict[str, str]:
        """Return the place as the catalog has it."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine.

    Args:
        file: its path.
    """

    file: Path
    is_remote: ClassVar[bool] = False

    def find(self) -> Path | None:
        return self.file if self.file.exists() else None

    def download(self, checksum: Checksum) -> Path:
        raise ValueError(f"{self.file}: no such file")

    def leftovers(self) -> list[Path]:
        return []

    def to_dict(self) -> dict[str, str]:
        return {"file": str(self.file)}


@dataclass(frozen=True)
class WebFile:
    """A file of a web server; downloaded, it lies in `keras_nasnet.common.home.home`.

    Args:
        url: its address. `KERAS_NASNET_MIRROR` names a server that has it under the same path.
    """

    url: str
    is_remote: ClassVar[bool] = True

    def find(self) -> Path | None:
        return self._path if self._path.exists() else None

    def download(self, checksum: Checksum) -> Path:
        from keras_nasnet.zoo.sources.download import download  # late: `requests` takes its time to import

        mirror = os.environ.get("KERAS_NASNET_MIRROR")
        url = mirror.rstrip("/") + urlsplit(self.url).path if mirror else self.url
        download(url, self._path, checksum)
        return self._path

    def leftovers(self) -> list[Path]:
        path = self._path
        return [*path.parent.glob(f"{path.name}.*.part"), path.with_name(f"{path.name}.lock")]

    def to_dict(self) -> dict[str, str]:
        return {"url": self.url}

    @property
    def _path(self) -> Path:
        return home() / Path(urlsplit(self.url).path).name


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hugging Face Hub, which lies in the Hub's own cache (`HF_HOME`).

    Args:
        repo: "ORG/NAME".
        revision: the commit.
        file: its path in the repository.
    """

    repo: str
    revision: str
    file: str
    is_remote: ClassVar[bool] = True

    def find(self) -> Path | None:
        return hub.find_file(self.repo, self.file, self.revision)

    def download(self, checksum: Checksum) -> Path:
        path = hub.download_file(self.repo, self.file, self.revision)
        checksum.check(path, delete=True)
        return path

    def leftovers(self) -> list[Path]:
        return []  # the Hub's cache cleans up after itself

    def to_dict(self) -> dict[str, str]:
        return {"repo": self.repo, "revision": self.revision, "file": self.file}


def read_place(source: Mapping[str, Any], folder: Path) -> Place | None:
    """Return the place that the "source" of an entry names; None if it names none.

    Args:
        source: as a table of TOML.
        folder: that a relative "file" starts from.

    Raises:
        ValueError: if what names it is no text.
    """
    for key in ("url", "repo", "revision", "file"):
        if not isinstance(source.get(key, ""), str):
            raise ValueError(f"{key} of the source is {shown(source[key])}: it must be text")
    if "url" in source:
        return WebFile(source["url"])
    if "repo" in source:
        return (
            HubFile(source["repo"], source["revision"], source["file"]) if {"revision", "file"} <= {*source} else None
        )
    return LocalFile((folder / source["file"]).resolve()) if "file" in source else None
