"""The server opens only files that the same session uploaded, for any value that a client sends."""

import os
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.service.factories import one_person
from tests.ui.serving import Served
from tests.ui.visitor import META, Visitor

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes named pipes and sockets")

REFUSED = "this file is not here"


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """A photo of one person, not uploaded yet."""
    return one_person(two_person, tmp_path_factory.mktemp("photo") / "one.png")


@pytest.fixture(scope="module")
def visitor(app: Served, photo: Path) -> Visitor:
    """A visitor with a photo and its face card."""
    someone = Visitor(app.address)
    someone.send_photo(photo)
    return someone


@pytest.fixture(scope="module")
def requested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the paths that were requested from it."""
    paths: list[str] = []

    class Counter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Counter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", paths
        server.shutdown()


def forms(folder: Path, photo: Path, clip: Path, others: str, own: str, address: str) -> dict[str, Any]:
    """Every form of a path that is none of one's own uploads, by what it is."""
    link = folder / "link.png"
    link.symlink_to(photo)
    os.mkfifo(folder / "pipe.png")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    listening.close()
    mine = Path(own)
    return {
        "a photo of the server": str(photo),
        "a clip of the server": str(clip),
        "a file that is not there": str(folder / "none.png"),
        "a folder": str(folder),
        "the upload folder": str(mine.parent.parent),
        "another visitor's upload": others,
        **{f"a descriptor of the server, {number}": f"/proc/self/fd/{number}" for number in range(3)},
        "what the server reads": "/dev/stdin",
        "a device": "/dev/zero",
        "a named pipe": str(folder / "pipe.png"),
        "a socket": str(folder / "socket"),
        "a symbolic link": str(link),
        "a way up": f"{mine.parent}/../{mine.parent.name}/{mine.name}",
        "a way out": f"{mine.parent}/../../../../../../..{photo}",
        "a dot": f"{mine.parent}/./{mine.name}",
        "a double slash": f"{mine.parent}//{mine.name}",
        "a file of the working folder": "assets/two_people.png",
        "an empty path": "",
        "an address": f"{address}/photo.png",
        "an address of a file": f"file://{photo}",
        "the server's own address": f"{address}/gradio_api/file={own}",
        "a NUL character": f"{own}\0.png",
        "a long path": "/" + "a" * 5000,
        "a very long path": "/tmp/" + "../tmp/" * 50_000,
        "a number": 3,
        "true": True,
        "nothing": None,
        "a list": [own],
        "an object": {"path": others, "meta": META},
        "an object without more": {"path": str(photo)},
    }


@pytest.mark.parametrize("action", ["set_photo", "add_clip"])
def test_actions_open_own_uploads_only(
    app: Served,
    visitor: Visitor,
    photo: Path,
    clips: dict[str, Path],
    requested: tuple[str, list[str]],
    tmp_path: Path,
    action: str,
) -> None:
    """With the same message whether the file exists or not."""
    other = Visitor(app.address)
    (tmp_path / "other.png").write_bytes(photo.read_bytes() + action.encode())
    others = other.upload(tmp_path / "other.png")
    assert other.act("set_photo", path=others, name="other.png")["photo"]["faces"]
    address, requests = requested
    before = visitor.view()
    for what, value in forms(tmp_path, photo, clips["one"], others, visitor.upload(clips["one"]), address).items():
        answer = visitor.act(action, path=value, name="x.png")
        assert answer["error"].startswith(REFUSED), what
        assert (answer["photo"]["id"], answer["clips"]) == (before["photo"]["id"], before["clips"]), what
    assert requests == []


def test_visitor_uses_own_uploads(app: Served, visitor: Visitor, clips: dict[str, Path]) -> None:
    assert visitor.send_clip(clips["one"])["error"] == ""
    ready = visitor.wait(lambda view: view["clips"] and view["clips"][-1]["state"] == "ready")
    assert len(ready["clips"][-1]["people"]) == 1
    other = Visitor(app.address)
    assert "is a video, not a photo" in other.send_photo(clips["one"])["photo"]["error"]


def test_visitors_with_same_file_have_own_copies(app: Served, photo: Path) -> None:
    first, second = Visitor(app.address), Visitor(app.address)
    shown = [each.send_photo(photo)["photo"]["url"] for each in (first, second)]
    assert len({url.split("/")[1] for url in shown}) == 2


