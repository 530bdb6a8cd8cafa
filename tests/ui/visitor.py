"""A visitor without a browser: sends what a page would send, or what no page would."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 60


class Visitor:
    """One session with the app at `address`."""

    def __init__(self, address: str) -> None:
        self.session = uuid.uuid4().hex
        self._http = httpx.Client(base_url=f"{address}/gradio_api", timeout=TIMEOUT_S, trust_env=False)
        config = httpx.get(f"{address}/config", timeout=TIMEOUT_S, trust_env=False).json()
        self._render = next(
            item["id"] for item in config["dependencies"] if ["load"] in [t[1:] for t in item["targets"]]
        )
        self._components = {item["id"]: item for item in config["components"]}
        self._listeners: list[dict[str, Any]] = []
        self.draw()

    def draw(self) -> None:
        """Have the cards drawn, as the page does when the photo changes."""
        config = self.call(self._render, [None])["render_config"]
        self._listeners = config["dependencies"]
        self._components |= {item["id"]: item for item in config["components"]}

    def send_photo(self, path: Path) -> dict[str, Any]:
        """Upload a photo and draw its cards; returns the last message."""
        with path.open("rb") as file:
            stored = self._http.post("/upload", files={"files": file}).json()[0]
        return self.send_photo_at(stored)

    def send_photo_at(self, stored: str) -> dict[str, Any]:
        """Name a file of the server as the photo, and draw the cards."""
        listener = self._listener("photo", "upload")
        data: list[Any] = [None] * len(listener["inputs"])
        data[0] = {"path": stored, "orig_name": "photo.png", "meta": {"_type": "gradio.FileData"}}
        answer = self.call(listener["id"], data)
        self.draw()
        return answer

    def animate(self, *values: Any) -> dict[str, Any]:
        """Run Animate's second half with these values of the options and cards; returns the last message."""
        listener = next(item for item in self._listeners if item["targets"][0][1] == "then")
        return self.call(listener["id"], [None, None, *values])

    def call(self, listener: int, data: list[Any]) -> dict[str, Any]:
        """Call a listener through the queue; returns the last message."""
        body = {"fn_index": listener, "data": data, "session_hash": self.session, "trigger_id": None}
        self._http.post("/queue/join", json=body).raise_for_status()
        last: dict[str, Any] = {}
        with self._http.stream("GET", "/queue/data", params={"session_hash": self.session}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    last = message
                if message.get("msg") == "close_stream":
                    break
        return {**last.get("output", {}), "success": last.get("success")}

    def result(self, answer: dict[str, Any]) -> str:
        """The URL of the video in a message of `animate`."""
        return str(answer["data"][7]["path"])

    def fetch(self, path: str) -> httpx.Response:
        """A file by its path on the server."""
        return self._http.get(f"/file={path}")

    def interface(self) -> dict[str, Any]:
        """What the server says that programs may call."""
        return dict(self._http.get("/info").json())

    def _listener(self, place: str, event: str) -> dict[str, Any]:
        ids = {number for number, item in self._components.items() if item["props"].get("elem_id") == place}
        return next(item for item in self._listeners if any(t[0] in ids and t[1] == event for t in item["targets"]))
