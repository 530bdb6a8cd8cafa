"""What crawlers, tabs and home screens read: the tags of the document, its pictures, and the manifest."""

import io
import re
from html import unescape

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.ui.serving import Served
from ui.document import DocumentHead, head

TAG = re.compile(r'<meta (?:property|name)="([^"]+)"(?: media="[^"]+")? content="([^"]*)"')


def tags(document: str) -> dict[str, str]:
    """The meta tags of a document by name; a name that comes twice fails, except for the two theme colours."""
    found = [(name, unescape(value)) for name, value in TAG.findall(document)]
    names = [name for name, _ in found if name != "theme-color"]
    assert len(names) == len(set(names)), names
    return dict(found)


def get(app: Served, path: str, **headers: str) -> httpx.Response:
    """An answer of the app."""
    return httpx.get(f"{app.address}{path}", headers=headers, trust_env=False).raise_for_status()


def test_document_has_our_tags_in_place_of_gradios(app: Served) -> None:
    """Title, description and an absolute address of the picture; nothing of gradio's own."""
    document = get(app, "/").text
    found = tags(document.partition("<script>")[0] + document.partition("iframeResizer")[2])
    assert found["og:title"] == found["twitter:title"] == "FantasyPortrait"
    assert "photo" in found["og:description"]
    assert found["og:url"] == f"{app.address}/"
    assert found["twitter:card"] == "summary_large_image"
    for name in ("og:image", "twitter:image"):
        picture = httpx.get(found[name], trust_env=False).raise_for_status()
        assert Image.open(io.BytesIO(picture.content)).size == (1200, 630)
    assert "gradio-app/gradio" not in document and "@teamGradio" not in document and "@Gradio" not in document


def test_document_names_the_address_of_the_proxy(app: Served) -> None:
    """Behind a proxy the tags name what the visitor's browser shows."""
    document = get(app, "/", **{"x-forwarded-host": "studio.example", "x-forwarded-proto": "https"}).text
    assert tags(document)["og:image"] == "https://studio.example/social.png"


def test_document_length_is_that_of_its_bytes(app: Served) -> None:
    """The length that is announced is that of the document with the tags."""
    answer = get(app, "/", **{"accept-encoding": "identity"})
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_manifest_names_the_app_and_icons_that_answer(app: Served) -> None:
    """A browser can install the app: a name, a start address and icons of the stated sizes."""
    manifest = get(app, "/manifest.json")
    assert manifest.headers["content-type"].startswith("application/manifest+json")
    values = manifest.json()
    assert values["name"] == "FantasyPortrait" and values["display"] == "standalone"
    assert "512x512" in {icon["sizes"] for icon in values["icons"]}
    for icon in values["icons"]:
        assert not icon["src"].startswith("/")
        width, height = Image.open(io.BytesIO(get(app, f"/{icon['src']}").content)).size
        assert icon["sizes"] == f"{width}x{height}"


def test_icons_of_any_size_are_not_computed(app: Served) -> None:
    """gradio resizes the icon to any number in the path, and a large one would take all memory."""
    assert httpx.get(f"{app.address}/pwa_icon/30000", trust_env=False).status_code == 404


@pytest.mark.parametrize("root", ["", "/studio"])
def test_tags_are_right_below_a_root_path(root: str) -> None:
    """The picture is below the root path, and the manifest is found relative to the page."""
    site = Starlette(routes=[Route("/", lambda _: HTMLResponse("<html><head></head><body></body></html>"))])
    client = TestClient(DocumentHead(site), base_url="http://host", root_path=root)
    document = client.get(f"{root}/").text
    assert tags(document)["og:image"] == f"http://host{root}/social.png"
    assert '<link rel="manifest" href="manifest.json" />' in document
    assert client.get(f"{root}/manifest.json").json()["start_url"] == "./"


def test_address_cannot_close_its_attribute() -> None:
    """An address is text of the client, so it is escaped."""
    assert 'content="http://a&quot;&gt;&lt;script&gt;/"' in head('http://a"><script>')
