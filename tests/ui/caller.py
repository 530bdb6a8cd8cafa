"""A program that calls the API: over HTTP as curl does, and over MCP as an assistant does."""

import ast
import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx

from tests.ui.visitor import TIMEOUT_S, WAIT_S


class Caller:
    """Calls the endpoints of the app at `address` by their names."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=f"{address}/gradio_api", timeout=TIMEOUT_S, trust_env=False)

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file; returns it as an endpoint takes it."""
        with path.open("rb") as file:
            stored = self.http.post("/upload", files={"files": (path.name, file)}).raise_for_status().json()[0]
        return {"path": stored, "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}

    def call(self, name: str, *data: Any) -> tuple[dict[str, Any], str]:
        """Call an endpoint; returns its answer, and its error, of which one is empty."""
        started = self.http.post(f"/call/{name}", json={"data": list(data)}).raise_for_status().json()
        with self.http.stream("GET", f"/call/{name}/{started['event_id']}") as answer:
            lines = [line for line in answer.iter_lines() if line]
        event, data_line = lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))
        return (data_line[0], "") if event == "complete" else ({}, str(data_line["error"]))

    def ok(self, name: str, *data: Any) -> dict[str, Any]:
        """The answer of a call that must succeed."""
        answer, error = self.call(name, *data)
        assert not error, error
        return answer

    def animate(self, photo: Any, clips: Any = None, cast: Any = None, **options: Any) -> dict[str, Any]:
        """Start a job without a token."""
        return self.ok("animate", photo, clips, cast, {"side_by_side": False, **options}, None)

    def finish(self, started: dict[str, Any]) -> dict[str, Any]:
        """The result of a job, once it has ended."""
        handle = started["token"], started["job"]
        end_s = time.monotonic() + WAIT_S
        while (state := self.ok("job", *handle))["state"] in ("pending", "running"):
            assert time.monotonic() < end_s, f"still {state}"
            time.sleep(0.1)
        return self.ok("result", *handle)


def use_tools(address: str, calls: list[tuple[str, dict[str, Any]]]) -> tuple[list[Any], list[tuple[bool, str]]]:
    """List the tools of the MCP server, then call some: whether each failed, and its text."""
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async def work() -> tuple[list[Any], list[tuple[bool, str]]]:
        async with (
            streamable_http_client(f"{address}/gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            tools = (await session.list_tools()).tools
            answers = [await session.call_tool(name, arguments) for name, arguments in calls]
            return tools, [(bool(each.isError), each.content[0].text) for each in answers]

    return asyncio.run(work())


def literal(text: str) -> dict[str, Any]:
    """The answer of a tool from its text."""
    value = ast.literal_eval(text)
    assert isinstance(value, dict)
    return value
