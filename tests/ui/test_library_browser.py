"""The result on the stage, the queue and the gallery, in a real Chromium."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    animate,
    choose_example,
    choose_motion,
    choose_photo,
    set_seconds,
    visiting,
    wait_for_faces,
    wait_for_job,
    wait_for_result,
    wait_until_saved,
)
from tests.ui.serving import Served

pytestmark = pytest.mark.browser

CARDS = "count => document.querySelectorAll('.result-card').length === count"
IN_STEP = """tolerance => {
    const [lead, follow] = ['.compared video', '#beside'].map(place => document.querySelector(place));
    return follow.readyState > 1 && Math.abs(lead.currentTime - follow.currentTime) <= tolerance;
}"""


@pytest.fixture(scope="module")
def shared_page(browser: Any, app: Served) -> Iterator[Any]:
    """A tab with a result of 1 s of the example, which the tests of this module share."""
    with visiting(browser, app, permissions=["clipboard-read", "clipboard-write"]) as tab:
        choose_example(tab)
        set_seconds(tab, 1)
        animate(tab)
        wait_for_result(tab)
        yield tab


@pytest.fixture
def result_page(shared_page: Any) -> Any:
    """The shared tab with its first result on the stage."""
    shared_page.click(".result-card .result >> nth=-1")
    shared_page.wait_for_selector("#result video")
    return shared_page


def test_result_shows_facts_of_its_run(result_page: Any) -> None:
    facts = dict(
        zip(
            result_page.locator(".facts dt").all_text_contents(),
            result_page.locator(".facts dd").all_text_contents(),
            strict=True,
        )
    )
    assert facts["Length"] == "1.0 s" and facts["Frames"] == "25" and facts["Engine"] == "Preview"
    assert facts["Kept"].startswith("until ")


def test_photo_covers_video_as_far_as_keys_say(result_page: Any) -> None:
    result_page.click("#compare")
    assert result_page.evaluate("document.activeElement.id") == "before-after"
    covered = "getComputedStyle(document.querySelector('.compared .before')).clipPath"
    before = result_page.evaluate(covered)
    result_page.keyboard.press("End")
    assert result_page.input_value("#before-after") == "100"
    assert result_page.evaluate(covered) != before
    result_page.wait_for_function("document.querySelector('.compared .before').naturalWidth > 0")
    result_page.click("#compare")
    assert result_page.locator("#before-after").count() == 0


def test_side_by_side_keeps_step_with_result(result_page: Any) -> None:
    result_page.click("#side-by-side")
    result_page.wait_for_selector("#beside")
    result_page.evaluate("document.querySelector('.compared video').pause()")
    result_page.evaluate("document.querySelector('.compared video').currentTime = 0.6")
    result_page.wait_for_function(IN_STEP, arg=0.05)
    assert result_page.evaluate("document.querySelector('#beside').paused")
    result_page.evaluate("() => { document.querySelector('.compared video').play(); }")
    result_page.wait_for_function("!document.querySelector('#beside').paused")
    result_page.click("#side-by-side")
    assert result_page.locator("#beside").count() == 0


@pytest.mark.parametrize(
    ("label", "ending"), [("WebM", ".animated.webm"), ("GIF", ".animated.gif"), ("PNG frames", ".animated.frames.zip")]
)
def test_format_is_made_on_demand_and_saved_under_its_name(result_page: Any, label: str, ending: str) -> None:
    with result_page.expect_download() as download:
        result_page.click(f".downloads button:has-text('{label}')")
    assert download.value.suggested_filename.endswith(ending)
    assert Path(download.value.path()).stat().st_size > 1000
    result_page.wait_for_selector(f".downloads a:has-text('{label}')")


def test_link_is_made_on_demand_and_taken_back(result_page: Any, browser: Any, app: Served) -> None:
    assert result_page.locator("#share-address").count() == 0
    result_page.click("#share")
    result_page.wait_for_selector("#share-address")
    address = result_page.input_value("#share-address")
    assert address.startswith(f"{app.address}/shared/")
    stranger = browser.new_context()
    assert stranger.request.get(address).headers["content-type"] == "video/mp4"
    result_page.click("text=Take it back")
    result_page.wait_for_selector("#share")
    assert stranger.request.get(address).status in (403, 404)
    stranger.close()


@pytest.mark.parametrize(
    ("label", "begins"), [("Command", "fantasyportrait animate "), ("Python", "import fantasyportrait"), ("JSON", "{")]
)
def test_text_is_copied(result_page: Any, label: str, begins: str) -> None:
    result_page.click(f"#result button:text-is('{label}')")
    result_page.wait_for_selector(f"button:text-is('{label}') + .copied:text-is('Copied')")
    text = result_page.evaluate("navigator.clipboard.readText()")
    assert text.startswith(begins) and "/sessions/" not in text


def test_saved_settings_restore_scene(result_page: Any, browser: Any, app: Served, two_person: Path) -> None:
    with result_page.expect_download() as download:
        result_page.click("text=Settings (JSON)")
    saved = Path(download.value.path())
    request = {"name": "saved.json", "mimeType": "application/json", "buffer": saved.read_bytes()}
    photo = json.loads(saved.read_text(encoding="utf-8"))["portrait"]
    with visiting(browser, app) as other:
        other.set_input_files("#restore-file", request)
        other.wait_for_selector(f"[role=alert] >> text=add {photo} on this page")
        choose_photo(other, two_person, faces=2)
        other.set_input_files("#restore-file", request)
        other.wait_for_selector("#card-1 input[value=talk]:checked", state="attached")
        wait_until_saved(other)
        assert other.locator("[role=alert]").count() == 0
        other.set_input_files(
            "#restore-file", {"name": "letter.json", "mimeType": "application/json", "buffer": b"Dear reader"}
        )
        other.wait_for_selector("[role=alert] >> text=letter.json")


def test_result_of_other_photo_says_so_and_its_settings_bring_it_back(
    result_page: Any, two_person: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    other.write_bytes(two_person.read_bytes())
    result_page.click("#back")
    choose_photo(result_page, other, faces=2)
    choose_motion(result_page, 1, "nod")
    result_page.click(".result-card .result >> nth=-1")
    result_page.wait_for_selector(".other-photo >> text=Made from another photo")
    result_page.wait_for_function("document.querySelector('.other-photo img').naturalWidth > 0")
    result_page.click("#use-settings")
    result_page.wait_for_selector("#result", state="detached")
    wait_for_faces(result_page, 2)
    result_page.wait_for_selector("#card-1 input[value=talk]:checked", state="attached")
    assert result_page.locator(".picture img.photo").get_attribute("alt") != "other.png, 2 faces found"


def test_queue_is_reordered_by_keyboard_cancelled_and_retried(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 60)
    animate(page)
    wait_for_job(page)
    set_seconds(page, 0.2)
    choose_motion(page, 1, "nod")
    animate(page)
    page.wait_for_selector(".job >> nth=1")
    choose_motion(page, 1, "wink")
    animate(page)
    page.wait_for_selector(".job >> nth=2")
    assert "wink" in page.text_content(".job >> nth=2 >> .job-name").lower()
    page.focus(".job >> nth=2 >> .arrow >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector(".job >> nth=1 >> text=wink")
    page.click(".job >> nth=2 >> text=Cancel")
    page.wait_for_selector(".job.cancelled")
    page.click(".job >> nth=0 >> text=Cancel")
    page.wait_for_function(CARDS, arg=1)
    assert "wink" in page.text_content(".card-name").lower()
    page.click(".job.cancelled:has-text('Nod') >> text=Try again")
    page.wait_for_function(CARDS, arg=2)


def test_delete_all_asks_once_in_page(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 0.2)
    animate(page)
    wait_for_result(page)
    page.click("#delete-all")
    page.click(".confirm >> text=Cancel")
    assert page.locator(".result-card").count() == 1
    page.click("#delete-all")
    page.click("#delete-all-sure")
    page.wait_for_function(CARDS, arg=0)
    page.wait_for_selector(".picture .face")
    assert page.locator("[role=alert]").count() == 0


def test_result_scrolls_into_view_on_phone(browser: Any, app: Served) -> None:
    with visiting(browser, app, viewport={"width": 390, "height": 844}) as page:
        choose_example(page)
        set_seconds(page, 0.2)
        animate(page)
        wait_for_result(page)
        page.wait_for_function("Math.abs(document.querySelector('#result').getBoundingClientRect().top) < 100")
        assert page.evaluate("document.activeElement.id") == "result"
        assert "ready" in page.text_content("#announcement")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
