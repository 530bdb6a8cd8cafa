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
from tests.ui.factories import card, options
from tests.ui.serving import Served
from tests.ui.visitor import META, Visitor
from ui.form import CLIP, WEBCAM

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes named pipes and sockets")

REFUSED = "his file is not here"
FOUND = ("face found", "faces found", "shows one person", "people: choose")
COMPONENTS = ("photo", "clip", "webcam")


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
        "an object": {"path": own, "meta": META},
    }


def descriptions(path: object) -> list[Any]:
    """The path as a page describes a file, and without `meta`."""
    return [{"path": path, "orig_name": "photo.png", "meta": META}, {"path": path}]


def odd_descriptions(path: object) -> list[Any]:
    """The path in forms that no page sends."""
    return [
        {"path": path, "meta": {"_type": "other"}},
        {"path": path, "is_stream": True, "meta": META},
        {"path": path, "is_file": True, "url": path, "meta": META},
        {"path": path, "url": path, "size": -1},
        {"value": {"path": path, "meta": META}, "meta": META},
        {"video": {"path": path, "meta": META}, "subtitles": None},
        [{"path": path, "meta": META}],
        path,
    ]


def test_components_open_own_uploads_only(
    app: Served, visitor: Visitor, photo: Path, clips: dict[str, Path], requested: tuple[str, list[str]], tmp_path: Path
) -> None:
    """By any component, with the same message whether the file exists or not."""
    other = Visitor(app.address)
    (tmp_path / "other.png").write_bytes(photo.read_bytes() + b"another file")
    others = other.upload(tmp_path / "other.png")
    assert "1 face found" in str(other.send_photo_at(others))
    address, requests = requested
    own = visitor.upload(clips["one"])
    known = forms(tmp_path, photo, clips["one"], others, own, address)
    values = [(what, value) for what, path in known.items() for value in descriptions(path)]
    odd = ("another visitor's upload", "a device")
    values += [(what, value) for what in odd for value in odd_descriptions(known[what])]
    for what, value in values:
        for component in COMPONENTS:
            answer = visitor.send(component, value)
            text = str(answer)
            assert not any(word in text for word in FOUND), f"{what} as {component}: {value}"
            assert not answer["success"] or REFUSED in text, f"{what} as {component}: {value}"
    assert requests == []


@pytest.mark.parametrize("kind", [CLIP, WEBCAM])
def test_animate_accepts_own_uploads_only(
    app: Served, visitor: Visitor, photo: Path, clips: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    """Existing and missing files get the same answer."""
    before, answers = set(app.results.rglob("*.mp4")), set()
    for path in (str(clips["one"]), str(clips["two"]), str(tmp_path / "none.mp4"), "/dev/zero", "/proc/self/fd/0"):
        for description in ({"path": path, "meta": META}, {"path": path}):
            answer = visitor.animate(**options(), **vars(card(kind=kind, **{kind: description})))
            assert answer["success"] and 'role="alert"' in str(answer["data"][2])
            answers.add(str(answer["data"][2]))
    assert len(answers) == 1 and "The clip of face 1 cannot be used: this file is not here" in answers.pop()
    assert set(app.results.rglob("*.mp4")) == before


def test_kept_card_file_is_not_sent_back(app: Served, photo: Path, tmp_path: Path) -> None:
    """Values of cards are put into the next cards."""
    someone = Visitor(app.address)
    someone.send_photo(photo)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    for forged in ({"path": str(secret), "meta": META}, {"path": str(secret)}):
        drawn = someone.send_photo_at(someone.upload(photo), **dict.fromkeys(vars(card()), forged))
        assert "secret" not in str(drawn) + str(someone.draw())
        served = [path for path in app.results.parent.rglob("secret.txt") if path != secret]
        assert served == []


def test_visitor_uses_own_uploads(app: Served, visitor: Visitor, clips: dict[str, Path]) -> None:
    stored = visitor.upload(clips["one"])
    assert "shows one person" in str(visitor.send("clip", {"path": stored, "meta": META}))
    assert "shows one person" in str(visitor.send("webcam", {"path": stored}))
    other = Visitor(app.address)
    again = other.upload(clips["one"])
    assert again == stored, "one file, one path"
    assert "is a video, not a photo" in str(other.send("photo", {"path": stored, "meta": META}))


def test_upload_is_refused_in_other_session(app: Served, visitor: Visitor, photo: Path, tmp_path: Path) -> None:
    copy = tmp_path / "mine.png"
    copy.write_bytes(photo.read_bytes())
    stored = visitor.upload(copy)
    assert "1 face found" in str(visitor.send_photo_at(stored))
    other = Visitor(app.address)
    for description in ({"path": stored, "meta": META}, {"path": stored}):
        answer = other.send("photo", description)
        assert not answer["success"] and "found" not in str(answer)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("POST", "/process_recording", {"files": {"video": b"x"}}),
        ("GET", "/proxy=https://example.hf.space/", {}),
        ("POST", "/component_server", {"json": {"data": [], "component_id": 1, "session_hash": "x", "fn_name": "ls"}}),
        ("GET", "/deep_link?session_hash=x", {}),
        ("GET", "/mcp/", {}),
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


@pytest.mark.parametrize(
    "name",
    [
        "/etc/hostname", "https://example.org/a.png", "http://127.0.0.1/", "assets/two_people.png", "../app.py",
        "file:///etc/hostname", "/proc/self/environ", "//etc/hostname", "/etc/hostname%00",
    ],
)  # fmt: skip
def test_files_outside_uploads_are_not_served(app: Served, visitor: Visitor, name: str) -> None:
    assert visitor.fetch(name).status_code in (403, 404)
    assert visitor.fetch(f"{app.results}/../{name}").status_code in (403, 404)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"data": []}', b'{"data": [], "session_hash": null, "fn_index": 0', b"[" * 100_000]
)
def test_malformed_call_is_refused(visitor: Visitor, body: bytes) -> None:
    answer = visitor.ask("POST", "/queue/join", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400


def test_oversized_call_and_upload_are_refused(visitor: Visitor) -> None:
    answer = visitor.ask("POST", "/queue/join", json={"data": ["x" * (2 << 20)], "session_hash": "x", "fn_index": 0})
    assert answer.status_code == 400
    endless = visitor.ask("POST", "/upload", content=iter([b"x"]), headers={"content-type": "multipart/form-data"})
    assert endless.status_code == 411
