"""A visitor without a browser: sends what a page would send, or what no page would."""

import json
import uuid
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_S = 60
META = {"_type": "gradio.FileData"}
CARD_LABELS = {
    "Driving clip": "clip",
    "Who drives": "person",
    "Webcam": "webcam",
    "Motion": "motion",
    "Strength": "strength",
    "What follows": "regions",
    "Swap the driver's left and right": "mirror",
}
"""The names of a card's values by the labels of its widgets; the first choice, the kind, has no label."""


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
        return self.send_photo_at(self.upload(path))

    def upload(self, path: Path) -> str:
        """Upload a file; returns where the server keeps it."""
        with path.open("rb") as file:
            return str(self._http.post("/upload", files={"files": file}).json()[0])

    def send_photo_at(self, stored: str, **card: Any) -> dict[str, Any]:
        """Name a file of the server as the photo, with these values of the card before, and draw the cards."""
        return self.send("photo", {"path": stored, "orig_name": "photo.png", "meta": META}, **card)

    def send(self, component: str, value: object, **card: Any) -> dict[str, Any]:
        """Send any value to the listener of a component (photo, clip or webcam); returns the last message."""
        listener = self._listener(component, "stop_recording" if component == "webcam" else "upload")
        answer = self.call(listener["id"], self._data(listener, {component: value, **card}))
        if component == "photo":
            self.draw()
        return answer

    def animate(self, **values: Any) -> dict[str, Any]:
        """Run Animate's second half with these values of the options and the card; returns the last message."""
        listener = next(item for item in self._listeners if item["targets"][0][1] == "then")
        return self.call(listener["id"], self._data(listener, values))

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

    def ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Any request beneath the server's interface."""
        return self._http.request(method, path, **given)

    def interface(self) -> dict[str, Any]:
        """The server's API description."""
        return dict(self._http.get("/info").json())

    def _data(self, listener: dict[str, Any], values: dict[str, Any]) -> list[Any]:
        """The values in the order of the listener's inputs, None where there is no value."""
        names = [_name(self._components[number]) for number in listener["inputs"]]
        assert set(values) <= set(names), f"{set(values) - set(names)} is no input"
        return [values.get(name) for name in names]

    def _listener(self, place: str, event: str) -> dict[str, Any]:
        ids = {number for number, item in self._components.items() if _stands_for(item["props"], place)}
        return next(item for item in self._listeners if any(t[0] in ids and t[1] == event for t in item["targets"]))


def _name(component: dict[str, Any]) -> str:
    """The name of the value of a component."""
    props = component["props"]
    if props.get("elem_id"):
        return str(props["elem_id"]).removeprefix("option-").replace("-", "_")
    return CARD_LABELS.get(props.get("label"), "kind" if component["type"] == "radio" else component["type"])


def _stands_for(props: dict[str, Any], place: str) -> bool:
    labels = {"clip": "Driving clip", "webcam": "Webcam"}
    return props.get("label") == labels[place] if place in labels else props.get("elem_id") == place
