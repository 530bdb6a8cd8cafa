"""A local hub for the real library over HTTP. It can break connections, send wrong files and refuse."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LFS_FROM = 64
"""Files of this size and more have a sha256 in the listing, as large files have on the hub."""


@dataclass
class FakeHub:
    """Repositories of files, simulated faults, and the recorded requests."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    lies: dict[str, bytes] = field(default_factory=dict)
    """Content that is sent for a path instead of the listed one."""
    cut_after: int | None = None
    """Break every connection after so many bytes of a file."""
    refuse: int | None = None
    """Answer everything with this status."""
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)
    """Method, path, Range and Authorization of every request."""
    url: str = ""

    def paths(self, method: str = "GET") -> list[str]:
        """The paths in repositories whose content was asked for."""
        return [
            path.split(f"/resolve/{COMMIT}/")[1]
            for how, path, _, _ in self.asked
            if how == method and "/resolve/" in path
        ]


def start(hub: FakeHub) -> ThreadingHTTPServer:
    """Serve `hub` in a thread; its address is in `hub.url`. The caller shuts the server down."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


class _Handler(BaseHTTPRequestHandler):
    """The two kinds of request that are needed: a model's list of files, and a file."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing on the terminal."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        asked = (self.command, path, self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        self.hub.asked.append(asked)
        if self.hub.refuse:
            self._send(self.hub.refuse, b"{}", {"X-Error-Code": "GatedRepo"} if self.hub.refuse == 403 else {})
        elif path.startswith("/api/models/"):
            repo, _, _ = path.removeprefix("/api/models/").partition("/revision/")
            self._list(repo)
        else:
            repo, _, rest = path[1:].partition("/resolve/")
            self._file(repo, rest.partition("/")[2])

    def _list(self, repo: str) -> None:
        files = self.hub.repositories.get(repo)
        if files is None:
            self._send(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            return
        siblings = []
        for name, data in files.items():
            row: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": _git_sha1(data)}
            if len(data) >= LFS_FROM:
                row["lfs"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "pointerSize": 134}
            siblings.append(row)
        self._send(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode(), {})

    def _file(self, repo: str, name: str) -> None:
        listed = self.hub.repositories.get(repo, {}).get(name)
        if listed is None:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(listed).hexdigest() if len(listed) >= LFS_FROM else _git_sha1(listed)
        data = self.hub.lies.get(name, listed)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        wanted = self.headers.get("Range", "")
        first = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self._send(206 if first else 200, data[first:], headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            cut = self.hub.cut_after if "/resolve/" in self.path else None
            self.wfile.write(body[:cut])
            # Only a connection that was broken in the midst: the client would use a whole one again.
            self.close_connection = cut is not None and len(body) > cut


def _git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
