"""Addresses on the Hub: one commit for all files, limits, and each trouble in a line that says what to do."""

import pytest

from keras_nasnet.common import limits
from keras_nasnet.zoo.sources import hub
from tests.support.hub_server import HubServer, said

REPO = "someone/net"
FIRST, SECOND = "1" * 40, "2" * 40
FILES = ("config.json", "model.weights.h5", "SHA256SUMS")


class Moody(HubServer):
    """Answers what `moods` says: a function of the path of a request, which returns an answer or None."""

    def __init__(self):
        super().__init__()
        self.moods = []
        for repo in (REPO, "someone/moved-here"):
            commits = {
                commit: {name: f"{repo} {name} {commit}".encode() for name in FILES} for commit in (FIRST, SECOND)
            }
            self.repositories[repo] = {"branches": {"main": FIRST}, "commits": commits}

    def answer(self, method, path, headers, body):
        for mood in self.moods:
            if answer := mood(path):
                return answer
        return super().answer(method, path, headers, body)

    def move(self, commit):
        self.repositories[REPO]["branches"]["main"] = commit


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Moody()
    server.use_here(monkeypatch, tmp_path, token="")
    yield server
    server.close()


def contents(folder):
    return {name: (folder / name).read_text().split()[-1] for name in FILES}


def refusal(address=f"hf://{REPO}", files=FILES):
    with pytest.raises(ValueError) as error:
        hub.download(address, files)
    text = str(error.value)
    assert text.startswith(f"{address} cannot be downloaded: ") and text.isprintable() and len(text) < 400
    return text


def test_all_files_are_of_one_commit_though_the_branch_moves(server):
    moves = []

    def move(path):
        if "/resolve/" in path and not moves:
            server.move(SECOND)
            moves.append(path)

    server.moods.append(move)
    assert set(contents(hub.download(f"hf://{REPO}", FILES)).values()) == {FIRST}
    assert moves


def test_a_pinned_address_stays_what_it_was(server):
    address = hub.pinned(f"hf://{REPO}", FILES)
    assert address == f"hf://{REPO}@{FIRST}"
    server.move(SECOND)
    assert set(contents(hub.download(address, FILES)).values()) == {FIRST}
    assert hub.pinned(f"hf://{REPO}", FILES) == f"hf://{REPO}@{SECOND}"


def test_what_is_too_large_is_not_downloaded(server, monkeypatch):
    monkeypatch.setattr(limits, "METADATA_BYTES", 10)
    assert "config.json has 64 bytes, more than the 10" in refusal()
    monkeypatch.setattr(limits, "METADATA_BYTES", 1000)
    monkeypatch.setattr(limits, "DOWNLOAD_BYTES", 10)
    assert "model.weights.h5 has" in refusal()
    assert not [path for method, path in server.seen if method == "GET" and "/resolve/" in path]


def test_offline_what_is_in_the_cache_is_read_and_the_rest_is_said(server, monkeypatch):
    folder = hub.download(f"hf://{REPO}", FILES)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    assert hub.download(f"hf://{REPO}", FILES) == folder
    assert "it is not in the cache, and the Hub cannot be reached" in refusal("hf://someone/moved-here")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub.download(f"hf://{REPO}", FILES) == folder
    assert "not in the cache, and HF_HUB_OFFLINE forbids" in refusal("hf://someone/moved-here")


def test_gated_missing_and_busy(server):
    answers = []
    server.moods.append(lambda path: answers[0] if answers else None)
    for status, code, words in (
        (403, "GatedRepo", "ask for access on its page"),
        (401, "GatedRepo", "ask for access on its page"),
        (403, "", "ask for access on its page"),
        (404, "RepoNotFound", "check the name"),
        (404, "RevisionNotFound", "check the name"),
        (429, "", "asks to wait"),
    ):
        answers[:] = [said(status, {"error": "\x1b[2Jno"}, {"X-Error-Code": code, "X-Error-Message": "no"})]
        assert words in refusal(), (status, code)


def test_what_has_moved_is_followed(server):
    def moved(path):
        if f"/{REPO}" in path:
            target = server.address + path.replace(REPO, "someone/moved-here")
            return 307, {"Location": target}, b""

    server.moods.append(moved)
    assert (hub.download(f"hf://{REPO}", FILES) / "config.json").read_text().startswith("someone/moved-here")
