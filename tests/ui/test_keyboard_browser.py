"""The page without a mouse and without sight, in a real Chromium: focus, names, headings and announcements."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from tests.ui.browsing import (
    choose_example,
    choose_photo,
    chosen,
    error_text,
    record,
    recorded,
    reload,
    set_seconds,
    wait_for_faces,
    wait_for_job,
    wait_for_result,
)

pytestmark = pytest.mark.browser

MAX_STOPS = 150
# The look of a focus ring: on the element, or on the label's text that stands for a radio button.
RING = """() => {
    const focused = document.activeElement;
    const rings = [focused, focused.nextElementSibling].filter(Boolean).map(each => getComputedStyle(each));
    return rings.some(ring => ring.outlineStyle !== 'none' && parseFloat(ring.outlineWidth) >= 2);
}"""
WHERE = "() => document.activeElement.outerHTML.slice(0, 120)"


def tab_to(page: Any, place: str, key: str = "Tab") -> None:
    """Press the key until the element at `place` has the focus; each stop on the way shows it."""
    stops = []
    for _ in range(MAX_STOPS):
        page.keyboard.press(key)
        if page.evaluate("() => document.activeElement.closest('.studio') !== null"):
            stops.append(page.evaluate(WHERE))
            assert page.evaluate(RING), f"no visible focus: {stops[-1]}"
        if page.evaluate("place => document.activeElement.matches(place)", place):
            return
    raise AssertionError(f"{place} is not among {stops}")


def test_scene_is_made_with_keyboard_alone(page: Any) -> None:
    record(page, "#announcement")
    tab_to(page, "#example")
    page.keyboard.press("Enter")
    wait_for_faces(page, 2)
    assert page.evaluate("document.activeElement.matches('.stage')")
    tab_to(page, "#face-2")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "card-2"
    tab_to(page, "input[name=kind-2]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("input[name=kind-2][value=clip]:checked", state="attached")
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("input[name=motion-2]", state="attached")
    tab_to(page, "input[name=motion-2]")
    before = chosen(page, "motion-2")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "before => document.querySelector('input[name=motion-2]:checked').value !== before", arg=before
    )
    tab_to(page, "#options > summary", key="Shift+Tab")
    page.keyboard.press("Enter")
    tab_to(page, "input[name=length]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    tab_to(page, "#seconds")
    page.keyboard.press("Control+A")
    page.keyboard.type("1")
    tab_to(page, "#animate", key="Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#job:focus")
    assert wait_for_result(page)["moved"]
    page.wait_for_selector("#result:focus")
    page.wait_for_function("window.recorded.some(text => text.includes('ready'))")
    told = recorded(page)
    assert told[0].startswith("2 faces found") and "1 s" in told[-1]
    run = told[1:-1]
    assert run and len(run) <= 4 * 7 and len(set(run)) == len(run)


def test_stop_by_keyboard_is_announced_and_leaves_focus_at_run(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 60)
    page.focus("#animate")
    page.keyboard.press("Enter")
    page.wait_for_selector("#job:focus")
    tab_to(page, "#job .stop")
    page.keyboard.press("Enter")
    page.wait_for_selector("#job", state="detached")
    assert page.evaluate("document.activeElement.closest('.run') !== null")
    page.wait_for_selector("#announcement >> text=/stopped/i", state="attached")


def test_refusal_is_alert_and_leaves_focus_at_button(scene_page: Any) -> None:
    for face in (1, 2):
        scene_page.focus(f"input[name=kind-{face}]:checked")
        while chosen(scene_page, f"kind-{face}") != "still":
            scene_page.keyboard.press("ArrowRight")
    scene_page.focus("#animate")
    scene_page.keyboard.press("Enter")
    assert "still" in error_text(scene_page, ".run")
    assert scene_page.evaluate("document.activeElement.id") == "animate"


def test_removed_face_leaves_focus_on_stage(page: Any, two_person: Path) -> None:
    choose_photo(page, two_person, faces=2)
    page.focus(".face-remove >> nth=1")
    page.keyboard.press("Enter")
    wait_for_faces(page, 1)
    assert page.evaluate("document.activeElement.closest('.stage') !== null")


def test_reload_while_job_runs_takes_no_focus(page: Any) -> None:
    choose_example(page)
    set_seconds(page, 60)
    page.click("#animate")
    wait_for_job(page)
    reload(page)
    wait_for_job(page)
    assert page.evaluate("document.activeElement === document.body")
    page.click("#job .stop")
    page.wait_for_selector("#job", state="detached")


def test_dialog_keeps_focus_until_escape(page: Any) -> None:
    page.focus("text=Take a photo")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Take a photo"


def test_page_has_one_live_region_and_ordered_headings(scene_page: Any) -> None:
    assert scene_page.locator(".studio :is([role=status], [aria-live])").count() == 1
    assert scene_page.get_attribute("html", "lang") == "en"
    levels = scene_page.eval_on_selector_all(
        ".studio :is(h1, h2, h3, h4, h5, h6)", "all => all.map(each => Number(each.tagName[1]))"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_controls_have_names_and_radios_have_groups(scene_page: Any) -> None:
    radios = scene_page.eval_on_selector_all(
        ".studio input[type=radio]",
        "all => all.map(each => [each.name, each.closest('fieldset')?.querySelector('legend')?.textContent ?? ''])",
    )
    assert radios and all(name and legend for name, legend in radios)
    assert len({name for name, _ in radios}) == len(set(map(tuple, radios)))
    names = scene_page.eval_on_selector_all(
        ".studio button", "all => all.map(each => each.getAttribute('aria-label') || each.textContent.trim())"
    )
    assert names and all(names)


def test_chosen_language_is_that_of_page(page: Any) -> None:
    page.click("button[lang=zh]")
    page.wait_for_selector("html[lang=zh]", state="attached")
    assert page.get_attribute("button[lang=zh]", "aria-pressed") == "true"
    chinese = page.inner_text(".tagline")
    reload(page)
    assert page.get_attribute("html", "lang") == "zh" and page.inner_text(".tagline") == chinese