def test_upload_is_refused_in_other_session(app: Served, visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine.png"
    copy.write_bytes(photo.read_bytes() + b"mine")
    stored = visitor.upload(copy)
    assert visitor.act("set_photo", path=stored, name="mine.png")["error"] == ""
    other = Visitor(app.address)
    answer = other.act("set_photo", path=stored, name="mine.png")
    assert answer["error"].startswith(REFUSED) and answer["photo"] is None


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("POST", "/process_recording", {"files": {"video": b"x"}}),
        ("GET", "/proxy=https://example.hf.space/", {}),
        ("GET", "/deep_link?session_hash=x", {}),
        ("GET", "/mcp/", {}),
        ("POST", "/mcp", {"json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}}),
        ("POST", "/mcp/", {"json": {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}}),
        ("GET", "/mcp/schema", {}),
        ("GET", "/mcp/sse", {}),
        ("POST", "/run/faces", {"json": {"data": [""]}}),
        ("POST", "/api/faces", {"json": {"data": [""]}}),
        ("POST", "/call/v2/faces", {"json": {"photo": ""}}),
        ("POST", "/call/faces/", {"json": {"data": [""]}}),
        ("POST", "/call/enter", {"json": {"data": [""]}}),
        ("POST", "/call/lambda", {"json": {"data": [""]}}),
        ("GET", "/call/faces", {}),
        ("GET", "/call/faces/x", {}),
        ("GET", f"/call/enter/{'0' * 32}", {}),
        ("GET", f"/call/v2/faces/{'0' * 32}", {}),
        ("POST", "/file=files/x", {}),
        ("POST", "/run/check", {"json": {"data": [], "fn_index": 0}}),
        ("POST", "/api/predict", {"json": {"data": [], "fn_index": 0}}),
        ("POST", "/call/check", {"json": {"data": []}}),
        ("POST", "/call/v2/check", {"json": {}}),
        ("POST", "/vibe-edit", {"json": {"prompt": "x"}}),
        ("POST", "/run-history/connect", {"json": {}}),
        ("GET", "/openapi.json", {}),
        ("GET", "/custom_component/x/client/component/index.js", {}),
        ("POST", "/stream/x", {"json": {"data": []}}),
        ("GET", "/runs", {}),
        ("GET", "/file/etc/hostname", {}),
        ("PUT", "/upload", {}),
        ("TRACE", "/config", {}),
    ],
)
def test_unused_gradio_routes_return_404(visitor: Visitor, method: str, path: str, given: dict[str, Any]) -> None:
    assert visitor.ask(method, path, **given).status_code == 404


@pytest.mark.parametrize("name", ["ls", "get_config", "__init__", "preprocess"])
def test_only_functions_of_page_are_called(visitor: Visitor, name: str) -> None:
    assert visitor.function(name, {}).status_code == 400


@pytest.mark.parametrize("data", [None, [], "x", 3, [{"token": "x"}]])
def test_function_of_page_refuses_other_data(visitor: Visitor, data: Any) -> None:
    assert visitor.function("act", data).status_code == 400


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname", "https://example.org/a.png", "http://127.0.0.1/", "assets/two_people.png", "../app.py",
        "file:///etc/hostname", "/proc/self/environ", "//etc/hostname", "/etc/hostname%00",
    ],
)  # fmt: skip
def test_files_outside_sessions_are_not_served(app: Served, visitor: Visitor, name: str) -> None:
    assert visitor.fetch_path(name).status_code in (403, 404)
    assert visitor.fetch_path(f"{app.results}/../{name}").status_code in (403, 404)


def test_only_files_of_page_are_served_from_session(app: Served, visitor: Visitor) -> None:
    """Not the state, not the store of jobs, no folder, and nothing of a session whose id is unknown."""
    url = visitor.view()["photo"]["url"]
    assert visitor.fetch(url).status_code == 200
    _, session, *_ = url.split("/")
    for path in ("state.json", "shown", "shown/", "shown/../state.json", "shown/%2e%2e/state.json", ".", "shown/.x"):
        assert visitor.fetch(f"files/{session}/{path}").status_code in (403, 404), path
    assert visitor.fetch(f"files/{'0' * 32}/{url.split('/', 2)[2]}").status_code in (403, 404)
    for path in (f"files/{session}/state.json", f"files/{session}/shown/../state.json", f"files/{session}/shown"):
        assert visitor.fetch_path(path).status_code in (403, 404), path
    for path in ("jobs.sqlite3", f"{session}/state.json"):
        assert visitor.fetch_path(f"{app.results}/sessions/{path}").status_code in (403, 404), path


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"data": []}', b'{"data": [], "session_hash": null, "fn_index": 0', b"[" * 100_000]
)
@pytest.mark.parametrize("route", ["/queue/join", "/component_server"])
def test_malformed_call_is_refused(visitor: Visitor, route: str, body: bytes) -> None:
    answer = visitor.ask("POST", route, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_oversized_call_and_upload_are_refused(visitor: Visitor) -> None:
    answer = visitor.ask("POST", "/queue/join", json={"data": ["x" * (2 << 20)], "session_hash": "x", "fn_index": 0})
    assert answer.status_code == 400
    endless = visitor.ask("POST", "/upload", content=iter([b"x"]), headers={"content-type": "multipart/form-data"})
    assert endless.status_code == 411
