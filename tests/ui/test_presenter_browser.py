"""Presenter mode in Chromium, whose camera shows a person who talks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fantasyportrait.images.camera_frames import encode_jpeg
from fantasyportrait.media.clips import read_clip
from tests.ui.browsing import CHROMIUM, FLAGS
from tests.ui.serving import Served
from tests.ui.visitor import Visitor

WAIT_MS = 240_000
TAKEN = "1 live scene is running, which is all that this server can draw at once"
DRAWN = "() => { const scene = document.querySelector('#presenter .scene'); return scene && scene.width === 480; }"
# The answers of the server that were drawn since the watch began.
WATCH = """() => {
    window.drawn = 0;
    new PerformanceObserver(list => {
        window.drawn += list.getEntries().filter(each => each.name === 'presenter-frame').length;
    }).observe({type: 'measure'});
}"""


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory, clips: dict[str, Path]) -> Path:
    """The picture of the camera, again and again."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    path.write_bytes(b"".join(encode_jpeg(frame) for frame in read_clip(clips["one"])))
    return path


@pytest.fixture(scope="module")
def chromium(driver: Any, camera: Path) -> Iterator[Any]:
    """Chromium with that camera."""
    browser = driver.chromium.launch(
        executable_path=CHROMIUM, args=[*FLAGS, f"--use-file-for-fake-video-capture={camera}"]
    )
    yield browser
    browser.close()


@contextmanager
def presenting(chromium: Any, app: Served, *permissions: str) -> Iterator[Any]:
    """The page of a new visitor with the first example, who has opened presenter mode."""
    context = chromium.new_context(locale="en-US", permissions=list(permissions))
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(app.address)
    page.wait_for_selector(".studio[data-ready]")
    page.click("#example")
    page.wait_for_function("document.querySelectorAll('.picture .face').length === 2")
    page.evaluate(WATCH)
    page.click("#present")
    yield page
    if page.locator("#presenter").count():
        leave(page)
    context.close()
    assert not errors


def leave(page: Any) -> None:
    """Leave by the button, and wait until the server has closed the scene."""
    with page.expect_response(lambda answer: "end_presenting" in (answer.request.post_data or "")):
        page.click("#presenter button:has-text('Leave')")
    page.wait_for_selector("#presenter", state="detached")


def wait_for_frames(page: Any, count: int = 3) -> None:
    """Wait until the server has drawn so many more frames."""
    page.wait_for_function("end => window.drawn >= end", arg=page.evaluate("window.drawn") + count)


def pressed(page: Any) -> list[str | None]:
    """Which of the faces' buttons are pressed."""
    return [button.get_attribute("aria-pressed") for button in page.locator("#presenter .live-face").all()]


def test_camera_drives_scene_and_number_key_chooses_face(chromium: Any, app: Served) -> None:
    with presenting(chromium, app, "camera") as page:
        page.wait_for_function(DRAWN)
        assert page.evaluate("document.fullscreenElement !== null")
        assert page.evaluate("document.activeElement.id") == "presenter"
        wait_for_frames(page)
        page.wait_for_function(
            "/\\d+ frames\\/s, \\d+ ms/.test(document.querySelector('#presenter .figures').textContent)"
        )
        # The face is seen and the neutral face is taken, so there is nothing to say.
        page.wait_for_function("document.querySelector('#presenter .live-state').textContent === ''")
        assert page.locator("#presenter video.self").is_visible()
        assert pressed(page) == ["true", "false"]
        with page.expect_request(lambda request: '"face":2' in (request.post_data or "").replace(" ", "")):
            page.keyboard.press("2")
        assert pressed(page) == ["false", "true"]
        with page.expect_response(lambda answer: "recalibrate" in (answer.request.post_data or "")):
            page.keyboard.press("c")
        page.keyboard.press("7")
        assert pressed(page) == ["false", "true"]


def test_recording_is_among_videos(chromium: Any, app: Served) -> None:
    with presenting(chromium, app, "camera") as page:
        page.wait_for_function(DRAWN)
        page.keyboard.press("r")
        page.wait_for_selector("#presenter .recorded")
        assert page.locator("#presenter .record").get_attribute("aria-pressed") == "true"
        wait_for_frames(page)
        page.keyboard.press("r")
        page.wait_for_selector("#presenter .recorded", state="detached")
        page.wait_for_selector(".library .result", state="attached")
        wait_for_frames(page)
        leave(page)
        video = page.locator("#result video")
        assert video.evaluate("video => video.play().then(() => [video.videoWidth, video.error])") == [480, None]


def test_escape_leaves_and_frees_scene_and_keeps_recording(chromium: Any, app: Served) -> None:
    with presenting(chromium, app, "camera") as page:
        page.wait_for_function(DRAWN)
        page.keyboard.press("r")
        page.wait_for_selector("#presenter .recorded")
        wait_for_frames(page)
        with page.expect_response(lambda answer: "end_presenting" in (answer.request.post_data or "")):
            page.keyboard.press("Escape")
        page.wait_for_selector("#presenter", state="detached")
        assert page.evaluate("document.fullscreenElement === null")
        page.wait_for_selector(".library .result")
        other = Visitor(app.address)
        assert other.act("set_example")["error"] == ""
        assert other.act("present")["error"] == ""
        assert other.act("end_presenting")["error"] == ""


def test_second_visitor_is_refused_until_first_leaves(chromium: Any, app: Served) -> None:
    first = Visitor(app.address)
    first.act("set_example")
    assert first.act("present")["error"] == ""
    with presenting(chromium, app, "camera") as page:
        page.wait_for_selector("#presenter [role=alert]")
        assert TAKEN in page.inner_text("#presenter [role=alert]")
        assert page.locator("#presenter .record").is_disabled()
        first.act("end_presenting")
        page.click("#presenter button:has-text('Start again')")
        page.wait_for_function(DRAWN)
        assert page.locator("#presenter [role=alert]").count() == 0


def test_refused_camera_is_explained_and_scene_plays(chromium: Any, app: Served) -> None:
    with presenting(chromium, app) as page:
        page.wait_for_selector("#presenter [role=alert]")
        assert "does not let this page use the camera" in page.inner_text("#presenter [role=alert]")
        page.wait_for_function(DRAWN)
        wait_for_frames(page)
        assert page.locator("#presenter video.self").is_hidden()


def test_controls_hide_and_come_back_by_keyboard(chromium: Any, app: Served) -> None:
    with presenting(chromium, app, "camera") as page:
        page.wait_for_function("getComputedStyle(document.querySelector('.presenter-controls')).opacity === '0'")
        page.keyboard.press("Tab")
        page.wait_for_function("getComputedStyle(document.querySelector('.presenter-controls')).opacity === '1'")
        assert page.evaluate("document.activeElement.closest('.presenter-controls') !== null")


def test_live_function_belongs_to_session(app: Served) -> None:
    visitor, other = Visitor(app.address), Visitor(app.address)
    visitor.act("set_example")
    assert visitor.act("present")["error"] == ""
    call = {"frame": None, "face": 1, "at_s": 0.0}
    assert visitor.call("live", **call)["frame"]
    assert "there is no live scene" in other.call("live", **call)["error"]
    for token in ("", None, "a" * 32):
        assert visitor.function("live", {"token": token, **call}).json() == {"unknown": "session"}
    assert visitor.act("end_presenting")["error"] == ""
