"""A visitor without a browser: sends what a page would send, or what no page would."""

import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from fantasyportrait.core.sentences import decode

TIMEOUT_S = 60
WAIT_S = 120
META = {"_type": "gradio.FileData"}


class Visitor:
    """One session with the app at `address`; `token` continues an earlier one."""

    def __init__(self, address: str, token: str = "") -> None:
        self._site = httpx.Client(base_url=address, timeout=TIMEOUT_S, trust_env=False)
        self._http = httpx.Client(base_url=f"{address}/gradio_api", timeout=TIMEOUT_S, trust_env=False)
        self.hash = uuid.uuid4().hex
        config = self._site.get("/config").json()
        self._page = next(item["id"] for item in config["components"] if item["props"].get("elem_id") == "studio")
        load = next(item for item in config["dependencies"] if ["load"] in [t[1:] for t in item["targets"]])
        self.first = self.listen(load["id"], [token])["data"][1]
        self.token = str(self.first["token"])

    def listen(self, listener: int, data: list[Any]) -> dict[str, Any]:
        """Call a listener through gradio's queue; returns the output of the last message."""
        body = {"fn_index": listener, "data": data, "session_hash": self.hash, "trigger_id": None}
        self._http.post("/queue/join", json=body).raise_for_status()
        last: dict[str, Any] = {}
        with self._http.stream("GET", "/queue/data", params={"session_hash": self.hash}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    last = message
                if message.get("msg") == "close_stream":
                    break
        return dict(last.get("output", {}))

    def upload(self, path: Path) -> str:
        """Upload a file; returns where the server keeps it."""
        with path.open("rb") as file:
            return str(self._http.post("/upload", files={"files": file}).json()[0])

    def function(self, name: str, data: Any) -> httpx.Response:
        """Call a function of the page with any data."""
        body = {"data": data, "component_id": self._page, "fn_name": name, "session_hash": self.hash}
        return self._http.post("/component_server", json=body)

    def call(self, name: str, **data: Any) -> dict[str, Any]:
        """Call a function of the page with the visitor's token; returns its answer."""
        return dict(decode(self.function(name, {"token": self.token, **data}).raise_for_status().json()))

    def act(self, action: str, **arguments: Any) -> dict[str, Any]:
        """Carry out an action; returns the view, with the "error"."""
        return self.call("act", action=action, arguments=arguments)

    def view(self) -> dict[str, Any]:
        """The view of the session."""
        return self.call("view")

    def send_photo(self, path: Path) -> dict[str, Any]:
        """Upload a photo and show it; returns the view."""
        return self.act("set_photo", path=self.upload(path), name=path.name)

    def send_clip(self, path: Path, face: int = 1) -> dict[str, Any]:
        """Upload a clip for a face; returns the view, in which it is not checked yet."""
        return self.act("add_clip", path=self.upload(path), name=path.name, face=face)

    def wait(self, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The first view for which the condition is true."""
        end_s = time.monotonic() + WAIT_S
        while True:
            view = self.view()
            if condition(view):
                return view
            assert time.monotonic() < end_s, f"still {view}"
            time.sleep(0.1)

    def animate(self) -> dict[str, Any]:
        """Run a job for the scene as it is; returns its result."""
        before = {result["id"] for result in self.view()["results"]}
        started = self.act("animate")
        assert not started["error"], started["error"]
        done = self.wait(lambda view: not any(job["state"] in ("pending", "running") for job in view["jobs"]))
        new = [result for result in done["results"] if result["id"] not in before]
        assert new, f"no result: {done['jobs']}"
        return dict(new[0])

    def fetch(self, url: str) -> httpx.Response:
        """A file by its URL, relative to the page."""
        return self._site.get(f"/{url}")

    def fetch_path(self, path: str) -> httpx.Response:
        """A file by its path on the server."""
        return self._http.get(f"/file={path}")

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Any request beneath the server's interface."""
        return self._http.request(method, path, **given)

    def interface(self) -> dict[str, Any]:
        """The server's API description."""
        return dict(self._http.get("/info").json())
