"""A web server on loopback that serves given bytes, and misbehaves as told."""

import contextlib
import hashlib
import http.server
import time

from tests.support.loopback import LoopbackServer


class FileServer(LoopbackServer):
    """Serves `files` (bytes by path) with ranges, and as a Hub does.

    `faults` are taken one for each GET, in order: a status code; ("cut", n) closes the
    connection after n bytes; ("stall", seconds) waits in front of the body; ("whole",) ignores a range;
    ("unsaid",) has no Content-Length and never ends; ("to", address) redirects; ("says", text) is a 404 with this
    reason; None is no fault. `seen` has the path and the range of each GET. `pause` is slept in front of
    every 4096 bytes.
    """

    def __init__(self):
        self.files, self.faults, self.seen, self.pause = {}, [], [], 0.0
        served = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                served.answer(self, body=False)

            def do_GET(self):
                served.seen.append((self.path, self.headers.get("Range")))
                served.answer(self, body=True)

            def log_message(self, *arguments):
                pass

        super().__init__(Handler)

    def answer(self, handler, body):
        fault = self.faults.pop(0) if body and self.faults else None
        content = self.files.get(handler.path)
        if isinstance(fault, int) or content is None:
            handler.send_response(fault or 404)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if fault and fault[0] in ("to", "says"):
            handler.send_response(302 if fault[0] == "to" else 404, fault[1] if fault[0] == "says" else None)
            handler.send_header("Location", fault[1]) if fault[0] == "to" else None
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if fault == ("unsaid",):
            handler.send_response(200)
            handler.end_headers()
            handler.close_connection = True
            with contextlib.suppress(OSError):
                while True:
                    handler.wfile.write(content[:4096])
        start, status = 0, 200
        asked = handler.headers.get("Range")
        if asked and fault != ("whole",):
            start, status = int(asked.removeprefix("bytes=").split("-")[0]), 206
        handler.send_response(416 if start >= len(content) else status)
        rest = content[start:]
        if rest and status == 206:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(rest)))
        if "/resolve/" in handler.path:
            handler.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            handler.send_header("X-Repo-Commit", handler.path.split("/resolve/")[1].split("/")[0])
        handler.end_headers()
        if not body:
            return
        kind, amount = fault if fault and len(fault) == 2 else (None, 0)
        if kind == "stall":
            time.sleep(amount)
        if kind == "cut":
            rest = rest[:amount]
            handler.close_connection = True
        try:
            for place in range(0, len(rest), 4096):
                time.sleep(self.pause)
                handler.wfile.write(rest[place : place + 4096])
        except OSError:  # the client has gone
            handler.close_connection = True
