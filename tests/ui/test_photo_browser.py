"""The photo in a real Chromium: each way to bring one, and what the page says of one that it cannot use."""

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.ui.browsing import (
    INSECURE_HOST,
    choose_example,
    choose_photo,
    error_text,
    new_context,
    opened,
    reload,
    wait_for_faces,
    wait_for_loop,
)
from tests.ui.serving import Served

pytestmark = pytest.mark.browser

# Drops or pastes a file that is given as base64 on the element at `place`.
GIVE = """([place, kind, name, type, text]) => {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type}));
    const given = kind === 'drop' ? new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent('paste', {clipboardData: data, bubbles: true, cancelable: true});
    document.querySelector(place).dispatchEvent(given);
}"""


def give(page: Any, kind: str, place: str, file: Path, media_type: str) -> None:
    """Drop or paste a file on an element."""
    text = base64.b64encode(file.read_bytes()).decode()
    page.evaluate(GIVE, [place, kind, file.name, media_type, text])


def test_uploaded_photo_shows_faces_and_moves(page: Any, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    page.wait_for_function("document.querySelector('.picture img.photo').naturalWidth === 1024")
    page.wait_for_selector("text=2 faces found")
    wait_for_loop(page)
    assert page.locator("#cast, .cast .card").count() >= 2


def test_dropped_photo_is_shown(page: Any, two_person: Path) -> None:
    give(page, "drop", ".drop-zone", two_person, "image/png")
    wait_for_faces(page, 2)


def test_example_is_shown_with_motions(page: Any) -> None:
    choose_example(page)
    assert page.locator("input[name^=kind-][value=motion]:checked").count() == 2
    # Without a model there is no choice of engine.
    assert page.locator("input[name=engine], input[value=free]").count() == 0


def test_file_that_is_no_photo_is_refused_by_name(page: Any, two_person: Path) -> None:
    page.set_input_files("#photo-file", {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear reader"})
    assert "letter.png" in error_text(page, ".stage")
    choose_photo(page, two_person, faces=2)
    assert page.locator(".stage [role=alert]").count() == 0


def test_photo_without_faces_stays_with_its_error(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (640, 360), (120, 140, 160)).save(tmp_path / "wall.png")
    page.set_input_files("#photo-file", tmp_path / "wall.png")
    assert "face" in error_text(page, ".stage").lower()
    assert page.is_visible(".picture img.photo") and page.locator(".picture .face").count() == 0
    assert page.is_disabled("#animate")
    reload(page)
    assert "face" in error_text(page, ".stage").lower()


def test_removed_photo_leads_back_to_welcome(page: Any, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    page.click("text=Remove >> visible=true")
    page.wait_for_selector("#example")
    assert page.locator(".card").count() == 0


def test_visitor_without_motion_sees_first_frame_and_can_switch_to_photo(page: Any) -> None:
    choose_example(page)
    wait_for_loop(page)
    assert page.locator(".picture img.layer").count() == 1 and page.locator(".picture video").count() == 0
    page.click("text=Show the photo")
    page.wait_for_selector(".picture img.layer", state="detached")
    page.click("text=Show the preview")
    page.wait_for_selector(".picture img.layer")


def test_motion_of_welcome_opens_example_that_plays_it(page: Any) -> None:
    page.click(".example-motions button:has-text('Yawn')")
    wait_for_faces(page, 2)
    assert [page.get_attribute(f"#face-{face}", "aria-label") for face in (1, 2)] == [
        "Face 1, plays: Yawn",
        "Face 2, plays: Yawn",
    ]


def test_camera_takes_photo(camera_page: Any) -> None:
    camera_page.click("text=Take a photo")
    camera_page.wait_for_function("document.querySelector('dialog video')?.videoWidth > 0")
    camera_page.click("dialog >> text=Take the photo")
    # The fake camera shows a pattern without faces.
    assert "face" in error_text(camera_page, ".stage").lower()
    camera_page.wait_for_function("document.querySelector('.picture img.photo').naturalWidth > 0")


def test_refused_camera_is_named_in_dialog(page: Any) -> None:
    page.click("text=Take a photo")
    assert "does not let this page use the camera" in error_text(page, "dialog")
    assert page.is_disabled("dialog >> text=Take the photo")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("document.activeElement.textContent").strip() == "Take a photo"


def test_missing_camera_is_named_in_dialog(browser: Any, app: Served) -> None:
    context = new_context(browser)
    context.add_init_script("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    with opened(context, app) as page:
        page.click("text=Take a photo")
        assert "No camera" in error_text(page, "dialog")
    context.close()


def test_camera_on_plain_http_is_explained(browser: Any, app: Served) -> None:
    context = new_context(browser)
    with opened(context, app, app.address.replace("127.0.0.1", INSECURE_HOST)) as page:
        page.click("text=Take a photo")
        assert "https" in error_text(page, "dialog")
    context.close()
