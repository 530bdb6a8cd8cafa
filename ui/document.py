"""The document of the page: what shared links, browser tabs and home screens show of the app."""

import re
from html import escape
from pathlib import Path

from gradio.route_utils import get_root_url
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TITLE = "FantasyPortrait"
DESCRIPTION = "Animate a photo with one or several people: every face acts a driving clip of its own."
ASSETS = Path(__file__).parents[1] / "assets"
FAVICON = ASSETS / "favicon.png"
PICTURES = {"/social.png": ASSETS / "social.png", "/icon.png": ASSETS / "icon.png"}
LIGHT, DARK = "#ffffff", "#0f172a"
MANIFEST = {
    "name": TITLE,
    "short_name": TITLE,
    "description": DESCRIPTION,
    # Relative to the manifest, so that they are right below the root path of a proxy too.
    "start_url": "./",
    "display": "standalone",
    "theme_color": DARK,
    "background_color": DARK,
    "icons": [
        {"src": "favicon.ico", "sizes": "128x128", "type": "image/png"},
        {"src": "icon.png", "sizes": "512x512", "type": "image/png", "purpose": "any"},
    ],
}
GRADIO_TAGS = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*|<link rel="manifest"[^>]*>\s*')
"""gradio's template has tags of its own, which a crawler would read first."""


class DocumentHead:
    """An ASGI middleware in front of gradio: writes the tags of the document, and answers for what they name.

    Crawlers run no script and take absolute URLs only, so the tags are written for each request, with the address that
    it was sent to.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        root = scope.get("root_path", "").rstrip("/")
        path = scope["path"].removeprefix(root) if scope["type"] == "http" else None
        if path in PICTURES:
            await FileResponse(PICTURES[path])(scope, receive, send)
        elif path == "/manifest.json":
            await JSONResponse(MANIFEST, media_type="application/manifest+json")(scope, receive, send)
        elif path == "/" and scope["method"] == "GET":
            await self._document(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _document(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request for the document, and put the tags into its head."""
        # The answer is read here, so it must not be compressed yet.
        headers = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        address = get_root_url(Request(scope), "/", scope.get("root_path"))
        start: Message = {}
        body = bytearray()

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            content = GRADIO_TAGS.sub(b"", bytes(body)).replace(b"</head>", head(address).encode() + b"</head>", 1)
            kept = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
            await send({**start, "headers": [*kept, (b"content-length", str(len(content)).encode())]})
            await send({"type": "http.response.body", "body": content})

        await self._app({**scope, "headers": headers}, receive, rewrite)


def head(address: str) -> str:
    """The tags of a document that is served at `address` (absolute, without a slash at its end)."""
    properties = {
        "og:type": "website",
        "og:site_name": TITLE,
        "og:title": TITLE,
        "og:description": DESCRIPTION,
        "og:url": f"{address}/",
        "og:image": f"{address}/social.png",
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "Three drawn people, each in a ring of another colour",
    }
    names = {
        "description": DESCRIPTION,
        "twitter:card": "summary_large_image",
        "twitter:title": TITLE,
        "twitter:description": DESCRIPTION,
        "twitter:image": f"{address}/social.png",
        "application-name": TITLE,
        "apple-mobile-web-app-title": TITLE,
    }
    tags = [f'<meta property="{name}" content="{escape(value)}" />' for name, value in properties.items()]
    tags += [f'<meta name="{name}" content="{escape(value)}" />' for name, value in names.items()]
    tags += [
        f'<meta name="theme-color" media="(prefers-color-scheme: {scheme})" content="{colour}" />'
        for scheme, colour in (("light", LIGHT), ("dark", DARK))
    ]
    tags += [
        '<link rel="icon" type="image/png" href="favicon.ico" />',
        '<link rel="apple-touch-icon" href="icon.png" />',
        '<link rel="manifest" href="manifest.json" />',
    ]
    return "\n".join(tags) + "\n"
