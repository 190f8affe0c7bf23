"""A Hugging Face Hub on loopback: what huggingface_hub asks of one to create, upload, commit and download.

Repositories live in memory. Files that begin with bytes that are no text, or are larger than
`large` bytes, take the large-file way (LFS: batch, PUT, verify), the others travel in the commit.
"""

import base64
import hashlib
import http.server
import json
import os
from urllib.parse import unquote, urlsplit

import yaml

from tests.support.loopback import LoopbackServer

TOKEN = "hf_aTokenThatMustNeverBeSeenAnywhere"


class HubServer(LoopbackServer):
    """`repositories` has, by "ORG/NAME", {"branches": {name: commit}, "commits": {commit: {path: bytes}}}.

    `seen` has the method and path of each request, `fail` answers the next request whose
    path contains its key with its status, `way` has the way each file came.
    """

    def __init__(self, large=1000):
        self.large = large
        self.repositories, self.stored, self.seen, self.fail, self.way = {}, {}, [], {}, {}
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                hub.seen.append((self.command, self.path))
                status, headers, content = hub.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do

            def log_message(self, *arguments):
                pass

        super().__init__(Handler)

    def files(self, repo, branch="main"):
        repository = self.repositories[repo]
        return repository["commits"][repository["branches"][branch]]

    def environment(self, folder, token=TOKEN):
        """What a process needs to use this Hub. Xet, the Hub's newer store for large files, is not spoken here."""
        variables = {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(folder),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_TOKEN_PATH": str(folder / "token"),
        }
        return variables | ({"HF_TOKEN": token} if token else {})

    def use_here(self, patch, folder, token=TOKEN):
        """Let this process use this Hub: huggingface_hub has read the environment already."""
        from huggingface_hub import constants

        for name in [name for name in os.environ if name.startswith("HF_")]:
            patch.delenv(name)
        for name, value in self.environment(folder, token).items():
            patch.setenv(name, value)
        template = f"{self.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(constants, "ENDPOINT", self.address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        patch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)

    def answer(self, method, path, headers, body):
        for part in list(self.fail):
            if part in path:
                return said(self.fail.pop(part), {"error": "so it was wished"})
        parts = urlsplit(path)
        words = [unquote(word) for word in parts.path.strip("/").split("/")]
        is_known = headers.get("Authorization") == f"Bearer {TOKEN}"
        repo = "/".join(words[2:4] if words[:2] == ["api", "models"] else words[:2])
        is_reading = method in ("GET", "HEAD") and repo in self.repositories  # of others, strangers learn nothing
        if not is_known and not is_reading and words[0] != "store":
            return said(401, {"error": "Invalid username or password."})
        data = json.loads(body) if body[:1] == b"{" and "commit" not in words else {}
        if words == ["api", "repos", "create"]:
            return self.create(f"{data['organization']}/{data['name']}")
        if words == ["api", "validate-yaml"]:
            found = yaml.safe_load(data["content"].split("---")[1])
            errors = [] if isinstance(found, dict) and "license" in found else [{"message": "no license"}]
            return said(200, {"errors": errors, "warnings": []})
        if words[0] == "store":
            return self.store(method, words[1], body)
        if words[:2] == ["api", "models"]:
            return self.model_api(f"{words[2]}/{words[3]}", words[4:], data, body)
        if words[2:] == ["info", "lfs", "objects", "batch"]:
            return self.batch(data)
        if len(words) > 4 and words[2] == "resolve":
            return self.resolve(f"{words[0]}/{words[1]}", words[3], "/".join(words[4:]), headers)
        return said(404, {"error": f"unknown: {path}"})

    def create(self, repo):
        url = {"url": f"{self.address}/{repo}"}
        if repo in self.repositories:
            return said(409, {"error": "You already created this model repo", **url})
        first = "0" * 40
        self.repositories[repo] = {"branches": {"main": first}, "commits": {first: {".gitattributes": b"*.h5 lfs\n"}}}
        return said(200, url)

    def model_api(self, repo, words, data, body):
        if repo not in self.repositories:
            return said(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        repository = self.repositories[repo]
        kind, name = words[0] if words else "revision", words[1] if len(words) > 1 else "main"
        if kind == "branch":
            if name in repository["branches"]:
                return said(409, {"error": f"Reference already exists: {name}"})
            repository["branches"][name] = repository["branches"]["main"]
            return said(200, {})
        commit = repository["branches"].get(name, name)
        if commit not in repository["commits"]:
            return said(404, {"error": f"Invalid rev id: {name}"}, {"X-Error-Code": "RevisionNotFound"})
        files = repository["commits"][commit]
        if kind == "preupload":
            modes = []
            for file in data["files"]:
                sample = base64.b64decode(file["sample"])
                is_large = file["size"] > self.large or b"\0" in sample
                self.way[file["path"]] = "lfs" if is_large else "regular"
                modes.append({"path": file["path"], "uploadMode": self.way[file["path"]], "shouldIgnore": False})
            return said(200, {"files": modes})
        if kind == "commit":
            return self.commit(repo, name, body)
        if kind == "tree":
            return said(200, [self.described(path, content) for path, content in files.items()])
        if kind == "revision":
            siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
            return said(200, {"id": repo, "sha": commit, "siblings": siblings})
        return said(404, {"error": f"unknown: {words}"})

    def described(self, path, content):
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "path": path, "size": len(content), "oid": digest}
        if self.way.get(path) == "lfs":
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def commit(self, repo, branch, body):
        repository = self.repositories[repo]
        files = dict(repository["commits"][repository["branches"][branch]])
        for line in body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                if value["oid"] not in self.stored:
                    return said(400, {"error": f"{value['path']} was not uploaded"})
                files[value["path"]] = self.stored[value["oid"]]
        commit = hashlib.sha1(body).hexdigest()
        repository["commits"][commit] = files
        repository["branches"][branch] = commit
        url = f"{self.address}/{repo}/commit/{commit}"
        return said(200, {"success": True, "commitOid": commit, "commitUrl": url})

    def batch(self, data):
        objects = []
        for item in data["objects"]:
            actions = {"upload": {"href": f"{self.address}/store/{item['oid']}"}}
            objects.append({**item} if item["oid"] in self.stored else {**item, "actions": actions})
        return said(200, {"transfer": "basic", "objects": objects})

    def store(self, method, digest, body):
        if hashlib.sha256(body).hexdigest() != digest:
            return said(400, {"error": "not what was announced"})
        self.stored[digest] = body
        return said(200, {})

    def resolve(self, repo, revision, path, headers):
        repository = self.repositories.get(repo)
        if repository is None:
            return said(404, {}, {"X-Error-Code": "RepoNotFound"})
        commit = repository["branches"].get(revision, revision)
        content = repository["commits"].get(commit, {}).get(path)
        if content is None:
            return said(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        digest = self.described(path, content)
        etag = digest["lfs"]["oid"] if "lfs" in digest else digest["oid"]
        answer = {"ETag": f'"{etag}"', "X-Repo-Commit": commit}
        start = headers.get("Range")
        if start:
            first = int(start.removeprefix("bytes=").split("-")[0])
            answer["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return 206, answer, content[first:]
        return 200, answer, content


def said(status, data, headers=None):
    return status, {"Content-Type": "application/json"} | (headers or {}), json.dumps(data).encode()
