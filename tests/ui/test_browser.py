"""The app in a real Chromium, from the upload to a video that plays."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.ui.browsing import PLAYS, POLL_MS, TRIES, WAIT_MS, choose, choose_wan, set_seconds
from tests.ui.serving import Served

pytestmark = pytest.mark.browser

# Clicks Animate as soon as it is enabled, so often, and no quicker than that.
CLICK_AT_ONCE = """times => {
    const button = document.querySelector('#animate');
    let enabled = false;
    const look = () => {
        if (times && !enabled && !button.disabled) { times--; button.click(); }
        enabled = !button.disabled;
    };
    new MutationObserver(look).observe(button, {attributes: true});
    look();
}"""


@pytest.fixture
def mirrored(two_person: Path, tmp_path: Path) -> Path:
    """Another photo of two people, whose faces have other thumbnails."""
    with Image.open(two_person) as picture:
        ImageOps.mirror(picture).save(tmp_path / "mirrored.png")
    return tmp_path / "mirrored.png"


def wait_for_other_cards(page: Any, before: str) -> None:
    """Wait until the thumbnail of face 1 is no longer `before`."""
    page.wait_for_function("before => document.querySelector('#face-1 img')?.src !== before", arg=before)


def test_app_animates_uploaded_photo(page: Any, two_person: Path, clips: dict[str, Path]) -> None:
    page.set_input_files("#photo input[type=file]", two_person)
    page.wait_for_selector("text=2 faces found")
    page.wait_for_selector("#face-2")
    assert page.locator(".face-card").count() == 2
    assert page.eval_on_selector("#photo img", "image => image.naturalWidth") == 1024

    choose(page, 1, "Built-in motion")
    choose(page, 2, "Clip")
    page.set_input_files("#face-2 .panel-clip input[type=file]", clips["two"])
    page.wait_for_selector("#face-2 >> text=shows 2 people")
    page.click("#face-2 label:has-text('Person 2')")

    set_seconds(page, 0.4)
    page.click("#animate")
    page.wait_for_selector("#progress progress")
    page.wait_for_selector("#result video", timeout=2 * WAIT_MS)
    result = page.evaluate(PLAYS, "#result")
    assert result["moved"] and result["error"] is None
    assert (result["width"], result["height"]) == (1024, 576) and abs(result["length"] - 0.4) < 0.1
    side = page.evaluate(PLAYS, "#side-by-side")
    assert side["moved"] and side["error"] is None and side["width"] > side["height"]
    page.wait_for_selector("#result-messages >> text=0.40 s, 10 frames")
    for place, name in (("#save-video", "fantasyportrait.mp4"), ("#save-request", "request.json")):
        with page.expect_download() as download:
            page.click(place)
        assert download.value.suggested_filename == name

    # A text file is refused in a sentence, and what was chosen stays.
    page.set_input_files(
        "#photo input[type=file]", {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear reader"}
    )
    page.wait_for_selector("#photo-message .error-message >> text=letter.png")
    assert page.is_checked("#face-2 input[value=clip]") and page.is_visible("#face-2 >> text=shows 2 people")

    # Another photo finds the cast again; a long second run can be stopped.
    page.set_input_files("#photo input[type=file]", two_person)
    page.wait_for_selector("text=2 faces found")
    page.wait_for_selector("#face-2 >> text=shows 2 people")
    page.fill("#seconds input", "60")
    page.press("#seconds input", "Tab")
    page.click("#animate")
    page.wait_for_selector("#preview-image img")
    page.click("#stop")
    page.wait_for_selector("#message >> text=Stopped")
    page.wait_for_selector("#animate:enabled")
    assert page.is_visible("#result video") and not page.is_visible("#stop")


def test_example_runs_and_leaving_page_stops_it(page: Any, browser: Any, app: Served) -> None:
    page.click("#example")
    page.wait_for_selector("#face-2")
    assert page.is_checked("#face-1 input[value=motion]") and page.is_visible("#face-2 .panel-motion")
    # Without a model there is no choice of engine.
    assert page.locator("#engine, #wan, .panel-free, input[value=free]").count() == 0
    set_seconds(page, 300)
    page.click("#animate")
    page.wait_for_selector("#preview-image img")
    page.close()
    # The next test does not wait for the end of five minutes of video.
    other = browser.new_page()
    other.goto(app.address)
    other.click("#example")
    other.wait_for_selector("#face-2")
    set_seconds(other, 0.2)
    other.click("#animate")
    other.wait_for_selector("#result video", timeout=2 * WAIT_MS)
    other.close()


def test_errors_are_shown_in_visible_place(page: Any, two_person: Path, tmp_path: Path) -> None:
    page.click("#animate")
    page.wait_for_selector("#message .error-message >> text=There is no photo yet")
    page.set_input_files("#photo input[type=file]", two_person)
    page.wait_for_selector("#face-2")
    page.click("#animate")
    page.wait_for_selector("#message .error-message >> text=Every face is still")
    choose(page, 1, "Clip")
    page.click("#animate")
    page.wait_for_selector("#message .error-message >> text=Face 1 has no clip yet")
    choose(page, 1, "Built-in motion")
    set_seconds(page, 100_000)
    page.click("#animate")
    page.wait_for_selector("#message .error-message >> text=/The length is 100000/")
    page.wait_for_selector("#animate:enabled")
    choose(page, 1, "Clip")
    letter = tmp_path / "letter.mp4"
    letter.write_text("Dear reader", encoding="utf-8")
    page.set_input_files("#face-1 .panel-clip input[type=file]", letter)
    page.wait_for_selector("#face-1 .error-message >> text=letter.mp4")
    full = {"detail": "Queue is full."}
    page.route("**/queue/join*", lambda asked: asked.fulfill(status=503, json=full))
    page.click("#animate")
    page.wait_for_selector("#message .error-message >> text=not started")
    page.wait_for_selector("#animate:enabled")


def test_engine_settings_survive_another_photo(wan_page: Any, mirrored: Path) -> None:
    wan_page.click("#example")
    wan_page.wait_for_selector("#face-2")
    assert wan_page.is_checked("#engine input[value=preview]") and not wan_page.is_visible("#wan")
    choose_wan(wan_page, steps=12)
    wan_page.fill("#option-seed input", "77")
    wan_page.fill("#option-prompt textarea", "two people sing")
    choose(wan_page, 2, "Left to the model")
    wan_page.wait_for_selector("#face-2 .panel-free >> text=The model decides how this face moves")
    assert not wan_page.is_visible("#face-2 .panel-adjust") and wan_page.is_visible("#face-1 .panel-adjust")

    before = wan_page.get_attribute("#face-1 img", "src")
    wan_page.set_input_files("#photo input[type=file]", mirrored)
    choose(wan_page, 1, "Left to the model")
    wait_for_other_cards(wan_page, before)
    wan_page.wait_for_selector("#face-1 input[value=free]:checked", state="attached")
    wan_page.wait_for_selector("#face-2 input[value=free]:checked", state="attached")
    assert wan_page.input_value("#option-num-inference-steps input[type=number]") == "12"
    assert wan_page.input_value("#option-seed input") == "77"
    assert wan_page.input_value("#option-prompt textarea") == "two people sing"
    assert wan_page.is_checked("#engine input[value=wan]") and wan_page.is_visible("#wan")

    # With nothing but faces left to the model the preview would stand still, and says so.
    wan_page.click("#engine label:has-text('Preview')")
    wan_page.click("#animate")
    wan_page.wait_for_selector("#message .error-message >> text=A face left to the model stays still")
    wan_page.wait_for_selector("#animate:enabled")
    wan_page.click("#engine label:has-text('Wan')")
    set_seconds(wan_page, 61)
    wan_page.click("#animate")
    wan_page.wait_for_selector("#message .error-message >> text=up to 60 with Wan")


def test_cards_are_disabled_while_photo_loads(page: Any, mirrored: Path) -> None:
    page.click("#example")
    page.wait_for_selector("#face-2")
    shut = "['#face-1', '#animate'].map(place => getComputedStyle(document.querySelector(place)).pointerEvents)"
    before, held = page.get_attribute("#face-1 img", "src"), []
    page.wait_for_function(f"{shut}.every(events => events !== 'none')")
    page.route("**/queue/join*", lambda request: held.append(request))
    page.set_input_files("#photo input[type=file]", mirrored)
    # First the photo is read, then the cards are drawn, each when the server is asked to.
    for _ in range(2):
        while not held:
            page.wait_for_timeout(POLL_MS)
        assert page.evaluate(shut) == ["none", "none"]
        held.pop(0).continue_()
    for request in held:
        request.continue_()
    page.unroute("**/queue/join*")
    wait_for_other_cards(page, before)
    choose(page, 1, "Still")
    assert page.evaluate(shut) != ["none", "none"] and page.is_checked("#face-1 input[value=still]")


def test_each_animate_click_starts_run(page: Any) -> None:
    calls: Counter[int] = Counter()
    page.on("request", lambda sent: calls.update([sent.post_data_json["fn_index"]] if "join" in sent.url else []))
    page.evaluate(CLICK_AT_ONCE, 4)
    page.wait_for_function("document.querySelector('#message .error-message')")
    for _ in range(TRIES):
        if set(calls.values()) == {4} and page.is_enabled("#animate"):
            break
        page.wait_for_timeout(POLL_MS)
    assert set(calls.values()) == {4}


def test_page_fits_screen_width(wan_page: Any) -> None:
    wan_page.click("#example")
    wan_page.wait_for_selector("#face-2")
    wan_page.click("#engine label:has-text('Wan')")
    wan_page.click("#wan button >> nth=0")
    wan_page.wait_for_selector("#option-prompt textarea")
    right = "cards => cards.map(card => card.getBoundingClientRect().right)"
    for width in (390, 820, 1280):
        wan_page.set_viewport_size({"width": width, "height": 844})
        assert wan_page.evaluate("document.documentElement.scrollWidth") <= width
        assert max(wan_page.eval_on_selector_all(".face-card", right)) <= width
