"""Downloads, from a real server on loopback under the public names."""

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import pytest

from keras_nasnet.zoo import fetch

CONTENT = b"weights" * 1000


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that a server serves in place of the public one; the cache is empty."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(fetch, "_ORIGIN", f"http://127.0.0.1:{server.server_port}/")
    md5 = hashlib.md5(CONTENT).hexdigest()
    monkeypatch.setitem(fetch._FILES, ("mobile", True), ("NASNet-mobile.h5", md5))
    (tmp_path / "home").mkdir()  # Keras falls back to the temporary folder where there is none
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    yield folder
    server.shutdown()
    server.server_close()


def test_downloads_once(served):
    (served / "NASNet-mobile.h5").write_bytes(CONTENT)
    path = Path(fetch.keras_application("mobile", True))
    assert path.read_bytes() == CONTENT
    (served / "NASNet-mobile.h5").unlink()
    assert Path(fetch.keras_application("mobile", True)) == path


def test_a_wrong_checksum_is_refused(served):
    (served / "NASNet-mobile.h5").write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"NASNet-mobile\.h5 cannot be downloaded"):
        fetch.keras_application("mobile", True)


def test_a_missing_file_is_one_line(served):
    with pytest.raises(ValueError, match=r"NASNet-mobile\.h5 cannot be downloaded .*404") as error:
        fetch.keras_application("mobile", True)
    assert "\n" not in str(error.value)
