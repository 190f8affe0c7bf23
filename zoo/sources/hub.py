"""The Hugging Face Hub: addresses, what is fetched and what is uploaded, and its errors in one line.

`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they mean to huggingface_hub,
which imports nothing of Keras.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from keras_nasnet.common import limits
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import printable

_SCHEME = "hf://"
_TEXTS = (".json", ".yaml", ".md", "SHA256SUMS", "checkpoint")  # files that hold no weights
_REPO, _REVISION = r"[\w.-]+/[\w.-]+", r"[\w./-]+"
_READING = {
    # The Hub's answer also where there is nothing of this name, so that nobody can probe for private ones.
    401: "it is not there, or needs a token: check the name; set HF_TOKEN, or run `hf auth login`",
    403: "it is not open to everybody: ask for access on its page on the Hub, and set HF_TOKEN, or run `hf auth login`",
    404: "there is no such repository, revision or file: check the name",
    429: "the Hub asks to wait: run again in some minutes",
}
_WRITING = {
    401: _READING[401],
    403: "the token may not do this: make one that may write there",
    409: "the repository is changed by someone else just now: run again",
    429: _READING[429],
}


def is_address(text: str) -> bool:
    """Return whether a text is meant as "hf://ORG/NAME" or "hf://ORG/NAME@REVISION"."""
    return text.startswith(_SCHEME)


def parse(address: str) -> tuple[str, str | None]:
    """Return the repository and, where one is named, the revision of an address.

    Raises:
        ValueError: if it is no address.
    """
    match = re.fullmatch(f"{_SCHEME}({_REPO})(?:@({_REVISION}))?", address)
    if match is None:
        raise ValueError(f"{address}: not an address on the Hub; write hf://ORG/NAME or hf://ORG/NAME@REVISION")
    return match[1], match[2]


def check_target(repo: str, revision: str | None) -> None:
    """Raise ValueError unless these can be a repository and a branch on the Hub, whether or not they are there."""
    if not re.fullmatch(_REPO, repo):
        raise ValueError(f"{repo}: not a repository on the Hub; write ORG/NAME")
    if revision is not None and not re.fullmatch(_REVISION, revision):
        raise ValueError(f"{revision!r}: not a branch on the Hub")


def find_file(repo: str, file: str, revision: str) -> Path | None:
    """Return the path of a file of a repository if it is in the Hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repo, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download_file(repo: str, file: str, revision: str) -> Path:
    """Return the path of one file of a repository, downloaded if it is not in the Hub's cache.

    Raises:
        ValueError: if it cannot be had.
    """
    from huggingface_hub import hf_hub_download

    with _one_line_errors(f"{repo}/{file} cannot be downloaded", _READING):
        _check_sizes(_sizes(repo, revision), [file])
        return Path(hf_hub_download(repo, file, revision=revision))


def download(address: str, files: Sequence[str]) -> Path:
    """Return the path of a folder with these files of a repository, downloaded where they are not in the Hub's cache.

    All are of one commit, to which the address is resolved; see also `pinned`.

    Raises:
        ValueError: if the address is none, or the files cannot be had or are larger than `limits` allows.
    """
    from huggingface_hub import snapshot_download

    repo, revision = parse(address)
    with _one_line_errors(f"{address} cannot be downloaded", _READING):
        _check_sizes(_sizes(repo, revision), files)
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))


def pinned(address: str, files: Sequence[str]) -> str:
    """Return the address of the commit that an address means now, whose files are downloaded.

    Whoever reads a model twice gives it, so that both times it is the same.

    Raises:
        ValueError: as `download` does.
    """
    repo, _ = parse(address)
    return f"{_SCHEME}{repo}@{download(address, files).name}"


def _sizes(repo: str, revision: str | None) -> dict[str, int]:
    """Returns the sizes of a repository's files; none where the Hub cannot be asked."""
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return {}
    try:
        info = HfApi(library_name="keras-nasnet").model_info(repo, revision=revision, files_metadata=True)
    except Exception:  # what follows looks into the cache, or says what is wrong
        return {}
    return {file.rfilename: file.size for file in info.siblings or () if file.size is not None}


def _check_sizes(sizes: Mapping[str, int], files: Sequence[str]) -> None:
    for name in files:
        most = limits.METADATA_BYTES if name.endswith(_TEXTS) else limits.DOWNLOAD_BYTES
        if sizes.get(name, 0) > most:
            raise ValueError(f"{name} has {sizes[name]:,} bytes, more than the {most:,} that such a file may have")


def upload(folder: Path, repo: str, revision: str | None, message: str, private: bool) -> str:
    """Upload all files of a folder in one commit; make the repository and the branch if they are missing.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if the Hub refuses, or cannot be reached; the token is never in the message.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="keras-nasnet")
    with _one_line_errors(f"{repo} cannot be published", _WRITING):
        api.create_repo(repo, exist_ok=True, private=private or None)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
        return printable(commit.commit_url)


@contextlib.contextmanager
def _one_line_errors(what: str, meanings: Mapping[int, str]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of its own kinds, of its HTTP client's, and OSError
        # From None: its requests, with the token, would hang on it.
        raise ValueError(f"{what}: {_reason(error, meanings)}") from None


def _reason(error: BaseException, meanings: Mapping[int, str]) -> str:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    if isinstance(error, GatedRepoError):
        return _READING[403]
    causes = list(_causes(error))
    for cause in causes:
        status = getattr(getattr(cause, "response", None), "status_code", 0)
        if status in meanings:
            return meanings[status]
    if isinstance(error, LocalEntryNotFoundError):
        if constants.HF_HUB_OFFLINE:
            return "it is not in the cache, and HF_HUB_OFFLINE forbids to download it"
        return f"it is not in the cache, and the Hub cannot be reached ({_said(causes[-1])[:150]})"
    return _said(error)[:300]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _said(error: BaseException) -> str:
    from huggingface_hub import get_token

    text = one_line(error)
    if token := get_token():
        text = text.replace(token, "***")
    return text
