"""The Hugging Face Hub: addresses, what is fetched and what is uploaded, and its errors in one line.

`HF_HOME`, `HF_TOKEN`, `HF_ENDPOINT` and `HF_HUB_OFFLINE` mean what they mean to huggingface_hub,
which imports nothing of Keras.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_nasnet.common.errors import one_line

_SCHEME = "hf://"
_REPO, _REVISION = r"[\w.-]+/[\w.-]+", r"[\w./-]+"
_MEANINGS = {
    # The Hub's answer also where there is nothing of this name, so that nobody can probe for private ones.
    401: "it is not there, or needs a token: check the name; set HF_TOKEN, or run `hf auth login`",
    403: "the token may not do this: make one that may write there",
    409: "the repository is changed by someone else just now: run again",
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

    with _one_line_errors(f"{repo}/{file} cannot be downloaded"):
        return Path(hf_hub_download(repo, file, revision=revision))


def download(address: str, files: Sequence[str]) -> Path:
    """Return the path of a folder with these files of a repository, downloaded where they are not in the Hub's cache.

    Raises:
        ValueError: if the address is none, or the files cannot be had.
    """
    from huggingface_hub import snapshot_download

    repo, revision = parse(address)
    with _one_line_errors(f"{address} cannot be downloaded"):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=list(files)))


def upload(folder: Path, repo: str, revision: str | None, message: str, private: bool) -> str:
    """Upload all files of a folder in one commit; make the repository and the branch if they are missing.

    Returns:
        The address of the commit.

    Raises:
        ValueError: if the Hub refuses, or cannot be reached; the token is never in the message.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="keras-nasnet")
    with _one_line_errors(f"{repo} cannot be published"):
        api.create_repo(repo, exist_ok=True, private=private or None)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, revision=revision, commit_message=message)
        return commit.commit_url


@contextlib.contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of its own kinds, of its HTTP client's, and OSError
        raise ValueError(f"{what}: {_reason(error)}") from None  # its requests, with the token, would hang on it


def _reason(error: Exception) -> str:
    from huggingface_hub import get_token

    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in _MEANINGS:
        return _MEANINGS[status]
    text = one_line(error)
    if token := get_token():
        text = text.replace(token, "***")
    return text[:300]
