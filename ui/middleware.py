"""Limits what the server answers: routes that the page uses, the files of sessions, calls of the page's functions."""

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fantasyportrait.studio.uploads import MAX_UPLOAD_BYTES, UploadRegistry
from ui.api import ENDPOINTS, PREFIX as API

FILE, UPLOAD, FUNCTION = f"{API}/file=", f"{API}/upload", f"{API}/component_server"
CALL_ROUTES = (f"{API}/queue/join", f"{API}/run/predict", FUNCTION)
"""The routes of listeners, with and without gradio's queue, and of the page's functions."""
MAX_CALL_BYTES = 1 << 20
CALL, MCP = f"{API}/call/", f"{API}/mcp"
MAX_MCP_BYTES = 24 << 20
"""Of a call of an MCP tool, whose photo and clips are data URLs."""
SESSION_FILE = re.compile(r"/files/([0-9a-f]{32})/((?:files|shown|results)(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)")
"""The URL of a file of a session: the random id, and the path in its folder."""
SHARED_FILE = re.compile(r"/shared/[0-9a-f]{32}/fantasyportrait\.mp4")
"""The URL of a result that its visitor shares."""
FORM_BYTES = 1 << 16
"""The size of an upload form without its file."""
ROUTES = {
    "GET": re.compile(
        r"/|/config/?|/favicon\.ico|/robots\.txt|/theme\.css|/manifest\.json|/(social|icon)\.png"
        r"|/(assets|static|svelte)/.+"
        rf"|{SESSION_FILE.pattern}|{SHARED_FILE.pattern}"
        rf"|{API}/(info/?|theme\.css|startup-events|login_check/?|app_id/?|upload_progress|queue/(data|status)"
        r"|heartbeat/\w+|file=.+)"
    ),
    "POST": re.compile(rf"{API}/(queue/join|run/predict|upload|component_server/?|cancel|reset/?)"),
}
API_ROUTES = {
    "GET": re.compile(rf"{CALL}({'|'.join(ENDPOINTS)})/[0-9a-f]{{32}}"),
    "POST": re.compile(rf"{CALL}({'|'.join(ENDPOINTS)})"),
}
"""The routes of calls without gradio_client: one starts a call, the other reads its answer."""
ALL_ROUTES = (ROUTES, API_ROUTES)
ROUTES["HEAD"] = ROUTES["GET"]


