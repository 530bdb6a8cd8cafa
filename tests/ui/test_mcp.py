"""The five endpoints as tools of MCP, with `--mcp` alone: no tool opens a file of the server, or an address."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.factories import one_person
from tests.ui.caller import Caller, literal, use_tools
from tests.ui.serving import Served, serve
from tests.ui.test_gate import forms, requested
from tests.ui.visitor import META
from ui.api import ENDPOINTS

__all__ = ["requested"]
pytest.importorskip("mcp")
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
def mcp_app(tmp_path_factory: pytest.TempPathFactory, repository: Path, examples: Path) -> Iterator[Served]:
    """The app with its tools."""
    with serve(repository, tmp_path_factory.mktemp("mcp-app"), examples, "--mcp") as served:
        yield served


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, two_person: Path) -> Path:
    """A photo of one person."""
    return one_person(two_person, tmp_path_factory.mktemp("photo") / "one.png")


def data_url(path: Path, kind: str) -> str:
    """The file as a data URL."""
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def test_tools_animate_photo_and_clip(mcp_app: Served, small: Path, clips: dict[str, Path]) -> None:
    photo, clip = data_url(small, "image/png"), data_url(clips["one"], "video/mp4")
    call = {"photo": photo, "clips": [clip], "options": {"seconds": 0.4, "side_by_side": False}}
    tools, answers = use_tools(mcp_app.address, [("faces", {"photo": photo}), ("animate", call)])
    assert [tool.name for tool in tools] == list(ENDPOINTS)
    assert all(values["description"] for tool in tools for values in tool.inputSchema["properties"].values()), (
        "every parameter is described"
    )
    assert not any(failed for failed, _ in answers), answers
    started = literal(answers[1][1])
    assert len(literal(answers[0][1])["faces"]) == 1 and started["cast"] == {"1": "clip:1"}
    Caller(mcp_app.address).finish(started)
    handle = {"token": started["token"], "job": started["job"]}
    _, [(failed, text)] = use_tools(mcp_app.address, [("result", handle)])
    result = literal(text)
    assert not failed and result["frames"] == 10
    assert httpx.get(result["video"]["url"], trust_env=False).content[4:8] == b"ftyp"


def test_tools_open_own_uploads_only(
    mcp_app: Served, small: Path, clips: dict[str, Path], requested: tuple[str, list[str]], tmp_path: Path
) -> None:
    """Though gradio's tools would read a file of the server, or fetch an address, for a description of a file."""
    caller = Caller(mcp_app.address)
    address, requests = requested
    others, own = caller.upload(small), caller.upload(clips["one"])
    assert caller.ok("faces", others)["faces"]
    hostile = forms(tmp_path, small, clips["one"], others["path"], own["path"], address)
    calls: list[tuple[str, dict[str, Any]]] = []
    for path in hostile.values():
        file = path if isinstance(path, dict) else {"path": path, "meta": META, "url": f"{address}/x.png"}
        calls += [("faces", {"photo": file}), ("faces", {"photo": path}), ("animate", {"photo": file, "clips": [file]})]
    calls = [call for call in calls if len(str(call)) < 100_000]
    _, answers = use_tools(mcp_app.address, calls)
    for call, (failed, text) in zip(calls, answers, strict=True):
        assert failed and "frames" not in text, call
        assert str(mcp_app.results) not in text, call
    assert requests == []


def test_tools_refuse_other_names_tokens_and_values(mcp_app: Served, small: Path) -> None:
    photo = data_url(small, "image/png")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("enter", {"token": ""}), ("act", {}), ("__init__", {}), ("faces", {}), ("faces", {"photo": photo, "more": 1}),
        ("job", {"token": "x" * 32, "job": "0" * 32}), ("result", {"token": "", "job": ""}), ("cancel", {"token": "x"}),
        ("animate", {"photo": photo, "options": {"seconds": 1e9}}),
        ("animate", {"photo": photo, "cast": {"9": "still"}}),
    ]  # fmt: skip
    _, answers = use_tools(mcp_app.address, calls)
    for call, (failed, text) in zip(calls, answers, strict=True):
        assert failed and "Traceback" not in text, call


@pytest.mark.parametrize(
    ("method", "path", "given", "status"),
    [
        ("GET", "/mcp/", {}, 405),
        ("DELETE", "/mcp", {}, 405),
        ("GET", "/mcp/schema", {}, 404),
        ("GET", "/mcp/sse", {}, 404),
        ("POST", "/mcp/messages/", {"json": LIST}, 404),
        ("POST", "/mcp/http", {"json": LIST}, 404),
        ("POST", "/mcp/", {"content": str(LIST), "headers": {"content-type": "text/plain"}}, 415),
        ("POST", "/mcp/", {"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/mcp/", {"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400),
        ("POST", "/mcp/", {"json": [LIST]}, 400),
        ("POST", "/mcp/", {"json": {**LIST, "x": "x" * (25 << 20)}}, 400),
    ],
)
def test_other_messages_are_refused(
    mcp_app: Served, method: str, path: str, given: dict[str, Any], status: int
) -> None:
    assert Caller(mcp_app.address).http.request(method, path, **given).status_code == status
