"""As much of the Hugging Face Hub as its own client needs, on the loopback interface.

Repositories are revision → commit → file → bytes. What is served as large has its SHA-256 as ETag,
what is small its git hash, as on the hub.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit

import numpy as np
from huggingface_hub import constants

import zoo
from weights import initialize, save_weights

LARGE = 1000
"""Bytes."""
MODEL = "shufflenet_v2_0.5x"
SMALL = zoo.spec(MODEL, num_classes=3)
REPO = "someone/net"


class Hub(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.gated, self.requests = set(), []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repo, files, *revisions):
        """Put files into a repository as a commit, to which the revisions lead."""
        held = self.repositories.setdefault(repo, {"refs": {}, "commits": {}})
        sha = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        held["commits"][sha] = dict(files)
        held["refs"].update(dict.fromkeys(revisions or ("main",), sha))
        return sha


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, body=b"", status=200, **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")  # so that a hub that is shut down is gone
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, code, status=404):
        self.answer({"error": code}, status, X_Error_Code=code)

    def found(self, repo, revision):
        """Return (commit, files), or None after an answer that says what is missing."""
        held = self.server.repositories.get(repo)
        if repo in self.server.gated:
            return self.refuse("GatedRepo", 403)
        if held is None:
            return self.refuse("RepoNotFound", 401)
        sha = held["refs"].get(revision, revision)
        if sha not in held["commits"]:
            return self.refuse("RevisionNotFound")
        return sha, held["commits"][sha]

    def do_GET(self):
        path = urlsplit(self.path).path
        self.server.requests.append((self.command, path))
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[:2] == ["api", "models"] and "tree" in parts:
            found = self.found("/".join(parts[2:4]), parts[5])
            if found:
                self.answer([
                    {"type": "file", "path": name, "size": len(data), "oid": "0" * 40}
                    for name, data in found[1].items()
                ])  # fmt: skip
        elif parts[:2] == ["api", "models"]:
            found = self.found("/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main")
            if found:
                names = [{"rfilename": name} for name in found[1]]
                repo = "/".join(parts[2:4])
                self.answer({"id": repo, "modelId": repo, "sha": found[0], "siblings": names})
        elif len(parts) > 4 and parts[2] == "resolve":
            found = self.found("/".join(parts[:2]), parts[3])
            if found:
                self.file(found[0], found[1], "/".join(parts[4:]))
        else:
            self.refuse("NotFound")

    do_HEAD = do_GET  # noqa: N815

    def file(self, sha, files, name):
        if name not in files:
            return self.refuse("EntryNotFound")
        data = files[name]
        large = len(data) >= LARGE
        plain = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        etag = hashlib.sha256(data).hexdigest() if large else plain
        more = {"X_Linked_Size": str(len(data)), "X_Linked_ETag": f'"{etag}"'} if large else {}
        self.answer(data, ETag=f'"{etag}"', X_Repo_Commit=sha, **more)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = urlsplit(self.path).path.strip("/").split("/")
        self.server.requests.append((self.command, self.path))
        if parts == ["api", "repos", "create"]:
            told = json.loads(body)
            repo = f"{told['organization']}/{told['name']}"
            if self.headers.get("Authorization") != "Bearer right":
                return self.refuse("Unauthorized", 401)
            if repo in self.server.repositories:
                return self.answer({"error": "exists", "url": f"{self.server.url}/{repo}"}, 409)
            self.server.commit(repo, {})
            return self.answer({"url": f"{self.server.url}/{repo}", "id": repo, "name": repo})
        if parts == ["api", "validate-yaml"]:  # of the page
            return self.answer({"errors": [], "warnings": []})
        repo, revision = "/".join(parts[2:4]), unquote(parts[5])
        if parts[4] == "branch":
            self.server.commit(repo, {}, revision)
            return self.answer({})
        if parts[4] == "preupload":
            files = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for f in json.loads(body)["files"]]  # fmt: skip
            return self.answer({"files": files})
        _, files = self.found(repo, revision)
        files = dict(files)
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        sha = self.server.commit(repo, files, revision)
        self.answer({"commitUrl": f"{self.server.url}/{repo}/commit/{sha}", "commitOid": sha,
                     "success": True})  # fmt: skip


@contextmanager
def hub():
    """Run such a hub."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def point_to(url, monkeypatch, tmp_path):
    """Say what the environment would have said when `huggingface_hub` was imported."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.setenv("HF_TOKEN", "right")
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)


def written(tmp_path, name="model.safetensors", seed=0, spec=SMALL, **options):
    """Return (bytes of a file of weights, the weights)."""
    found = initialize(spec.graph, seed)
    path = tmp_path / name
    save_weights(path, spec, found, force=True, **options)
    return path.read_bytes(), found


def same(found, wanted):
    return set(found) == set(wanted) and all(np.array_equal(found[n], wanted[n]) for n in wanted)