class RouteFilter:
    """An ASGI middleware in front of gradio: a route that the page does not need gets 404.

    A value may name a file only where that is an upload of the same session (`registry`); a listener asks the registry
    again, which then looks at the file itself. A file is sent only out of the folders of `sessions`, by its URL
    files/<id of the session>/<path> or by its path; a shared video is sent out of `shared`, by its URL alone.
    Of the components' functions only `functions` are called.

    `endpoints` are the listeners of the API. They authorize files themselves, by the session of their token, so gradio
    gets no description of a file for them: it would open or fetch what one names. With `mcp` they are MCP tools too.
    """

    def __init__(
        self,
        app: ASGIApp,
        registry: UploadRegistry,
        sessions: Path,
        shared: Path,
        functions: Collection[str],
        endpoints: Collection[int] = (),
        mcp: bool = False,
    ) -> None:
        self._app, self._registry, self._functions = app, registry, functions
        self._sessions, self._shared = sessions, shared
        self._endpoints, self._mcp = endpoints, mcp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))
        root = scope["path"].removesuffix(path)
        if path.startswith(f"{FILE}files/"):
            # gradio_client asks for the path of a result, which is its relative URL.
            path = f"/{path.removeprefix(FILE)}"
        if self._mcp and path.rstrip("/") == MCP:
            await self._call_tool(scope, receive, send)
        elif not any(scope["method"] in table and table[scope["method"]].fullmatch(path) for table in ALL_ROUTES):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif path.startswith(FILE) and not self._is_servable(path.removeprefix(FILE)):
            await PlainTextResponse("File not allowed", 403)(scope, receive, send)
        elif SESSION_FILE.fullmatch(path):
            await self._file(root, f"{self._sessions.as_posix()}{path.removeprefix('/files')}", scope, receive, send)
        elif SHARED_FILE.fullmatch(path):
            await self._file(root, f"{self._shared.as_posix()}{path.removeprefix('/shared')}", scope, receive, send)
        elif path.rstrip("/") in CALL_ROUTES or (path.startswith(CALL) and scope["method"] == "POST"):
            await self._call(scope, receive, send, named=path.startswith(CALL))
        elif path == UPLOAD:
            await self._upload(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _file(self, root: str, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the file `name` of the server, as gradio serves it beneath the path `root`.

        Without its name, which would replace the one that the page gives to a download.
        """
        file = f"{root}{FILE}{name}"

        async def send_without_name(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (key, value.split(b";")[0] if key.lower() == b"content-disposition" else value)
                    for key, value in message["headers"]
                ]
                message = {**message, "headers": headers}
            await send(message)

        await self._app({**scope, "path": file, "raw_path": quote(file).encode()}, receive, send_without_name)

    def _is_servable(self, name: str) -> bool:
        """Whether the path is that of a file of a session; gradio checks the file itself."""
        folder = f"{self._sessions.as_posix()}/"
        return name.startswith(folder) and SESSION_FILE.fullmatch(f"/files/{name.removeprefix(folder)}") is not None

    async def _call(self, scope: Scope, receive: Receive, send: Send, named: bool) -> None:
        """Pass on a call: of a listener with files of its own session, of a function of the page, or of an endpoint.

        `named`: of an endpoint by its name, which is all that its route calls.
        """
        body = await _read(receive, MAX_CALL_BYTES)
        try:
            call = json.loads(body or b"")
            if named:
                call = {"data": _plain_files(_list(call["data"]))}
            elif "fn_name" in call:
                if call["fn_name"] not in self._functions or not isinstance(call["data"], dict):
                    raise ValueError(call["fn_name"])
            elif call["fn_index"] in self._endpoints:
                call["data"] = _plain_files(_list(call["data"]))
            else:
                call["data"] = _own_files(call["data"], str(call["session_hash"]), self._registry)
        except (ValueError, KeyError, TypeError, RecursionError):
            await JSONResponse({"detail": "this is not a call of the page"}, 400)(scope, receive, send)
            return
        # Serialised again, as another parser might read the original bytes differently.
        await self._app(*_with_body(scope, receive, json.dumps(call).encode()), send)

    async def _call_tool(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a message of an MCP client. There are no streams of the server, which a GET would ask for."""
        kind = dict(scope["headers"]).get(b"content-type", b"").partition(b";")[0].strip().lower()
        if scope["method"] != "POST":
            await PlainTextResponse("Method Not Allowed", 405, {"Allow": "POST"})(scope, receive, send)
            return
        if kind != b"application/json":
            # A page of another site can send every other type without asking.
            await PlainTextResponse("Unsupported Media Type", 415)(scope, receive, send)
            return
        body = await _read(receive, MAX_MCP_BYTES)
        try:
            message = _plain_files(json.loads(body or b""))
            if not isinstance(message, dict):
                raise TypeError(type(message))
        except (ValueError, TypeError, RecursionError):
            await JSONResponse({"detail": "this is not a message of MCP, or it is too large"}, 400)(
                scope, receive, send
            )
            return
        await self._app(*_with_body(scope, receive, json.dumps(message).encode()), send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Limit the size of the request, and register the uploaded files."""
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit():
            await PlainTextResponse("Length Required", 411)(scope, receive, send)
            return
        if int(length) > MAX_UPLOAD_BYTES + FORM_BYTES:
            await PlainTextResponse("the upload is too large", 413)(scope, receive, send)
            return
        status, parts = 0, bytearray()

        async def send_and_register(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.extend(message.get("body", b""))
                if status == 200 and not message.get("more_body"):
                    # Before the page can name them.
                    self._registry.register(json.loads(parts))
            await send(message)

        await self._app(scope, receive, send_and_register)


async def _read(receive: Receive, max_bytes: int) -> bytes | None:
    """The body of a request; None where it is too large or incomplete."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > max_bytes:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _with_body(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    """The same request with another body, after which `receive` gives the client's disconnect."""
    headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-length", b"content-type")]
    headers += [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return {**scope, "headers": headers}, replay


def _own_files(value: Any, session: str, registry: UploadRegistry) -> Any:
    """The data of a call, in which every file is an upload of the session.

    The page's values are words, numbers, lists of them, and files. Any other file is replaced by one that does
    not exist, so that a listener reports it like an expired upload.
    """
    if isinstance(value, list):
        return [_own_files(item, session, registry) for item in value]
    if not isinstance(value, dict):
        return value
    path = value.get("path")
    own = path if isinstance(path, str) and registry.owns(session, path) else str(registry.folder / "refused")
    return {"path": own, "orig_name": Path(own).name, "meta": {"_type": "gradio.FileData"}}


def _plain_files(value: Any) -> Any:
    """The data of an endpoint, in which a file is its path and name alone, so that gradio takes it for no file."""
    if isinstance(value, list):
        return [_plain_files(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "path" in value:
        return {"path": value["path"], "orig_name": value.get("orig_name")}
    return {name: _plain_files(item) for name, item in value.items() if name != "meta"}


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TypeError(type(data))
    return data
